import shutil

import h5py
import keras
import numpy as np
import pytest

from bginv.evaluation.calibration import with_temperature
from bginv.interop.model_files import save_model
from bginv.interop.paper_h5 import (
    is_paper_classifier,
    load_background_generator_h5,
    load_classifier_h5,
    load_mask_unet_h5,
)
from bginv.methods.acol.model import build_acol, build_classifiers
from bginv.nn.backbones import build_backbone_classifier
from bginv.nn.background_generator import (
    backgrounds_from_noise,
    build_background_generator,
    fitting_tiles,
)
from bginv.nn.paper_networks import build_classifier


@pytest.mark.parametrize(
    ("file", "load", "key"),
    [
        ("m1.h5", load_classifier_h5, "classifier/logits"),
        ("m3.h5", load_classifier_h5, "adversarial/logits"),
        ("u1.h5", load_mask_unet_h5, "unet/mask"),
    ],
)
def test_outputs_equal_the_papers(golden, golden_dir, file, load, key):
    np.testing.assert_allclose(load(golden_dir / file)(golden["x"]), golden[key], atol=1e-4)


def test_the_state_of_an_optimizer_is_left_alone(golden, golden_dir, tmp_path):
    path = tmp_path / "m1.h5"
    shutil.copyfile(golden_dir / "m1.h5", path)
    with h5py.File(path, "r+") as file:
        shapes = {
            name: layer[name].shape
            for layer in file["model_weights"].values()
            for name in layer.attrs["weight_names"]
        }
        # as Keras 2 writes it: the steps, then two moments of each weight
        state = {"iteration:0": np.int64(900)}
        for name, shape in shapes.items():
            state |= {f"Adam/{moment}/{name}": np.ones(shape, np.float32) for moment in "mv"}
        assert len(state) == 1 + 2 * 10
        optimizer = file.create_group("optimizer_weights")
        for name, value in state.items():
            optimizer[name] = value
        optimizer.attrs["weight_names"] = list(state)
    logits = load_classifier_h5(path)(golden["x"])
    np.testing.assert_allclose(logits, golden["classifier/logits"], atol=1e-4)


def test_backgrounds_equal_the_papers(golden, golden_dir):
    generator = load_background_generator_h5(golden_dir / "m3-back.h5", (32, 32, 1))
    backgrounds = backgrounds_from_noise(generator, golden["generator/noise"], 2)
    np.testing.assert_allclose(backgrounds, golden["generator/background"], atol=1e-4)
    tiles = generator(golden["generator/noise"]).numpy().reshape(16, 2, 2, 16, 16, 1)
    np.testing.assert_allclose(tiles, golden["generator/tiles"], atol=1e-4)


@pytest.mark.parametrize("side", [24, 28, 32])
def test_generators_of_every_tile_count_come_back(tmp_path, side):
    for tiles in fitting_tiles((side, side, 1)):
        generator = build_background_generator((side, side, 3), tiles, tiles)
        path = tmp_path / f"{tiles}.h5"
        save_model(generator, path)
        loaded = load_background_generator_h5(path, (side, side, 3))
        assert loaded.output_shape == generator.output_shape
        assert all(
            np.array_equal(a, b)
            for a, b in zip(loaded.get_weights(), generator.get_weights(), strict=True)
        )


def test_a_file_of_another_model_is_refused(tmp_path):
    path = tmp_path / "m.h5"
    save_model(build_classifier((16, 16, 1), 2), path)
    with pytest.raises(ValueError, match="m.h5 does not hold the paper's mask_unet"):
        load_mask_unet_h5(path)
    with pytest.raises(ValueError, match="takes inputs of shape"):
        load_background_generator_h5(path, (16, 16, 1))


def test_what_the_file_could_not_give_back_is_not_the_papers():
    classifier = build_classifier((16, 16, 1), 2)
    assert is_paper_classifier(classifier)
    assert not is_paper_classifier(with_temperature(classifier, 2.0))
    features = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Conv2D(4, 3)])
    heads = build_classifiers((14, 14, 4), 2, "p")
    assert not is_paper_classifier(build_acol(features, heads, ()))


def vgg19_of_the_paper(side: int, num_classes: int) -> keras.Model:
    """As the paper's code builds it: Python code turns the colours around and takes the mean."""
    layers = keras.layers
    image = layers.Input((side, side, 3))
    x = layers.Lambda(lambda pixels: pixels[..., ::-1] * 255)(image)
    x = layers.Lambda(lambda pixels: pixels - keras.ops.array([103.939, 116.779, 123.68]))(x)
    x = keras.applications.VGG19(include_top=False, weights=None, input_shape=(side, side, 3))(x)
    x = layers.Flatten()(x)
    for _ in range(2):
        x = layers.Dense(4096, activation="relu")(x)
    return keras.Model(image, layers.Dense(num_classes)(x))


def test_the_papers_vgg19_is_read_by_its_weights_alone(tmp_path):
    model = vgg19_of_the_paper(128, 3)
    images = np.random.default_rng(0).random((2, 128, 128, 3), np.float32)
    expected = model(images).numpy()
    model.save(tmp_path / "m.h5")
    loaded = load_classifier_h5(tmp_path / "m.h5")
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in loaded.layers)
    np.testing.assert_allclose(loaded(images), expected, atol=1e-3 * np.abs(expected).max())
    assert is_paper_classifier(loaded)


def test_small_classifiers_of_large_images_are_not_the_papers(tmp_path):
    path = tmp_path / "m.h5"
    save_model(build_classifier((128, 128, 3), 2), path)
    assert load_classifier_h5(path) is None


def own_classifier(side: int) -> keras.Model:
    image = keras.Input((side, side, 3))
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: build_classifier((32, 32, 1), 7), True),
        (lambda: build_classifier((127, 127, 3), 2), True),
        (lambda: build_classifier((128, 128, 3), 2), False),
        (lambda: build_backbone_classifier("MobileNet", (32, 32, 3), 2, "none"), False),
        (lambda: build_backbone_classifier("VGG19", (32, 32, 3), 2, "none"), False),
        (lambda: own_classifier(32), False),
        (lambda: own_classifier(128), False),
    ],
)
def test_the_papers_architectures_are_known(build, expected):
    assert is_paper_classifier(build()) is expected


def test_a_classifier_of_any_image_size_is_not_the_papers():
    image = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    assert not is_paper_classifier(keras.Model(image, keras.layers.Dense(2)(pooled)))


def test_a_generator_for_other_images_is_refused(tmp_path):
    path = tmp_path / "g.h5"
    save_model(build_background_generator((32, 32, 1), 1), path)
    with pytest.raises(ValueError, match="no background generator for 8x8x1 images"):
        load_background_generator_h5(path, (8, 8, 1))


def test_a_model_without_weights_is_refused(tmp_path):
    inputs = keras.Input((16, 16, 1))
    save_model(keras.Model(inputs, keras.layers.Flatten()(inputs)), tmp_path / "m.h5")
    with pytest.raises(ValueError, match="m.h5 holds a model without weights"):
        load_classifier_h5(tmp_path / "m.h5")
