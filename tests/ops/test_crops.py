import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from bginv.ops.geometry import crop_and_resize


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((2, 20, 30, 3), np.float32)


def test_a_box_of_the_wanted_size_is_cut_as_it_is(images):
    boxes = tf.constant([[0.25, 0.2, 0.75, 0.6]] * 2)
    np.testing.assert_allclose(
        crop_and_resize(images, boxes, (10, 12)), images[:, 5:15, 6:18], atol=1e-6
    )


def test_a_pixel_fills_the_crop():
    image = tf.reshape(tf.range(4.0), [1, 2, 2, 1])
    crop = crop_and_resize(image, tf.constant([[0.5, 0.0, 1.0, 0.5]]), (3, 3))
    assert crop.numpy().ravel().tolist() == [2.0] * 9


@pytest.mark.parametrize("size", [(7, 8), (33, 41)])
def test_crops_agree_with_pillow(images, size):
    boxes = np.array([[0.1, 0.2, 0.9, 0.5], [0, 0, 1, 1]], np.float32)
    crops = crop_and_resize(images, tf.constant(boxes), size).numpy()
    for crop, image, box in zip(crops, images, boxes, strict=True):
        top, left, bottom, right = np.round(box * [20, 30, 20, 30]).astype(int)
        for channel in range(3):
            whole = Image.fromarray(image[top:bottom, left:right, channel])
            resized = np.asarray(whole.resize(size[::-1], Image.Resampling.BILINEAR))
            np.testing.assert_allclose(crop[..., channel], resized, atol=1e-5)


def test_a_margin_is_cut_off_after_resizing(images):
    boxes = tf.constant([[0.0, 0.0, 1.0, 1.0]] * 2)
    whole = crop_and_resize(images, boxes, (20, 20))
    np.testing.assert_allclose(
        crop_and_resize(images, boxes, (16, 16), margin=0.1), whole[:, 2:-2, 2:-2], atol=1e-6
    )


def test_crops_of_a_batch_compile_with_xla(images):
    boxes = tf.constant([[0.0, 0.5, 1.0, 1.0], [0.3, 0.1, 0.4, 0.9]])
    compiled = tf.function(lambda i, b: crop_and_resize(i, b, (9, 9)), jit_compile=True)
    np.testing.assert_allclose(
        compiled(images, boxes), crop_and_resize(images, boxes, (9, 9)), atol=1e-6
    )
