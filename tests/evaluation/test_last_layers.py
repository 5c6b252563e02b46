import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.evaluation import last_layers
from bginv.evaluation.calibration import collect_logits
from bginv.evaluation.last_layers import LastLayers


def network(activation: str | None = None) -> keras.Model:
    image = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(5, 3, strides=2)(image)
    x = keras.layers.GlobalMaxPooling2D()(x)
    return keras.Model(image, keras.layers.Dense(2, activation=activation)(x))


def test_a_last_layer_gives_the_logits_of_the_whole(squares):
    classifier = network()
    model, found = LastLayers({"train": squares.train}).of(classifier)
    features = found["train"]
    assert features.image_shape == (5,) and len(features) == len(squares.train)
    for own, source in ((features, squares.train), (features.first(7), squares.train.first(7))):
        logits, labels = collect_logits(model, own)
        expected, same = collect_logits(classifier, source)
        np.testing.assert_allclose(logits, expected, atol=1e-5)
        np.testing.assert_array_equal(labels, same)
    records = features.gather(tf.constant([3, 1], tf.int64))
    assert records["label"].numpy().tolist() == squares.train.labels[[3, 1]].tolist()


def test_probabilities_become_logits(squares):
    classifier = network("softmax")
    model, found = LastLayers({"train": squares.train}).of(classifier)
    logits, _ = collect_logits(model, found["train"])
    expected, _ = collect_logits(classifier, squares.train)
    np.testing.assert_allclose(keras.ops.softmax(logits), expected, atol=1e-5)


def test_features_are_those_of_the_weights(squares):
    classifier = network()
    splits = LastLayers({"train": squares.train})
    _, first = splits.of(classifier)
    classifier.layers[-1].kernel.assign(tf.ones((5, 2)))
    _, again = splits.of(classifier)
    assert again["train"] is first["train"]
    classifier.layers[1].kernel.assign_add(tf.ones((3, 3, 1, 5)))
    model, new = splits.of(classifier)
    assert new["train"] is not first["train"]
    logits, _ = collect_logits(model, new["train"])
    np.testing.assert_allclose(logits, collect_logits(classifier, squares.train)[0], atol=1e-4)


@pytest.mark.parametrize("activation, most", [("sigmoid", 2**28), (None, 10)])
def test_images_stay_where_features_are_of_no_use(squares, monkeypatch, activation, most):
    monkeypatch.setattr(last_layers, "MOST_BYTES", most)
    classifier = network(activation)
    model, found = LastLayers({"train": squares.train}).of(classifier)
    assert model is classifier and found["train"] is squares.train
