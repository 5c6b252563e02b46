import subprocess
import sys
import types
import urllib.error

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format

from bginv.interop.model_files import save_model
from bginv.nn import backbones
from bginv.nn.backbones import (
    build_architecture,
    build_backbone,
    build_backbone_classifier,
    canonical_name,
    preprocess,
    preprocessing_of,
)

SHAPE = (32, 32, 3)
ALL = [name for name in vars(keras.applications) if name[0].isupper()]
NETWORKS = {
    "convnext": "ConvNeXtTiny",
    "densenet": "DenseNet121",
    "efficientnet": "EfficientNetB0",
    "efficientnet_v2": "EfficientNetV2B0",
    "inception_resnet_v2": "InceptionResNetV2",
    "inception_v3": "InceptionV3",
    "mobilenet": "MobileNet",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3": "MobileNetV3Small",
    "nasnet": "NASNetMobile",
    "resnet": "ResNet50",
    "resnet50": "ResNet50",
    "resnet_v2": "ResNet50V2",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "xception": "Xception",
}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return tf.random.stateless_uniform([3, *SHAPE], [1, 2]).numpy()


@pytest.fixture(scope="module")
def vgg19() -> keras.Model:
    return build_architecture("VGG19", SHAPE, 4, "none", seed=1)


@pytest.fixture
def no_network(monkeypatch):
    def fail(*arguments, **keywords):
        raise urllib.error.URLError("no network today")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fail)


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected) > 0
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def preprocessed(images: np.ndarray, kind: str) -> np.ndarray:
    inputs = keras.Input(images.shape[1:])
    return keras.Model(inputs, preprocess(inputs, kind))(images).numpy()


def test_there_is_a_network_of_every_module():
    modules = {
        name
        for name, module in vars(keras.applications).items()
        if isinstance(module, types.ModuleType) and hasattr(module, "preprocess_input")
    }
    assert set(NETWORKS) == modules - {"imagenet_utils"}


@pytest.mark.parametrize("module", NETWORKS)
def test_preprocessing_is_that_of_keras(images, module):
    expected = getattr(keras.applications, module).preprocess_input(images * 255)
    found = preprocessed(images, preprocessing_of(NETWORKS[module]))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_every_network_has_its_preprocessing(name):
    assert preprocessing_of(name) in ("caffe", "torch", "symmetric", "bytes")


def test_grey_images_are_repeated(images):
    grey = images[..., :1]
    for kind in ("caffe", "torch", "symmetric", "bytes"):
        found = preprocessed(grey, kind)
        np.testing.assert_array_equal(found, preprocessed(np.repeat(grey, 3, -1), kind))


@pytest.mark.parametrize("name", ["VGG19", "vgg19", "vGg19"])
def test_names_in_any_case(name):
    assert canonical_name(name) == "VGG19"


def test_an_unknown_name_lists_all():
    with pytest.raises(ValueError, match="must be auto, small, efficientnet_lite0 or one") as error:
        build_architecture("vgg18", SHAPE, 4)
    assert all(name in str(error.value) for name in ALL)
    assert "received 'vgg18'" in str(error.value)


@pytest.mark.parametrize(("name", "least"), [("VGG19", "32x32"), ("InceptionV3", "75x75")])
def test_images_that_are_too_small_are_named(name, least):
    message = f"{name}: Input size must be at least {least}.*input_shape=\\(31, 40, 3\\)"
    with pytest.raises(ValueError, match=message):
        build_architecture(name.lower(), (31, 40, 3), 4, "none")


def test_vgg19_has_the_papers_layers(vgg19):
    assert (vgg19.input_shape, vgg19.output_shape) == ((None, *SHAPE), (None, 4))
    backbone = vgg19.get_layer("vgg19")
    convolutions = [each for each in backbone.layers if isinstance(each, keras.layers.Conv2D)]
    assert len(convolutions) == 16
    kinds = [type(each).__name__ for each in vgg19.layers[-4:]]
    assert kinds == ["Flatten", "Dense", "Dense", "Dense"]
    assert vgg19.layers[-5] is backbone
    dense = [(each.units, each.activation.__name__) for each in vgg19.layers[-3:]]
    assert dense == [(4096, "relu"), (4096, "relu"), (4, "linear")]
    assert vgg19.layers[-1].name == "logits"


def test_weights_of_vgg19_are_a_function_of_the_seed(vgg19):
    again = build_architecture("vgg19", SHAPE, 4, "none", seed=1)
    assert_same(again.get_weights(), vgg19.get_weights())
    del again
    other = build_architecture("VGG19", SHAPE, 4, "none", seed=2).get_weights()
    kernels = [(a, b) for a, b in zip(vgg19.get_weights(), other, strict=True) if a.ndim > 1]
    assert len(kernels) == 19
    assert not any(np.array_equal(a, b) for a, b in kernels)


