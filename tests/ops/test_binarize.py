import numpy as np
import pytest
import tensorflow as tf

from bginv.ops.binarize import BINARIZATIONS, binarize, otsu_threshold

GOLDEN_KEYS = {"otsu": "otsu", "0.5": "half", "quantile": "quantile_0.2"}


def two_levels(low: float, high: float) -> tf.Tensor:
    mask = np.full((1, 4, 4, 1), low, np.float32)
    mask[0, :2] = high
    return tf.constant(mask)


def test_otsu_separates_two_levels_that_a_fixed_threshold_does_not():
    mask = two_levels(0.1, 0.3)
    assert binarize(mask, "otsu").numpy()[0, :, 0, 0].tolist() == [1, 1, 0, 0]
    assert binarize(mask, "0.5").numpy().sum() == 0


def test_otsu_sets_a_threshold_for_each_image():
    masks = tf.concat([two_levels(0.1, 0.3), two_levels(0.7, 0.9)], 0)
    assert binarize(masks, "otsu").numpy().sum((1, 2, 3)).tolist() == [8, 8]


def test_otsu_of_a_constant_mask_keeps_the_whole_image():
    constant = tf.fill([2, 3, 3, 1], 0.3)
    np.testing.assert_array_equal(otsu_threshold(constant), [np.float32(0.3)] * 2)
    assert binarize(constant, "otsu").numpy().all()


def test_quantile_keeps_the_brightest_share():
    mask = tf.reshape(tf.random.shuffle(tf.range(100.0), seed=1) / 100, [1, 10, 10, 1])
    kept = binarize(mask, "quantile", area=0.2)
    assert kept.numpy().sum() == 20
    assert tf.boolean_mask(mask, kept > 0).numpy().min() > 0.79


def test_none_leaves_the_mask_soft():
    mask = two_levels(0.1, 0.3)
    assert binarize(mask, "none") is mask


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="one of otsu, 0.5, quantile, none; received 'half'"):
        binarize(two_levels(0, 1), "half")


@pytest.mark.parametrize("method", BINARIZATIONS)
def test_batched_in_graph_equals_one_by_one(method):
    masks = tf.random.stateless_uniform([5, 8, 8, 1], [1, 2])
    together = tf.function(binarize)(masks, method, 0.3)
    alone = tf.concat([binarize(masks[i : i + 1], method, 0.3) for i in range(5)], 0)
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("method", GOLDEN_KEYS)
def test_parity_with_the_paper(golden, method):
    binary = binarize(tf.constant(golden["unet/mask"]), method, 0.2)
    differing = np.mean(binary.numpy() != golden[f"binarize/{GOLDEN_KEYS[method]}"])
    assert differing <= (0.001 if method == "otsu" else 0)
