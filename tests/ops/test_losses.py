import math

import numpy as np
import pytest
import tensorflow as tf

from bginv.ops import losses


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
