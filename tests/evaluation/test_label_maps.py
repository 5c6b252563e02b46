import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.data.sources import ArraySource
from bginv.evaluation.segmentation import count_classes, evaluate_label_maps
from bginv.ops.cams import enlarge_maps, segmentation_maps


def test_counts_of_the_reference(golden_arrays):
    reference = golden_arrays("eader_metrics")
    counts = None
    for predicted, true in zip(reference["pred"], reference["target"], strict=True):
        own = count_classes(true, predicted, 20)
        counts = own if counts is None else counts + own
    np.testing.assert_array_equal(counts.intersection, reference["intersection"])
    np.testing.assert_array_equal(counts.union, reference["union"])
    np.testing.assert_array_equal(counts.true[1:], reference["gt_pixel_count"][1:])
    np.testing.assert_array_equal(counts.predicted[1:], reference["predicted_pixel_count"][1:])
    assert counts.iou.mean() == pytest.approx(float(reference["miou"]), rel=1e-5)
    means = counts.precision[1:].mean(), counts.recall[1:].mean()
    expected = (reference["precision_no_background"], reference["recall_no_background"])
    assert means == pytest.approx(tuple(map(float, expected)), rel=1e-5)
    for name, own in (
        ("miou", counts.iou), ("precision", counts.precision), ("recall", counts.recall)
    ):  # fmt: skip
        # the reference takes class 0 for "no class"
        np.testing.assert_allclose(own[1:], reference[f"{name}_per_index"][1:], rtol=1e-5)


def test_counts_by_hand():
    counts = count_classes(np.array([0, 1, 2, 255]), np.array([0, 1, 1, 2]), 2)
    np.testing.assert_array_equal(counts.intersection, [1, 1, 0])
    np.testing.assert_array_equal(counts.union, [1, 2, 1])
    np.testing.assert_allclose(counts.iou, [1, 0.5, 0])
    np.testing.assert_allclose(counts.precision, [1, 0.5, 0])
    np.testing.assert_allclose(counts.recall, [1, 1, 0])


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"received \(2, 2\) and \(2, 3\)"):
        count_classes(np.zeros((2, 2)), np.zeros((2, 3)), 1)


@pytest.mark.parametrize("attention", ["gcam", "cam"])
@pytest.mark.parametrize("threshold", [30, 50])
def test_segmentation_maps_of_the_reference(golden_arrays, attention, threshold):
    reference = golden_arrays("eader_resnet18")
    rows, classes = (reference[f"{attention}__{name}"] for name in ("image_index", "new_targets"))
    for image, present in enumerate(reference["targets"]):
        own = [i for i in range(len(rows)) if rows[i] == image]
        maps = np.zeros((1, 112, 112, 20), np.float32)
        for i in own:
            maps[0, ..., classes[i]] = reference[f"{attention}__maps"][i, 0]
        resized = tf.image.resize(maps, (90, 100), "bilinear")
        found = segmentation_maps(resized, present[None], threshold / 100)
        expected = reference[f"{attention}__seg_t{threshold}_image{image}"]
        assert (found.numpy() != expected).mean() <= 0.005


def test_a_flat_map_stays_zero_and_others_go_from_0_to_1():
    maps = tf.constant([[[2.0, 2.0], [2.0, 2.0]], [[-1.0, 0.0], [1.0, 3.0]]])
    enlarged = enlarge_maps(maps, (4, 4)).numpy()
    assert not enlarged[0].any()
    assert enlarged[1].min() == 0 and enlarged[1].max() == 1


class LabelMaps(ArraySource):
    """Its masks are label maps."""

    has_label_maps = True

    def gather(self, indices):
        records = super().gather(indices)
        return {**records, "label_map": tf.cast(records.pop("mask")[..., 0] * 255, tf.int32)}


def test_the_localizers_maps_of_the_classes_that_are_there_count():
    images = np.zeros((1, 2, 4, 3), np.uint8)
    images[0, :, :2, 0], images[0, :, 2:, 1] = 255, 255
    true = np.array([[1, 1, 2, 255], [1, 0, 2, 0]], np.uint8)[None, ..., None]
    image = keras.Input((2, 4, 3))
    maps = keras.layers.Identity()(image)
    logits = keras.layers.GlobalAveragePooling2D()(image)
    localizer = keras.Model(image, {"logits": logits, "maps": maps})
    source = LabelMaps(images, np.array([[1, 1, 0]]), true)
    counts = evaluate_label_maps(localizer, source, 0.3)
    np.testing.assert_array_equal(counts.intersection, [0, 3, 2, 0])
    np.testing.assert_array_equal(counts.predicted, [0, 4, 3, 0])
    np.testing.assert_array_equal(counts.true, [2, 3, 2, 0])
    # the second class is hidden where it is not named
    counts = evaluate_label_maps(localizer, LabelMaps(images, np.array([[1, 0, 0]]), true), 0.3)
    np.testing.assert_array_equal(counts.predicted, [3, 4, 0, 0])


def test_a_localizer_may_know_more_classes_than_the_data():
    image = keras.Input((2, 4, 3))
    maps = keras.layers.Identity()(image)
    logits = keras.layers.GlobalAveragePooling2D()(image)
    localizer = keras.Model(image, {"logits": logits, "maps": maps})
    source = LabelMaps(
        np.full((1, 2, 4, 3), 255, np.uint8), np.array([[1, 0]]), np.ones((1, 2, 4, 1), np.uint8)
    )
    assert evaluate_label_maps(localizer, source, 0.3).true.tolist() == [0, 8, 0]
