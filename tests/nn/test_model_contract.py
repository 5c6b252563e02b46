"""What every model keeps to."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.interop.model_files import save_model
from bginv.methods.acol.model import build_acol, build_classifiers
from bginv.methods.adaptation.discriminator import build_discriminator
from bginv.methods.attention.model import build_attention_branch, features_of, join
from bginv.methods.erasing.model import build_localizer, build_network
from bginv.nn.backbones import build_backbone_classifier
from bginv.nn.background_generator import build_background_generator
from bginv.nn.deeplab import build_deeplab, build_segmenter
from bginv.nn.features import build_features, logits_alone
from bginv.nn.paper_networks import build_classifier, build_mask_unet


def attention(seed: int) -> keras.Model:
    features = features_of(build_classifier((16, 16, 3), 5, seed))
    branch = build_attention_branch((16, 16, 3), features.output_shape[1:], 5, 0.7, "relu", seed)
    return logits_alone(join(features, branch))


def acol(seed: int) -> keras.Model:
    features = build_features("resnet18", (32, 32, 3), seed=seed)
    classifiers = build_classifiers(features.output_shape[1:], 5, "pn", "conv", seed)
    return logits_alone(build_acol(features, classifiers[:1], []))


def localizer(seed: int) -> keras.Model:
    return logits_alone(
        build_localizer(build_network("resnet18", (32, 32, 3), 5, seed=seed), "gcam")
    )


MODELS = {
    "classifier": (lambda seed: build_classifier((16, 16, 3), 5, seed), (16, 16, 3), (5,)),
    "mask_unet": (lambda seed: build_mask_unet((16, 16, 3), seed), (16, 16, 3), (16, 16, 1)),
    "background_generator": (
        lambda seed: build_background_generator((16, 16, 3), 2, seed),
        (48,),
        (8, 8, 3),
    ),
    "attention": (attention, (16, 16, 3), (5,)),
    "resnet": (
        lambda seed: build_features("resnet18", (32, 32, 3), seed=seed),
        (32, 32, 3),
        (1, 1, 512),
    ),
    "bottlenecks": (
        lambda seed: build_features("wide_resnet50", (32, 32, 3), seed=seed),
        (32, 32, 3),
        (1, 1, 2048),
    ),
    "vgg": (
        lambda seed: build_features("deeplab_largefov", (32, 32, 3), seed=seed),
        (32, 32, 3),
        (4, 4, 512),
    ),
    "deeplab": (
        lambda seed: build_segmenter(build_deeplab("light", 5, auxiliary=False, seed=seed)),
        (32, 32, 3),
        (32, 32, 5),
    ),
    "discriminator": (lambda seed: build_discriminator(3, seed, 16), (64, 64, 3), (2, 2, 1)),
    "acol": (acol, (32, 32, 3), (5,)),
    "localizer": (localizer, (32, 32, 3), (5,)),
    "backbone": (
        lambda seed: build_backbone_classifier("MobileNetV2", (32, 32, 3), 5, "none", seed),
        (32, 32, 3),
        (5,),
    ),
}


@pytest.fixture(params=MODELS)
def case(request):
    build, input_shape, output_shape = MODELS[request.param]
    inputs = tf.random.stateless_uniform([4, *input_shape], [1, 2])
    return build, inputs, output_shape


@pytest.mark.slow
def test_shape_and_dtype(case):
    build, inputs, output_shape = case
    outputs = build(0)(inputs)
    assert outputs.shape == (4, *output_shape)
    assert outputs.dtype == tf.float32


@pytest.mark.slow
def test_gradients_reach_every_weight(case):
    build, inputs, _ = case
    model = build(0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs, training=True) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(float(tf.reduce_max(tf.abs(gradient))) > 0 for gradient in gradients)


def test_gradients_reach_every_weight_of_the_attention_branch():
    features = features_of(build_classifier((16, 16, 3), 5, 0))
    branch = build_attention_branch((16, 16, 3), features.output_shape[1:], 5, 0.7, "relu", 0)
    model = logits_alone(join(features, branch))
    images = tf.random.stateless_uniform([4, 16, 16, 3], [1, 2])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images, training=True) ** 2)
    gradients = tape.gradient(loss, branch.trainable_variables)
    assert len(gradients) == 12
    assert all(float(tf.reduce_max(tf.abs(gradient))) > 0 for gradient in gradients)


@pytest.mark.slow
def test_saved_model_loads_in_safe_mode_and_gives_the_same(case, tmp_path):
    build, inputs, _ = case
    model = build(0)
    save_model(model, tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(inputs), model(inputs))


@pytest.mark.slow
def test_weights_are_a_function_of_the_seed(case):
    build, _, _ = case
    first, again, other = (build(seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    kernels = [(a, b) for a, b in zip(first, other, strict=True) if a.ndim > 1 and a.any()]
    assert not any(np.array_equal(a, b) for a, b in kernels)
