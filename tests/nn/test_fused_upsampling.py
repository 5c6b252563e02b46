import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from bginv.nn.background_generator import build_background_generator
from bginv.nn.layers import fuse_upsampling, upsampled_convolution
from bginv.nn.paper_networks import build_mask_unet


def test_a_pixel_by_hand():
    # one bright pixel becomes 2x2 pixels; a kernel that adds up its neighbourhood counts them
    image = np.zeros((1, 3, 3, 1), np.float32)
    image[0, 1, 1, 0] = 1
    ones = tf.ones([3, 3, 1, 1])
    found = upsampled_convolution(tf.constant(image), ones, tf.constant([0.5])).numpy()[0, ..., 0]
    line = np.array([0, 1, 2, 2, 1, 0])
    np.testing.assert_allclose(found, np.outer(line, line) + 0.5, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("build", [build_mask_unet, lambda *own: build_background_generator(*own)])
def test_the_same_numbers_and_gradients(build, channels):
    if build is not build_mask_unet:
        model, given = build((16, 16, channels), 1, 0), (3, 16 * channels)
    else:
        model, given = build((16, 16, channels), 0), (3, 16, 16, channels)
    fused = fuse_upsampling(model)
    assert not any(isinstance(layer, layers.UpSampling2D) for layer in fused.layers)
    inputs = tf.random.stateless_normal(given, [1, 2])
    gradients = []
    for own in (model, fused):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(own(inputs, training=True) ** 2)
        gradients.append(tape.gradient(loss, model.trainable_variables))
    np.testing.assert_allclose(fused(inputs), model(inputs), atol=1e-6)
    for plain, own in zip(*gradients, strict=True):
        np.testing.assert_allclose(own, plain, atol=1e-4 * float(tf.reduce_max(abs(plain))))


def test_the_model_saves_as_before(tmp_path):
    model = build_mask_unet((16, 16, 1), 0)
    inputs = tf.random.stateless_normal((2, 16, 16, 1), [1, 2])
    fuse_upsampling(model)
    model.save(tmp_path / "unet.keras")
    again = keras.models.load_model(tmp_path / "unet.keras")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    np.testing.assert_array_equal(again(inputs), model(inputs))


def test_what_is_not_plain_stays_as_it_is():
    x = inputs = layers.Input([8, 8, 1])
    x = layers.UpSampling2D(interpolation="bilinear")(x)
    x = layers.UpSampling2D()(layers.Conv2D(2, 3, padding="same")(x))
    both = layers.Concatenate()([layers.Conv2D(2, 3, padding="same", use_bias=False)(x), x])
    model = keras.Model(inputs, layers.Conv2D(1, 3, strides=2, padding="same")(both))
    given = tf.random.stateless_normal((2, 8, 8, 1), [1, 2])
    np.testing.assert_allclose(fuse_upsampling(model)(given), model(given), atol=1e-6)


def test_models_without_a_graph_stay_as_they_are():
    model = keras.Sequential([layers.UpSampling2D(), layers.Conv2D(1, 3, padding="same")])
    assert fuse_upsampling(model) is model
