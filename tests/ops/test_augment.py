import numpy as np
import pytest
import tensorflow as tf

from bginv.ops.augment import (
    Augmentation,
    augment,
    grow_masks,
    random_transforms,
    sharpen_masks,
    warp,
)

STILL = Augmentation(rotation=0, shift=0, shear=0, flip=False, brightness=0)
SEED = tf.constant([3, 4])


@pytest.fixture
def images() -> tf.Tensor:
    return tf.random.stateless_uniform([32, 16, 16, 3], [1, 2])


def test_no_range_leaves_the_images(images):
    result, masks = augment(images, SEED, STILL)
    np.testing.assert_allclose(result, images, atol=1e-6)
    assert masks is None


def test_flip_mirrors_about_half_of_the_images(images):
    flipped, _ = augment(images, SEED, Augmentation(0, 0, 0, True, 0))
    same = np.isclose(flipped, images, atol=1e-5).all((1, 2, 3))
    mirrored = np.isclose(flipped, images[:, :, ::-1], atol=1e-5).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 8 <= mirrored.sum() <= 24


def test_shift_repeats_the_edge():
    image = tf.reshape(tf.range(4.0), [1, 1, 4, 1])
    one_to_the_left = tf.constant([[1.0, 0, 1, 0, 1, 0, 0, 0]])
    assert warp(image, one_to_the_left)[0, 0, :, 0].numpy().tolist() == [1, 2, 3, 3]


def test_rotation_turns_about_the_centre():
    transforms = random_transforms(64, 9, 9, Augmentation(15, 0, 0, False, 0), SEED).numpy()
    a0, a1, a2, b0, b1, b2 = transforms[:, :6].T
    np.testing.assert_allclose(a0 * 4 + a1 * 4 + a2, 4, atol=1e-4)
    np.testing.assert_allclose(b0 * 4 + b1 * 4 + b2, 4, atol=1e-4)
    angles = np.degrees(np.arctan2(b0, a0))
    assert np.abs(angles).max() <= 15.01
    assert angles.min() < -10 and angles.max() > 10


def test_shifts_stay_in_their_range():
    transforms = random_transforms(64, 20, 40, Augmentation(0, 0.15, 0, False, 0), SEED).numpy()
    assert 4 < np.abs(transforms[:, 2]).max() <= 6.001
    assert 2 < np.abs(transforms[:, 5]).max() <= 3.001


def test_brightness_is_one_factor_an_image_and_stops_at_one(images):
    lit, _ = augment(images, SEED, Augmentation(0, 0, 0, False, 0.2))
    assert lit.numpy().max() <= 1
    dark = images * 0.5
    factors = augment(dark, SEED, Augmentation(0, 0, 0, False, 0.2))[0] / dark
    spread = tf.math.reduce_max(factors, [1, 2, 3]) - tf.math.reduce_min(factors, [1, 2, 3])
    assert spread.numpy().max() < 1e-4
    assert 0.8 <= factors.numpy().min() < 0.9 and 1.1 < factors.numpy().max() <= 1.2001


def test_image_and_mask_take_the_same_transform(images):
    masks = images[..., :1]
    lit, moved = augment(images, SEED, Augmentation(brightness=0), masks)
    np.testing.assert_allclose(lit[..., :1], moved, atol=1e-6)


def test_the_same_seed_gives_the_same_images_and_another_does_not(images):
    once, again = (augment(images, SEED, Augmentation())[0] for _ in range(2))
    other, _ = augment(images, tf.constant([3, 5]), Augmentation())
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).max() > 0.1


def test_masks_grow_by_up_to_the_largest_radius():
    mask = np.zeros((200, 11, 11, 1), np.float32)
    mask[:, 5, 5] = 1
    areas = grow_masks(tf.constant(mask), SEED, 3).numpy().sum((1, 2, 3))
    assert set(areas) == {1, 9, 25, 49}


def test_sharpened_masks_keep_their_middle_and_lose_their_slope():
    masks = tf.reshape(tf.linspace(0.0, 1.0, 11), [1, 1, 11, 1])
    np.testing.assert_allclose(sharpen_masks(masks, 1.0), masks, atol=1e-6)
    np.testing.assert_allclose(
        sharpen_masks(masks, 2.0)[0, 0, :, 0],
        [0, 0, 0, 0.1, 0.3, 0.5, 0.7, 0.9, 1, 1, 1],
        atol=1e-6,
    )
    binary = sharpen_masks(masks, 100.0).numpy().ravel()
    assert binary.tolist()[:5] == [0] * 5 and binary.tolist()[6:] == [1] * 5
