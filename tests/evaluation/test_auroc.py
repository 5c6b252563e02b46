import keras
import numpy as np
import pytest

from bginv.data.sources import ArraySource
from bginv.evaluation.attention import auroc_per_class, evaluate_auroc, mean_auroc


def column(*values) -> np.ndarray:
    return np.array(values)[:, None]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.1, 0.4, 0.35, 0.8), 3 / 4),  # of four pairs, one is in the wrong order
        ((0.1, 0.2, 0.3, 0.4), 1),
        ((4, 3, 2, 1), 0),
        ((7, 7, 7, 7), 1 / 2),
        ((1, 2, 2, 3), 7 / 8),  # a tie is half a pair
    ],
)
def test_the_share_of_pairs_in_order(scores, expected):
    assert auroc_per_class(column(0, 0, 1, 1), column(*scores)) == [pytest.approx(expected)]


def test_a_class_that_is_always_or_never_there_has_none():
    targets = np.array([[0, 1, 0], [0, 1, 1]])
    scores = np.array([[0.1, 0.2, 0.3], [0.3, 0.1, 0.4]])
    assert auroc_per_class(targets, scores) == [None, None, 1.0]


def test_values_agree_with_the_published_code(golden_agcnn):
    found = auroc_per_class(golden_agcnn["auc_targets"], golden_agcnn["auc_scores"])
    np.testing.assert_allclose(found, golden_agcnn["auc"], atol=1e-6)


@pytest.fixture
def brightness() -> keras.Model:
    """Three logits from the brightness, under two names: one rises with it, and two fall."""
    inputs = keras.Input((2, 2, 1))
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    layers = [keras.layers.Dense(3, use_bias=False) for _ in range(2)]
    outputs = [layer(mean) for layer in layers]
    layers[0].set_weights([np.array([[1.0, -1.0, -1.0]])])
    layers[1].set_weights([np.zeros((1, 3))])
    return keras.Model(inputs, {"logits": outputs[0], "blind": outputs[1], "unused": mean})


def levels(labels) -> ArraySource:
    """An image a label, each brighter than the one before."""
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return ArraySource(np.tile(images, (1, 2, 2, 1)), labels)


def test_each_class_against_the_others(brightness):
    # 0 is brighter than 1 in three of four pairs
    found = evaluate_auroc(brightness, [levels(np.array([1, 0, 1, 0]))], ("logits", "blind"))
    assert found == [{"logits": [0.75, 0.75, None], "blind": [0.5, 0.5, None]}]


def test_several_classes_an_image(brightness):
    labels = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]])
    (found,) = evaluate_auroc(brightness, [levels(labels)], ("logits",))
    assert found == {"logits": [0.75, 1.0, 0.0]}


def test_several_sources_and_more_images_than_a_batch(brightness):
    images = np.zeros((300, 2, 2, 1), np.uint8)
    images[290:] = 9
    sources = [
        ArraySource(images, np.repeat(labels, [290, 10]), images) for labels in ([1, 0], [0, 1])
    ]
    found = evaluate_auroc(brightness, sources, ("logits",))
    assert [values["logits"] for values in found] == [[1.0, 1.0, None], [0.0, 0.0, None]]


def test_the_mean_is_that_of_the_classes_with_a_value(brightness):
    classifier = keras.Model(brightness.input, brightness.output["logits"])
    everything_0 = levels(np.zeros(3, int))
    found = mean_auroc(classifier, [levels(np.array([0, 1, 1, 0, 0])), everything_0])
    # 0 is brighter than 1 in four of six pairs
    assert found[0] == pytest.approx(2 / 3) and np.isnan(found[1])


def test_a_model_may_know_more_classes_than_the_data(brightness):
    labels = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
    found = evaluate_auroc(brightness, [levels(labels)], ("logits",))
    assert found == [{"logits": [0.25, 0.25]}]
