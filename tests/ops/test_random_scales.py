"""Views of images and of their label maps."""

import numpy as np
import pytest
import tensorflow as tf

from bginv.ops.geometry import IGNORED, random_views

COUNT, SIDE = 64, 32


@pytest.fixture
def scenes():
    """Images of smooth shades, and label maps that are a function of the shade."""
    rows, columns = np.mgrid[0:1:32j, 0:1:32j].astype(np.float32)
    images = np.stack([rows, columns, rows * columns], -1)
    return np.tile(images, (COUNT, 1, 1, 1)), np.tile((rows * 4).astype(np.int32), (COUNT, 1, 1))


@pytest.mark.parametrize(("scale", "flip"), [(True, True), (True, False), (False, True)])
def test_label_maps_move_with_their_images(scenes, scale, flip):
    images, maps = random_views(*map(tf.constant, scenes), tf.constant([1, 2]), scale, flip)
    assert (images.shape, images.dtype) == ((COUNT, SIDE, SIDE, 3), tf.float32)
    assert (maps.shape, maps.dtype) == ((COUNT, SIDE, SIDE), tf.int32)
    images, maps = images.numpy(), maps.numpy()
    known = maps != IGNORED
    shade = images[..., 0] * 4
    inside = known & (np.abs(shade - np.round(shade)) > 0.15)
    np.testing.assert_array_equal(maps[inside], shade[inside].astype(int))
    assert np.all(images[~known] == 0) or not scale
    smaller = (~known).any((1, 2)).mean()
    assert 0.3 < smaller < 0.7 if scale else smaller == 0
    mirrored = (images[:, 16, 12, 1] > images[:, 16, 20, 1]).mean()
    assert 0.3 < mirrored < 0.7 if flip else mirrored == 0


def test_views_are_a_function_of_the_seed(scenes):
    first, again, other = (
        random_views(*map(tf.constant, scenes), tf.constant(seed), True, True)[0].numpy()
        for seed in ([1, 2], [1, 2], [3, 4])
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
