import numpy as np
import pytest
import tensorflow as tf

from bginv.nn.background_generator import (
    build_background_generator,
    fitting_tiles,
    generate_backgrounds,
    seed_side,
)


@pytest.mark.parametrize(
    ("tile", "expected"), [(4, 4), (16, 4), (28, 7), (14, 7), (40, 5), (12, 6), (96, 6), (6, 6)]
)
def test_side_of_the_noise(tile, expected):
    assert seed_side(tile) == expected


@pytest.mark.parametrize(
    ("side", "expected"),
    [(32, [1, 2, 4, 8]), (24, [1, 2, 3, 4, 6]), (28, [1, 2, 4, 7]), (6, [1]), (3, [])],
)
def test_tiles_that_fit(side, expected):
    assert fitting_tiles((side, side, 1)) == expected


@pytest.mark.parametrize("side", [24, 28, 32])
def test_every_fitting_count_fills_the_image(side):
    for tiles in fitting_tiles((side, side, 1)):
        generator = build_background_generator((side, side, 3), tiles, 0)
        drawn = generate_backgrounds(generator, 2, tiles, tf.constant([1, 2]))
        assert drawn.shape == (2, side, side, 3)
        assert 0 < drawn.numpy().min() and drawn.numpy().max() < 1


def test_tiles_of_one_background_differ():
    generator = build_background_generator((16, 16, 1), 2, 0)
    drawn = generate_backgrounds(generator, 1, 2, tf.constant([1, 2])).numpy()[0]
    assert np.abs(drawn[:8, :8] - drawn[8:, 8:]).max() > 1e-3


def test_a_tile_is_laid_as_often_as_asked():
    generator = build_background_generator((16, 16, 1), 2, 0)
    drawn = generate_backgrounds(generator, 6, 2, tf.constant([1, 2]), uses=3).numpy()
    tiles = drawn.reshape(6, 2, 8, 2, 8).transpose(0, 1, 3, 2, 4).reshape(24, 64)
    _, counts = np.unique(tiles.round(6), axis=0, return_counts=True)
    assert counts.tolist() == [3] * 8


def test_tiles_that_are_too_many_are_left_out():
    generator = build_background_generator((16, 16, 1), 1, 0)
    assert generate_backgrounds(generator, 5, 1, tf.constant([1, 2]), uses=3).shape[0] == 5


@pytest.mark.parametrize(
    ("shape", "tiles", "message"),
    [
        ((32, 32, 1), 3, "3x3 tiles do not fit images of 32x32; --tiles may be 1, 2, 4, 8"),
        ((3, 3, 1), 1, "may be nothing: resize the images"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(shape, tiles, message):
    with pytest.raises(ValueError, match=message):
        build_background_generator(shape, tiles)


@pytest.mark.parametrize("tiles", [1, 2, 4])
def test_an_image_that_is_no_square_gets_a_part_of_one(tiles):
    generator = build_background_generator((32, 48, 3), tiles, 0)
    size = {"size": (32, 48)}
    drawn = generate_backgrounds(generator, 2, tiles, tf.constant([1, 2]), **size)
    assert drawn.shape == (2, 32, 48, 3)
    assert float(tf.math.reduce_std(drawn[:, -1])) > 0  # up to the last row
