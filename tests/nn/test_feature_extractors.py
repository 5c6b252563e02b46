import keras
import numpy as np
import pytest

from bginv.methods.erasing.model import build_head
from bginv.nn.backbones import preprocess
from bginv.nn.features import build_features, copy_weights
from bginv.nn.torchvision_networks import RESNETS, VGGS, build_resnet, build_vgg16


def drawn(model: keras.Model) -> keras.Model:
    """The model with weights under which every one of them counts."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        noise = 0.1 * rng.standard_normal(weight.shape)
        weight.assign(
            abs(1 + noise) if "gamma" in weight.path or "variance" in weight.path else noise
        )
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("ResNet50", lambda shape: build_resnet(RESNETS["resnet50"], shape, stride_first=True)),
        ("ResNet101", lambda shape: build_resnet(RESNETS["resnet101"], shape, stride_first=True)),
        ("VGG16", lambda shape: build_vgg16(VGGS["vgg16"], shape)),
    ],
)
def test_weights_of_keras_give_what_they_give_there(theirs, ours):
    shape = (64, 64, 3)
    network = getattr(keras.applications, theirs)(
        include_top=False, weights=None, input_shape=shape
    )
    drawn(network)
    own = ours(shape)
    copy_weights(network, own)
    images = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    expected = network(images).numpy()
    assert np.abs(expected).max() > 0
    assert np.abs(own(images) - expected).max() < 1e-4 * np.abs(expected).max()


def test_images_are_normalised_inside():
    features = build_features("resnet18", (32, 32, 3), seed=1)
    backbone = features.get_layer("resnet")
    images = np.random.default_rng(1).random((2, 32, 32, 3), np.float32)
    image = keras.Input((32, 32, 3))
    normalised = keras.Model(image, preprocess(image, "torch"))(images)
    np.testing.assert_array_equal(features(images), backbone(normalised))


def test_grey_images_are_taken_as_colours():
    features = build_features("resnet18", (32, 32, 1), seed=1)
    assert features(np.ones((2, 32, 32, 1), np.float32)).shape == (2, 1, 1, 512)


def test_inception_is_that_of_keras():
    assert build_features("inception", (80, 80, 3)).output_shape == (None, 1, 1, 2048)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet19",), "the network must be one of resnet18, .*; received 'resnet19'"),
        (("resnet18", "imagenet"), "Keras has no ImageNet weights of resnet18"),
        (("resnet18", "some.h5"), "weights must be none or imagenet; received 'some.h5'"),
    ],
)
def test_what_is_not_to_be_had(arguments, message):
    network, *weights = arguments
    with pytest.raises(ValueError, match=message):
        build_features(network, (32, 32, 3), *weights)


def test_vgg_flattens_channels_first_as_pytorch_does():
    head = build_head("vgg16", (7, 7, 2), 3, seed=0)
    features = np.arange(98, dtype=np.float32).reshape(1, 7, 7, 2)
    flat = keras.Model(head.input, next(one for one in head.layers if "flatten" in one.name).output)
    np.testing.assert_array_equal(flat(features)[0], np.moveaxis(features[0], -1, 0).ravel())


def test_vgg_pools_any_size_to_7x7_as_pytorch_does():
    head = build_head("vgg16", (10, 10, 1), 3, seed=0)
    features = np.random.default_rng(0).random((1, 10, 10, 1), np.float32)
    pool = next(layer for layer in head.layers if "pooling" in layer.name)
    edges = [(i * 10 // 7, -(-(i + 1) * 10 // 7)) for i in range(7)]
    expected = [
        [features[0, top:bottom, left:right, 0].mean() for left, right in edges]
        for top, bottom in edges
    ]
    np.testing.assert_allclose(pool(features)[0, ..., 0], expected, rtol=1e-5)


def test_the_options_name_every_network():
    from bginv.methods.localization_settings import NETWORKS

    assert set(NETWORKS) == {*RESNETS, *VGGS, "inception"}
