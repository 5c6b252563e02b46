import itertools

import keras
import numpy as np
import pytest

from bginv.data.sources import ArraySource
from bginv.evaluation.segmentation import (
    Agreement,
    agreement,
    count_agreement,
    evaluate_masks,
    mask_predictor,
    predict_masks,
)
from bginv.ops.binarize import BINARIZATIONS


def masks(*pictures: list) -> np.ndarray:
    return np.array(pictures, np.float32)[..., None]


def source(images: np.ndarray, true: np.ndarray) -> ArraySource:
    as_bytes = [np.round(array * 255).astype(np.uint8) for array in (images, true)]
    return ArraySource(as_bytes[0], np.zeros(len(images)), as_bytes[1])


def identity(side: int) -> keras.Model:
    """A mask generator that takes the image for the mask."""
    inputs = keras.Input((side, side, 1))
    return keras.Model(inputs, keras.layers.Activation("linear")(inputs))


def test_counts_of_an_image():
    predicted = masks([[1, 1], [0, 0]], [[0.5, 0.5], [0.5, 0.5]])
    true = masks([[1, 0], [1, 0]], [[1, 0], [0, 0]])
    assert count_agreement(predicted, true).numpy().tolist() == [[1, 2, 2, 4], [0.5, 2, 1, 4]]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1, 2, 2, 4], (1 / 3, 1 / 2, 1 / 2, 1 / 2)),
        ([3, 4, 6, 20], (3 / 7, 3 / 4, 1 / 2, 1 / 5)),
        ([0.5, 2, 1, 4], (1 / 5, 1 / 4, 1 / 2, 1 / 2)),  # a soft mask of one half everywhere
        ([0, 0, 0, 4], (1, 1, 1, 0)),  # both empty
        ([0, 0, 2, 4], (0, 0, 0, 0)),  # nothing predicted
        ([0, 2, 0, 4], (0, 0, 0, 1 / 2)),  # nothing there
    ],
)
def test_ratios_of_an_image(counts, expected):
    assert agreement(np.array([counts])) == Agreement(*map(pytest.approx, expected))


def test_ratios_are_means_over_images_not_over_pixels():
    found = agreement(np.array([[1, 2, 2, 4], [4, 4, 4, 4]]))
    assert found == Agreement(*map(pytest.approx, (2 / 3, 3 / 4, 3 / 4, 3 / 4)))


def test_every_binarization_is_compared():
    soft = masks([[0.2, 0.4], [0.6, 0.8]])
    true = masks([[0, 1], [1, 1]])
    found = evaluate_masks(mask_predictor(identity(2)), source(soft, true), area=0.25)
    assert list(found) == [*BINARIZATIONS, "all foreground", "best centred box"]
    assert found["0.5"] == Agreement(*map(pytest.approx, (2 / 3, 1, 2 / 3, 1 / 2)))
    assert found["quantile"] == Agreement(*map(pytest.approx, (1 / 3, 1, 1 / 3, 1 / 4)))
    # 0.4 + 0.6 + 0.8 = 1.8 of 2 predicted and 3 true
    assert found["none"] == Agreement(*map(pytest.approx, (1.8 / 3.2, 0.9, 0.6, 0.5)))
    assert found["all foreground"] == Agreement(*map(pytest.approx, (3 / 4, 3 / 4, 1, 1)))


def test_without_a_mask_generator_the_baselines_remain():
    found = evaluate_masks(None, source(np.zeros((2, 4, 4, 1)), np.ones((2, 4, 4, 1))), 0.2)
    assert list(found) == ["all foreground", "best centred box"]
    assert found["best centred box"] == Agreement(1, 1, 1, 1)


def test_a_centred_box_is_found():
    true = np.zeros((1, 20, 20, 1))
    true[:, 4:16, 8:12] = 1
    found = evaluate_masks(None, source(true, true), 0.2)
    assert found["best centred box"] == Agreement(1, 1, 1, pytest.approx(48 / 400))
    assert found["all foreground"] == Agreement(0.12, 0.12, 1, 1)


def test_the_best_box_is_that_of_a_search_by_hand():
    rng = np.random.default_rng(0)
    true = np.zeros((5, 20, 40, 1))
    for mask in true:
        top, left = rng.integers(0, 8, 2)
        mask[top : top + rng.integers(4, 12), left + 5 : left + rng.integers(15, 30)] = 1
    true[4] = 0
    best = 0.0
    for rows, columns in itertools.product(range(1, 21), range(2, 41, 2)):
        box = np.zeros((20, 40, 1))
        top, left = (20 - rows) // 2, (40 - columns) // 2
        box[top : top + rows, left : left + columns] = 1
        unions = np.maximum(true, box).sum((1, 2, 3))
        best = max(best, float(((true * box).sum((1, 2, 3)) / unions).mean()))
    found = evaluate_masks(None, source(true, true), 0.2)["best centred box"]
    assert 0.2 < best < 0.8
    assert found.iou == pytest.approx(best)


def test_more_images_than_a_batch():
    true = np.ones((300, 2, 2, 1))
    true[200:] = 0
    found = evaluate_masks(mask_predictor(identity(2)), source(np.ones_like(true), true), 0.2)
    assert found["0.5"].iou == pytest.approx(2 / 3)
    assert found["all foreground"].iou == pytest.approx(2 / 3)


def test_soft_masks_come_in_order():
    images = np.linspace(0, 1, 300).reshape(300, 1, 1, 1) * np.ones((1, 2, 2, 1))
    predicted = np.stack(list(predict_masks(mask_predictor(identity(2)), source(images, images))))
    assert predicted.shape == (300, 2, 2, 1)
    np.testing.assert_allclose(predicted, images, atol=1 / 500)
