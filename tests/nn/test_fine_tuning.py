import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.nn.efficientnet_lite import build_efficientnet_lite0
from bginv.nn.fine_tuning import (
    LayerwiseAdamW,
    fine_tuned_part,
    is_deep,
    is_trained,
    leaves,
    rates_by_depth,
    split_head,
)


def small(activation: str | None = None) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="anything"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation=activation),
        ]
    )


def test_a_trained_network_is_told_by_its_weights_whatever_it_is_called():
    network = build_efficientnet_lite0((32, 32, 3), num_classes=2, seed=0)
    assert not is_trained(network) and is_deep(network) and not is_deep(small())
    pretrained = build_efficientnet_lite0((32, 32, 3), "imagenet")
    head = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(pretrained.output))
    assert is_trained(keras.Model(pretrained.input, head, name="untrained"))
    model = small()
    model.compile("sgd", "mse")
    model.fit(np.random.default_rng(0).random((8, 8, 8, 3)), np.ones((8, 3)), verbose=0)
    assert is_trained(model)


def test_layers_inside_models_keep_their_order():
    image = keras.Input((8, 8, 3))
    inner = keras.Sequential([keras.Input((8, 8, 3)), *map(conv, "ab")])
    x = conv("d")(keras.Sequential([inner, conv("c")])(image))
    assert [own.name for own in leaves(keras.Model(image, x))] == ["a", "b", "c", "d"]


def conv(name: str) -> keras.layers.Layer:
    return keras.layers.Conv2D(3, 1, name=name)


def test_a_head_is_split_off_where_it_is_a_linear_layer():
    network, head = split_head(small())
    assert network.output_shape == (None, 4) and head.units == 3
    assert split_head(small("sigmoid")) is None
    image = keras.Input((8, 8, 3))
    assert split_head(keras.Model(image, keras.layers.Flatten()(image))) is None
    logits = small()(image)
    assert split_head(keras.Model(image, logits + 1.0)) is not None
    assert split_head(keras.Model(image, logits + np.float32([0, 1, 2]))) is None


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_a_head_inside_another_model_is_split_off(activation):
    inner = small(activation)
    nested = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(2.0), inner])
    image = keras.Input((8, 8, 3))
    outputs = nested(image)
    if activation:
        outputs = keras.ops.log(outputs + 1e-30)
    around = keras.Model(image, outputs)
    images = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    for model in (nested, around):
        network, head = split_head(model)
        assert head is inner.layers[-1]
        weights = head.get_weights()
        logits = network(images) @ weights[0] + weights[1]
        expected = model(images)
        if activation and model is around:
            logits = keras.ops.log_softmax(logits)
        elif activation:
            logits = keras.ops.softmax(logits)
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share, still", [(0.0, []), (0.34, ["anything"]), (1.0, [0, 1])])
def test_the_part_that_is_fine_tuned(share, still):
    model = small()
    layers = leaves(model)
    frozen = [own.name for own in layers if own.name in still or layers.index(own) in still]
    with fine_tuned_part(model, share, fixed_batch_norm=False):
        assert [own.name for own in layers if not own.trainable] == frozen
    assert all(own.trainable for own in layers)


def test_fixed_batch_norm_keeps_its_statistics_and_what_was_frozen_stays_frozen():
    model = small()
    first, norm, _ = leaves(model)
    first.trainable = False
    images = np.random.default_rng(0).random((8, 8, 8, 3), np.float32)
    before = norm.moving_mean.numpy()
    with fine_tuned_part(model, 0.0, fixed_batch_norm=True):
        model(images, training=True)
        np.testing.assert_array_equal(norm.moving_mean, before)
    assert norm.trainable and not first.trainable
    model(images, training=True)
    assert not np.array_equal(norm.moving_mean, before)


def test_lower_layers_move_at_lower_rates():
    model = small()
    rates = rates_by_depth(model, 0.01)
    first, norm, last = (own.weights[0] for own in leaves(model))
    assert [rates[own.path] for own in (first, norm, last)] == pytest.approx([0.01, 0.1, 1.0])
    optimizer = LayerwiseAdamW(rates, learning_rate=0.1, weight_decay=0.0)
    variables = model.trainable_variables
    optimizer.build(variables)
    before = [own.numpy() for own in variables]
    optimizer.apply([tf.ones(own.shape) for own in variables], variables)
    moved = {
        own.path: abs(own.numpy() - old).max() for own, old in zip(variables, before, strict=True)
    }
    assert moved[first.path] == pytest.approx(0.001, rel=1e-3)
    assert moved[last.path] == pytest.approx(0.1, rel=1e-3)
