import numpy as np
import pytest
import tensorflow as tf

from bginv.ops.compositing import KINDS, blurred, draw_backgrounds, noise, others, shuffled

SEED = tf.constant([1, 2])


@pytest.fixture
def backgrounds() -> tf.Tensor:
    """Four images, each of one value and with a corner that tells where it is."""
    values = np.zeros((4, 30, 30, 3), np.float32) + np.arange(1, 5)[:, None, None, None] / 10
    values[:, :2, :2] = 1.0
    return tf.constant(values)


def shares_of(kind: str) -> tuple[float, ...]:
    return tuple(float(kind == own) for own in KINDS)


def test_nobody_keeps_its_own_background_and_everybody_gives_one(backgrounds):
    found = others(backgrounds, SEED)[:, 10, 10, 0].numpy()
    assert sorted(found) == sorted(backgrounds[:, 10, 10, 0].numpy())
    assert (found != backgrounds[:, 10, 10, 0].numpy()).all()


def test_patches_change_places_and_keep_their_pixels():
    images = tf.random.stateless_uniform([2, 32, 32, 3], SEED)
    found = shuffled(images, SEED)
    assert not np.allclose(found, images)
    for one, other in zip(found.numpy(), images.numpy(), strict=True):
        np.testing.assert_allclose(np.sort(one.ravel()), np.sort(other.ravel()))
    patches = {found[0, r : r + 8, c : c + 8].numpy().tobytes() for r in (0, 8) for c in (0, 8)}
    known = {
        images[0, r : r + 8, c : c + 8].numpy().tobytes()
        for r in range(0, 32, 8)
        for c in range(0, 32, 8)
    }
    assert patches <= known


def test_sides_that_do_not_divide_by_four_keep_their_shape(backgrounds):
    assert shuffled(backgrounds, SEED).shape == backgrounds.shape


def test_blurring_keeps_the_mean_and_loses_detail():
    checks = (np.indices((64, 64)).sum(0) % 2).astype(np.float32)
    images = tf.constant(np.broadcast_to(checks[None, ..., None], (1, 64, 64, 3)))
    found = blurred(images).numpy()
    assert abs(found.mean() - 0.5) < 0.01 and found.std() < 0.05


def test_noise_is_a_function_of_the_seed_and_differs_from_image_to_image():
    found = noise((3, 32, 32, 3), SEED).numpy()
    np.testing.assert_array_equal(found, noise((3, 32, 32, 3), SEED))
    assert not np.allclose(found[0], found[1])
    assert found.min() >= 0 and found.max() <= 1 and found.std() > 0.05


def test_black_alone_is_black(backgrounds):
    assert not draw_backgrounds(backgrounds, shares_of("black"), SEED).numpy().any()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_stays_in_range(backgrounds, kind):
    found = draw_backgrounds(backgrounds, shares_of(kind), SEED).numpy()
    assert found.shape == backgrounds.shape and found.min() >= 0 and found.max() <= 1


def test_shares_are_those_of_the_images():
    images = tf.ones([400, 4, 4, 3])
    found = draw_backgrounds(images, (3.0, 0.0, 0.0, 0.0, 1.0), SEED).numpy()
    assert abs(found.mean() - 0.75) < 0.07
