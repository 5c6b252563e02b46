import numpy as np
import tensorflow as tf

from bginv.ops.compositing import assemble_tiles, composite


def test_composite_shows_the_background_where_the_mask_is_zero():
    image, background = tf.fill([1, 1, 2, 3], 0.8), tf.fill([1, 1, 2, 3], 0.2)
    mask = tf.reshape([1.0, 0.25], [1, 1, 2, 1])
    result = composite(image, mask, background)
    np.testing.assert_allclose(result[0, 0, :, 0], [0.8, 0.8 * 0.25 + 0.2 * 0.75], rtol=1e-6)


def test_tiles_are_laid_row_by_row():
    numbers = tf.reshape(tf.range(6.0), [1, 2, 3, 1, 1, 1])
    tiles = tf.tile(numbers, [1, 1, 1, 2, 2, 1])
    expected = np.kron([[0, 1, 2], [3, 4, 5]], np.ones((2, 2)))
    np.testing.assert_array_equal(assemble_tiles(tiles)[0, ..., 0], expected)


def test_tiles_equal_the_papers(golden):
    assembled = assemble_tiles(tf.constant(golden["generator/tiles"]))
    np.testing.assert_array_equal(assembled, golden["generator/background"])


def test_composite_equals_the_papers(golden):
    result = composite(golden["x"], golden["binarize/otsu"], golden["generator/background"])
    np.testing.assert_allclose(result, golden["adversarial_step/composite"], atol=1e-4)
