"""Confusion matrices: counts equal to the published code's, ratios by hand."""

import math

import numpy as np
import pytest

from bginv.data.labelled import MasksAsLabelMaps
from bginv.evaluation.segmentation import Confusion, count_confusion, segmentation_evaluator
from bginv.nn.deeplab import build_deeplab, build_segmenter


def test_parity(golden_arrays):
    reference = golden_arrays("adaptseg_iou")
    maps = zip(reference["gt"], reference["pred"], strict=True)
    total = sum(
        (count_confusion(true, predicted, 19) for true, predicted in maps),
        Confusion(np.zeros((19, 19), np.int64)),
    )
    np.testing.assert_array_equal(total.counts, reference["hist"])
    np.testing.assert_allclose(total.iou, reference["per_class_iu"], rtol=1e-6)
    assert total.mean_iou == pytest.approx(float(reference["mean_iu"]), rel=1e-6)


def test_ratios_by_hand():
    found = count_confusion([0, 0, 0, 1, 255, -1], [0, 0, 1, 1, 1, 2], 3)
    np.testing.assert_array_equal(found.counts, [[2, 1, 0], [0, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(found.iou, [2 / 3, 1 / 2, math.nan])
    assert found.mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.accuracy == 3 / 4
    assert math.isnan(Confusion(np.zeros((3, 3), np.int64)).mean_iou)


def test_other_shapes_and_predictions_are_refused():
    with pytest.raises(ValueError, match=r"one shape; received \(2,\) and \(3,\)"):
        count_confusion([0, 1], [0, 1, 1], 2)
    with pytest.raises(ValueError, match="predictions must be 0 to 1; received 0 to 2"):
        count_confusion([0, 1], [0, 2], 2)


def test_a_network_is_evaluated_with_the_weights_of_that_time(squares):
    segmenter = build_segmenter(build_deeplab("light", 3, (16, 16, 1), auxiliary=False, seed=1))
    evaluate, source = segmentation_evaluator(segmenter), MasksAsLabelMaps(squares.train)
    maps = np.concatenate([batch["label_map"] for batch in source.batches(8)])
    for last in range(3):
        for layer in segmenter.layers[-2].layers:
            if "conv2d_list" in layer.name:
                bias = np.where(np.arange(3) == last, 9, 0)
                layer.set_weights([layer.kernel.numpy() * 0, bias.astype(np.float32)])
        found = evaluate(source)
        assert found.counts[:, last].sum() == found.counts.sum() == maps.size
        assert found.counts[last, last] == (maps == last).sum()
