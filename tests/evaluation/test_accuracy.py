import keras
import numpy as np
import pytest

from bginv.data.sources import ArraySource, Dataset
from bginv.evaluation.accuracy import Accuracies, evaluate_accuracy


@pytest.fixture
def brightness_classifier() -> keras.Model:
    """Logits that say 1 where the mean is above one half."""
    inputs = keras.Input((2, 2, 1))
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    head = keras.layers.Dense(2)
    outputs = head(mean)
    head.set_weights([np.array([[-1.0, 1.0]]), np.array([0.5, -0.5])])
    return keras.Model(inputs, outputs)


def test_counts_over_batches_of_every_size(brightness_classifier):
    def source(bright: int, dark: int) -> ArraySource:
        images = np.zeros((bright + dark, 2, 2, 1), np.uint8)
        images[:bright] = 255
        return ArraySource(images, np.ones(bright + dark))

    dataset = Dataset(
        "d", source(3, 1), {"clean": source(300, 100), "b": source(1, 3)}, ("0", "1"), (2, 2, 1)
    )
    accuracies = evaluate_accuracy(brightness_classifier, dataset)
    assert accuracies == Accuracies({"clean": 0.75, "b": 0.25}, train=0.75)
    assert accuracies.line() == "0.75,0.75,0.25"
    assert evaluate_accuracy(brightness_classifier, dataset, with_train=False).train is None


def test_the_mean_leaves_the_clean_test_out():
    assert Accuracies({"clean": 1.0, "a": 0.2, "b": 0.4}).mean_background == pytest.approx(0.3)
    assert Accuracies({"clean": 1.0}).mean_background is None


def test_the_mean_is_that_of_objects_on_other_backgrounds():
    found = Accuracies({"clean": 1.0, "a": 0.2, "b": 0.4, "background_only": 0.9})
    assert found.mean_background == pytest.approx(0.3)
    assert Accuracies({"clean": 1.0}).mean_background is None


def test_a_test_from_the_same_places_is_no_other_background():
    tests = {"clean": 1.0, "val": 0.9, "validation": 0.9, "rest": 0.8, "test": 0.7, "snow": 0.2}
    assert Accuracies(tests).mean_background == 0.2
    assert Accuracies({"clean": 1.0, "val": 0.9}).mean_background is None