def test_other_networks_average_and_take_grey_images(images):
    colour, grey = (
        build_architecture("mobilenet", (32, 32, channels), 4, "none", seed=1)
        for channels in (3, 1)
    )
    assert [type(each).__name__ for each in colour.layers[-2:]] == [
        "GlobalAveragePooling2D",
        "Dense",
    ]
    assert grey.input_shape == (None, 32, 32, 1)
    shown = images[..., :1]
    np.testing.assert_allclose(grey(shown), colour(np.repeat(shown, 3, -1)), atol=1e-6)


@pytest.mark.parametrize("kind", ["new", "published"])
def test_weights_from_a_file(tmp_path, kind):
    own = keras.applications.MobileNet(weights=None, include_top=False, input_shape=SHAPE)
    path = tmp_path / ("m.weights.h5" if kind == "new" else "m_notop.h5")
    if kind == "new":
        own.save_weights(path)
    else:  # as the files that keras.applications downloads
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, own)
    classifier = build_architecture("MobileNet", SHAPE, 4, str(path))
    (backbone,) = (each for each in classifier.layers if isinstance(each, keras.Model))
    assert_same(backbone.get_weights(), own.get_weights())


def test_files_without_these_weights_are_refused(tmp_path):
    text, other = tmp_path / "text.h5", tmp_path / "other.weights.h5"
    text.write_text("no weights")
    keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=SHAPE, alpha=0.35
    ).save_weights(other)
    with pytest.raises(ValueError, match="--weights nowhere.h5: there is no such file; give"):
        build_architecture("MobileNet", SHAPE, 4, "nowhere.h5")
    for path in (text, other):
        message = f"--weights .*{path.name} does not hold mobilenet.* without top: "
        with pytest.raises(ValueError, match=message) as error:
            build_architecture("MobileNet", SHAPE, 4, str(path))
        assert "\n" not in str(error.value)


def test_a_file_is_of_no_use_to_the_small_classifier():
    with pytest.raises(ValueError, match="--weights a.h5 is for a network of keras.applications"):
        build_architecture("small", SHAPE, 4, "a.h5")


def test_without_a_network_imagenet_tells_what_to_do(no_network):
    message = r"ImageNet weights of mobilenet.* cannot be downloaded \(.*no network today"
    with pytest.raises(ValueError, match=message) as error:
        build_architecture("MobileNet", SHAPE, 4, "imagenet")
    assert "give a file that holds them, or none" in str(error.value)


@pytest.mark.slow
def test_imagenet_gives_the_network_of_keras(monkeypatch, tmp_path, images):
    """EfficientNet has a layer more with these weights."""
    build, arguments = (
        keras.applications.EfficientNetB0,
        {"include_top": False, "input_shape": SHAPE},
    )
    path = tmp_path / "downloaded.weights.h5"
    build(weights=None, **arguments).save_weights(path)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *args, **more: path)
    found = build_backbone("EfficientNetB0", SHAPE, "imagenet", 1)
    expected = build(weights="imagenet", **arguments)
    assert_same(found.get_weights(), expected.get_weights())
    outputs = expected(images * 255).numpy()
    np.testing.assert_allclose(found(images * 255), outputs, atol=1e-3 * np.abs(outputs).max())


@pytest.mark.parametrize(("rows", "expected"), [(127, "small"), (128, "VGG19"), (224, "VGG19")])
def test_auto_is_vgg19_from_128_rows_on(monkeypatch, rows, expected):
    asked = []
    # VGG19 for such images has 0.1 billion weights
    for name in ("build_classifier", "build_backbone_classifier"):
        monkeypatch.setattr(backbones, name, lambda *args, name=name: asked.append((name, args)))
    build_architecture("auto", (rows, 32, 3), 4, "none", 5)
    small = ("build_classifier", ((rows, 32, 3), 4, 5))
    large = ("build_backbone_classifier", ("VGG19", (rows, 32, 3), 4, "none", 5))
    assert asked == [small if expected == "small" else large]


@pytest.mark.slow
def test_saved_models_load_without_us_in_safe_mode(tmp_path, images):
    grey = images[..., :1]
    inputs = keras.Input((32, 32, 1))
    kinds = {kind: preprocess(inputs, kind, kind) for kind in backbones._SCALES}
    models = {
        "preprocessing": keras.Model(inputs, kinds),
        "classifier": build_backbone_classifier("MobileNet", (32, 32, 1), 4, "none", 1),
    }
    for name, model in models.items():
        save_model(model, tmp_path / f"{name}.keras")
    np.save(tmp_path / "images.npy", grey)
    program = (
        "import keras, numpy as np, sys\n"
        "images = np.load('images.npy')\n"
        "load = lambda name: keras.models.load_model(f'{name}.keras', safe_mode=True)\n"
        "np.save('classifier.npy', load('classifier')(images))\n"
        "np.savez('preprocessing.npz', **load('preprocessing')(images))\n"
        "assert not any(name.startswith('bginv') for name in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "classifier.npy"), models["classifier"](grey))
    found = np.load(tmp_path / "preprocessing.npz")
    for kind, expected in models["preprocessing"](grey).items():
        np.testing.assert_array_equal(found[kind], expected)
