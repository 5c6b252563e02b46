import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.engine.settings import resolve
from bginv.methods.attention.model import build_ag_cnn, build_attention_branch, features_of
from bginv.methods.attention.settings import AttentionSettings
from bginv.methods.attention.training import AgCnnTraining, AttentionTraining
from bginv.methods.background_invariance.classifier_training import learning_rate_of
from bginv.nn.backbones import build_backbone_classifier
from bginv.nn.paper_networks import build_classifier
from tests.methods.players import moved, snapshot

SEED = tf.constant([1, 2])
LN2, LN3, LN4 = map(math.log, (2, 3, 4))


def settings(recipe: str = "paper", **given) -> AttentionSettings:
    return resolve(AttentionSettings, {"dataset": "squares", **given}, recipe)


def behind(classifier: keras.Model, **given) -> AttentionTraining:
    features = features_of(classifier)
    shapes = classifier.input_shape[1:], features.output_shape[1:]
    branch = build_attention_branch(*shapes, 2, tau=0.7, seed=1)
    return AttentionTraining(features, branch, settings(**given), 10)


def test_only_the_branch_moves_and_the_loss_falls(squares):
    method = behind(build_classifier((16, 16, 1), 2, 2))
    batch = next(iter(squares.train.batches(8)))
    branch, features = snapshot(method.branch, method.features)
    losses = [float(method.train_step(batch, SEED)["loss"]) for _ in range(10)]
    assert all(moved(branch, method.branch.get_weights()))
    assert not any(moved(features, method.features.get_weights()))
    assert losses[-1] < losses[0]


def test_statistics_of_the_global_network_stay():
    classifier = build_backbone_classifier("MobileNetV2", (32, 32, 3), 2, "none", 1)
    method = behind(classifier)
    images = tf.random.stateless_uniform([4, 32, 32, 3], [1, 2])
    before, branch = snapshot(classifier, method.branch)
    method.train_step({"image": images, "label": tf.constant([0, 1, 0, 1])}, SEED)
    assert any("moving_mean" in weight.path for weight in classifier.weights)
    assert not any(moved(before, classifier.get_weights()))
    assert all(moved(branch, method.branch.get_weights()))


def test_the_rate_of_the_branch_decays_if_asked_for():
    for decay, expected in (("none", [1e-3, 1e-3, 1e-3]), ("cosine", [1e-3, 5e-4, 0.0])):
        optimizer = behind(build_classifier((16, 16, 1), 2, 2), decay=decay).optimizer
        rates = []
        for step in (0, 5, 10):
            optimizer.iterations.assign(step)
            rates.append(float(optimizer.learning_rate))
        assert rates == pytest.approx(expected)


def test_heat_maps_that_show_nothing_are_counted():
    inputs = keras.Input((8, 8, 1))
    logits = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    method = behind(keras.Model(inputs, logits))  # the image is the heat map
    images = np.zeros((4, 8, 8, 1), np.float32)
    images[0, 2:4, 2:4] = 1
    batch = {"image": tf.constant(images), "label": tf.constant([0, 1, 0, 1])}
    assert float(method.train_step(batch, SEED)["degenerate"]) == 0.75


@pytest.mark.parametrize(
    ("labels", "local", "fusion"),
    [
        # sigmoids: 1/2 and 1/2; 3/4 and 1/4; 1/4 and 3/4
        ([0], LN4 - LN3, LN4),
        ([1], LN4, LN4 - LN3),
        ([[1, 0]], LN4 - LN3, LN4),
        ([[1, 1]], (LN4 - LN3 + LN4) / 2, (LN4 - LN3 + LN4) / 2),
        ([[0, 0]], (LN4 - LN3 + LN4) / 2, (LN4 - LN3 + LN4) / 2),
    ],
)
def test_losses_of_ag_cnn(labels, local, fusion):
    method = object.__new__(AgCnnTraining)  # without its networks
    outputs = {
        "global_logits": tf.constant([[0.0, 0.0]]),
        "local_logits": tf.constant([[LN3, -LN3]]),
        "logits": tf.constant([[-LN3, LN3]]),
    }
    found = method.losses(tf.constant(labels), outputs)
    losses = {name: float(loss) for name, loss in found.items()}
    expected = {"global": LN2, "local": local, "fusion": fusion}
    whole = 0.8 * LN2 + 0.1 * local + 0.1 * fusion
    assert losses == pytest.approx({**expected, "loss": whole})


@pytest.mark.slow
def test_a_step_of_ag_cnn_moves_all_branches():
    """Slow: it makes two DenseNets."""
    model = build_ag_cnn((32, 32, 3), 2, weights="none", seed=1)
    method = AgCnnTraining(model, settings(), 10)
    branches = [model.get_layer(f"{name}_branch") for name in ("global", "local", "fusion")]
    rates = [float(optimizer.learning_rate) for optimizer in method.optimizers.values()]
    assert rates == pytest.approx([1e-5, 1e-5, 1e-3])
    before = snapshot(*branches)
    images = tf.random.stateless_uniform([4, 32, 32, 3], [1, 2])
    metrics = method.train_step({"image": images, "label": tf.constant([0, 1, 0, 1])}, SEED)
    assert set(metrics) == {"loss", "global", "local", "fusion", "degenerate"}
    for own, branch in zip(before, branches, strict=True):
        assert np.mean(moved(own, branch.get_weights())) > 0.9, branch.name


@pytest.mark.parametrize(
    ("side", "part", "given", "expected"),
    [
        (127, "layers", {}, 1e-3),
        (128, "layers", {}, 1e-5),
        (32, "a model of the user's", {}, 1e-3),
        (32, "keras.applications", {}, 1e-5),
        (32, "layers", {"learning_rate": 0.5}, 0.5),
        (128, "layers", {"learning_rate": 0.0}, 0.0),
    ],
)
def test_the_learning_rate_is_the_papers_unless_given(side, part, given, expected):
    shape = (side, side, 3)
    inner = keras.Sequential([keras.Input(shape), keras.layers.GlobalMaxPooling2D()])
    if part == "keras.applications":
        inner = keras.applications.MobileNetV3Small(shape, weights=None, classes=2)
    inputs = keras.Input(shape)
    model = inner if part == "layers" else keras.Model(inputs, inner(inputs))
    for recipe in ("paper", "tuned"):
        assert learning_rate_of(settings(recipe, **given), model) == expected
        around = keras.Model(inputs, model(inputs))  # as calibration and robustify make it
        assert learning_rate_of(settings(recipe, **given), around) == expected
