"""Resizing with aligned corners."""

import numpy as np
import pytest
import tensorflow as tf

from bginv.ops.geometry import resize_aligned


def test_corners_stay_where_they_are():
    row = tf.reshape([0.0, 3.0], [1, 1, 2, 1])
    np.testing.assert_allclose(resize_aligned(row, (1, 4))[0, 0, :, 0], [0, 1, 2, 3], atol=1e-6)


@pytest.mark.parametrize("size", [(5, 9), (8, 3), (2, 2)])
def test_a_plane_stays_a_plane(size):
    rows, columns = np.mgrid[0:1:3j, 0:1:4j].astype(np.float32)
    found = resize_aligned((2 * rows + columns)[None, ..., None], size)[0, ..., 0]
    expected = 2 * np.linspace(0, 1, size[0])[:, None] + np.linspace(0, 1, size[1])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_it_has_a_gradient():
    maps = tf.ones([1, 2, 2, 3])
    with tf.GradientTape() as tape:
        tape.watch(maps)
        total = tf.reduce_sum(resize_aligned(maps, (7, 5)))
    assert float(tf.reduce_sum(tape.gradient(total, maps))) == pytest.approx(7 * 5 * 3)
