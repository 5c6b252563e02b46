import numpy as np
import tensorflow as tf

from bginv.ops.compositing import mix_backgrounds, without_objects

SEED = tf.constant([1, 2])


def test_an_object_is_replaced_by_the_mirrored_background():
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1) / 16
    mask = np.zeros((1, 4, 4, 1), np.float32)
    mask[0, 1, 0] = 1
    found = without_objects(tf.constant(image), tf.constant(mask)).numpy()
    expected = image.copy()
    expected[0, 1, 0] = image[0, 1, 3]
    np.testing.assert_allclose(found, expected)


def test_mirrors_are_tried_in_turn_and_the_mean_is_the_last_resort():
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1) / 16
    mask = np.zeros((1, 4, 4, 1), np.float32)
    mask[0, 1, [0, 3]] = 1  # a pixel and its mirror: upside down helps
    mask[0, 0, [1, 2]] = mask[0, 3, [1, 2]] = 1  # all four mirrors
    found = without_objects(tf.constant(image), tf.constant(mask)).numpy()
    assert found[0, 1, 0, 0] == image[0, 2, 0, 0]
    assert found[0, 1, 3, 0] == image[0, 2, 3, 0]
    shown = image[mask == 0]
    np.testing.assert_allclose(found[0, [0, 0, 3, 3], [1, 2, 1, 2], 0], shown.mean(), rtol=1e-6)
    np.testing.assert_array_equal(found[mask == 0], shown)


def test_an_image_that_is_all_object_becomes_black():
    found = without_objects(tf.ones([1, 4, 4, 3]), tf.ones([1, 4, 4, 1]))
    np.testing.assert_array_equal(found, np.zeros((1, 4, 4, 3)))


def test_objects_stay_and_backgrounds_are_those_of_other_images():
    # image i has the value i / 8 behind an object of value 1
    levels = tf.reshape(tf.range(8.0) / 8, [8, 1, 1, 1])
    masks = np.zeros((8, 4, 4, 1), np.float32)
    masks[:, 1:3, 1:3] = 1
    images = levels * (1 - masks) + masks
    mixed = mix_backgrounds(images, tf.constant(masks), SEED, 1.0).numpy()
    np.testing.assert_array_equal(mixed[masks == 1], 1)
    behind = mixed[:, 0, 0, 0]
    assert sorted(behind) == list(np.arange(8) / 8)
    assert (behind != np.arange(8) / 8).all()
    np.testing.assert_allclose(mixed[:, 3, 2, 0], behind)


def test_the_share_of_images_that_are_mixed():
    images = tf.random.stateless_uniform([64, 4, 4, 1], SEED)
    masks = tf.zeros([64, 4, 4, 1])
    unchanged = mix_backgrounds(images, masks, SEED, 0.25) == images
    share = 1 - float(tf.reduce_mean(tf.cast(tf.reduce_all(unchanged, [1, 2, 3]), tf.float32)))
    assert 0.1 < share < 0.4
    np.testing.assert_array_equal(mix_backgrounds(images, masks, SEED, 0.0), images)
