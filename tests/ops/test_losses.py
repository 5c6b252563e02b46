import math

import numpy as np
import pytest
import tensorflow as tf

from bginv.ops import losses
from tests.golden_weights import normal


def test_cross_entropy_of_even_logits_is_log_of_the_classes():
    value = losses.cross_entropy(tf.constant([0, 3]), tf.zeros([2, 4]))
    assert float(value) == pytest.approx(math.log(4))


def test_area_loss_counts_only_the_excess_of_each_image():
    masks = tf.constant([0.1, 0.6], tf.float32)[:, None, None, None] * tf.ones([2, 4, 4, 1])
    assert float(losses.area_loss(masks, 0.2)) == pytest.approx(0.4 / 2)
    assert float(losses.area_loss(masks, 0.2, "squared")) == pytest.approx(0.16 / 2)


def test_unknown_area_loss_is_refused():
    with pytest.raises(ValueError, match="abs, squared; received 'cubed'"):
        losses.area_loss(tf.zeros([1, 2, 2, 1]), 0.2, "cubed")


def test_total_variation_adds_rows_and_columns():
    mask = tf.reshape([[0.0, 1.0], [0.0, 1.0]], [1, 2, 2, 1])
    assert float(losses.total_variation(mask)) == 1
    assert float(losses.total_variation(tf.ones([1, 3, 3, 1]))) == 0


def test_brightness_penalty_starts_at_one_half():
    assert float(losses.brightness_penalty(tf.fill([1, 2, 2, 1], 0.4))) == 0
    assert float(losses.brightness_penalty(tf.fill([1, 2, 2, 1], 0.9))) == pytest.approx(0.4)


def test_reversed_gradient_has_the_other_sign_and_the_scale():
    x = tf.constant([1.0, -2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = losses.reverse_gradient(x, 3.0)
        loss = tf.reduce_sum(y**2)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(tape.gradient(loss, x), [-6.0, 12.0])


@pytest.mark.parametrize("area", [0.1, 0.2])
@pytest.mark.parametrize("kind", ["abs", "squared"])
def test_area_parity_with_the_paper(golden, area, kind):
    value = losses.area_loss(tf.constant(golden["unet/mask"]), area, kind)
    np.testing.assert_allclose(value, golden[f"mask_loss/area_{kind}/{area}"], rtol=1e-5)


def test_total_variation_parity_with_the_paper(golden):
    value = losses.total_variation(tf.constant(golden["unet/mask"]))
    np.testing.assert_allclose(value, golden["mask_loss/total_variation"], rtol=1e-5)


@pytest.fixture
def golden_losses(golden_arrays):
    return golden_arrays("adaptseg_losses")


@pytest.mark.parametrize("name", ["ce", "ce_weighted"])
def test_segmentation_parity(golden_losses, name):
    logits = tf.constant(normal(3105, (2, 19, 24, 32), 2.0))
    labels = tf.constant(golden_losses["ce_target"], tf.int32)
    weights = golden_losses["ce_class_weight"] if name == "ce_weighted" else None
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = losses.segmentation_cross_entropy(labels, logits, weights)
    gradient = tape.gradient(loss, logits).numpy()
    np.testing.assert_allclose(loss, golden_losses[name], rtol=1e-5)
    np.testing.assert_allclose(
        np.linalg.norm(gradient), golden_losses[f"{name}_grad_l2"], rtol=1e-5
    )
    expected = golden_losses[f"{name}_grad_slice"]
    np.testing.assert_allclose(gradient[0, 0].T, expected, atol=1e-4 * np.abs(expected).max())


def test_without_any_label_the_segmentation_loss_is_0():
    labels = tf.fill([1, 4, 4], 255)
    assert float(losses.segmentation_cross_entropy(labels, tf.zeros([1, 4, 4, 3]))) == 0


@pytest.mark.parametrize(("gan", "name"), [("Vanilla", "vanilla"), ("LS", "ls")])
@pytest.mark.parametrize("domain", [losses.SOURCE, losses.TARGET])
def test_domain_loss_parity(golden_losses, gan, name, domain):
    outputs = tf.constant(golden_losses["gan_out"])
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = losses.domain_loss(outputs, domain, gan)
    key = f"{name}_label{domain:.0f}"
    np.testing.assert_allclose(loss, golden_losses[key], rtol=1e-5)
    expected = golden_losses[f"{key}_grad"]
    np.testing.assert_allclose(
        tape.gradient(loss, outputs), expected, atol=1e-5 * np.abs(expected).max()
    )


def test_unknown_gan_is_refused():
    with pytest.raises(ValueError, match="one of Vanilla, LS; received 'WGAN'"):
        losses.domain_loss(tf.zeros([2]), losses.SOURCE, "WGAN")


def test_symmetric_divergence_by_hand():
    even, uneven = tf.constant([[0.0, 0.0]]), tf.constant([[np.log(3.0), 0.0]], tf.float32)
    expected = 0.5 * (0.25 * np.log(0.75 / 0.5) + 0.25 * np.log(0.5 / 0.25))
    assert float(losses.symmetric_divergence(even, uneven)) == pytest.approx(expected, rel=1e-5)
    assert float(losses.symmetric_divergence(uneven, even)) == pytest.approx(expected, rel=1e-5)
    assert float(losses.symmetric_divergence(uneven, uneven)) == pytest.approx(0.0, abs=1e-7)
