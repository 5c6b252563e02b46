import gc
import itertools
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from bginv.nn import inference
from bginv.nn.fine_tuning import fine_tuned_part, split_head
from bginv.nn.inference import compiled, compiled_for

IMAGES = tf.random.stateless_uniform((3, 8, 8, 3), [1, 2])


def network(*more: keras.layers.Layer) -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    maps = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(image))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(0.5)(maps))
    for layer in more:
        pooled = layer(pooled)
    return keras.Model(image, keras.layers.Dense(2)(pooled))


@pytest.fixture(autouse=True)
def many(monkeypatch):
    """Each image is many."""
    monkeypatch.setattr(inference, "MANY_PIXELS", 1)


def test_constants_answer_as_the_network_does():
    model = network()
    fast = compiled_for(model, 3)
    assert fast is not compiled(model) and compiled_for(model, 3) is fast
    for own in (IMAGES, IMAGES[:1], IMAGES.numpy()):
        np.testing.assert_allclose(fast(own), model(own, training=False), atol=1e-5)


def test_depthwise_convolutions_take_up_normalization_and_no_gate():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    shared = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)
    maps = [keras.layers.BatchNormalization()(shared(image)) for _ in range(2)]
    found = keras.layers.DepthwiseConv2D(3, use_bias=False)(keras.layers.ReLU(6)(maps[0]))
    found = keras.layers.DepthwiseConv2D(3)(keras.layers.BatchNormalization()(found))
    gate = keras.layers.Dense(6, "sigmoid")(keras.layers.GlobalAveragePooling2D()(found))
    gated = keras.layers.Multiply()([keras.layers.DepthwiseConv2D(2, use_bias=False)(found), gate])
    pooled = map(keras.layers.GlobalAveragePooling2D(), [gated, maps[1], shared(image)])
    model = keras.Model(image, keras.layers.Concatenate()(list(pooled)))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, own.shape) for own in model.get_weights()])
    constant = convert_variables_to_constants_v2(compiled(model).get_concrete_function())
    before, after = (
        [node.op for node in own.graph.as_graph_def().node].count("Mul")
        for own in (constant, inference._folded(constant))
    )
    assert before - after == 3
    fast = compiled_for(model, 3)
    assert fast is not compiled(model)
    np.testing.assert_allclose(fast(IMAGES), model(IMAGES, training=False), rtol=1e-5)


def test_weights_that_have_changed_are_seen():
    model = network()
    before = compiled_for(model, 3)
    model.layers[-1].bias.assign([5.0, -5.0])
    after = compiled_for(model, 3)
    np.testing.assert_allclose(after(IMAGES) - before(IMAGES), [[5.0, -5.0]] * 3, atol=1e-4)


def test_what_is_to_be_trained_is_forgotten():
    model = network()
    features, _ = split_head(model)
    before = [compiled_for(own, 3) for own in (model, features)]
    with fine_tuned_part(model, 0.0, fixed_batch_norm=True):
        after = [compiled_for(own, 3) for own in (model, features)]
    assert not set(map(id, before)) & set(map(id, after))


def test_few_images_are_not_worth_it(monkeypatch):
    model = network()
    monkeypatch.setattr(inference, "MANY_PIXELS", 3 * 8 * 8 + 1)
    assert compiled_for(model, 3) is compiled(model)
    fast = compiled_for(model, 4)
    assert fast is not compiled(model) and compiled_for(model, 1) is fast
    model.layers[-1].bias.assign([5.0, -5.0])
    assert compiled_for(model, 1) is compiled(model)


def test_what_cannot_be_converted_answers_as_before():
    image = keras.Input((8, 8, 3))
    several = keras.Model(image, {"a": image + 1.0, "b": image})
    assert compiled_for(several, 3) is compiled(several)

    calls = itertools.count()

    class Wandering(keras.layers.Layer):
        """Answers that are others at each call."""

        def call(self, inputs):
            number = tf.numpy_function(lambda: np.float32(next(calls)), [], tf.float32)
            return inputs + tf.ensure_shape(number, [])

    model = network(Wandering())
    assert compiled_for(model, 3) is compiled(model)


def test_what_is_kept_of_a_network_ends_with_it():
    model = network()
    features, head = split_head(model)
    assert split_head(model)[0] is features
    assert compiled_for(features, 3)(IMAGES).shape == (3, 4)
    compiled_for(model, 3)
    gone = weakref.ref(model)
    del model, features, head
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None
