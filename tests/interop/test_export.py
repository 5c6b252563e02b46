import dataclasses
import importlib.util
import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.data.catalog import load_data
from bginv.data.sources import ArraySource, Dataset
from bginv.engine.loop import train
from bginv.interop import formats
from bginv.interop.export import (
    DEFAULT_FORMATS,
    check_formats,
    comparison_images,
    export_files,
    export_model,
)
from bginv.interop.formats import FORMATS, read_class_names
from bginv.methods.erasing.model import build_localizer, build_network
from bginv.nn.efficientnet_lite import build_efficientnet_lite0
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from tests.nn.test_model_contract import attention

EXACT = ("keras", "safetensors", "saved_model", "onnx", "litert", "h5")


def needed(name: str) -> None:
    missing = FORMATS[name].missing()
    if missing:
        pytest.skip(f"{name} needs {', '.join(missing)}, which pip install 'bginv[export]' brings")


@pytest.fixture(scope="module")
def digits():
    """A classifier of digits that tells most of them, and the data."""
    from bginv.library.methods import classifier_training

    data = load_data("digits")
    classifier = build_classifier(data.image_shape, 10, 0)
    method = classifier_training(classifier, 64, 120)
    train(method, data.train, method.settings)
    return classifier, data


def test_images_to_compare_on_are_from_everywhere():
    """Arrays of users are often sorted by class."""
    images = np.repeat(np.arange(3, dtype=np.uint8), 300)[:, None, None, None] * np.uint8([100])
    source = ArraySource(
        np.broadcast_to(images, (900, 8, 8, 1)).copy(), np.repeat(np.arange(3), 300)
    )
    data = Dataset("sorted", source, {"clean": source}, ("a", "b", "c"), (8, 8, 1))
    shown, calibration, _ = comparison_images(build_classifier((32, 32, 1), 3), data, 12)
    for found in (shown, calibration):
        _, counts = np.unique(found[:, 0, 0, 0], return_counts=True)
        assert len(counts) == 3 and counts.max() - counts.min() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["saved_model", "litert"])
def test_names_that_begin_with_an_underscore(tmp_path, name):
    """TensorFlow saves no such variables; those of networks ported from PyTorch may be so."""
    needed(name)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="_conv"),
            keras.layers.BatchNormalization(name="_norm"),
            keras.layers.Flatten(name="_flat"),
            keras.layers.Dense(2, name="_head"),
        ]
    )
    images = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    files = export_files(tmp_path, "own", [name])
    (found,) = export_model(network, files, images, images, ("a", "b")).values()
    assert found.problem is None and found.difference < 1e-4


@pytest.mark.slow
def test_the_default_of_photographs_is_exported_by_keras_too(tmp_path):
    build_efficientnet_lite0((32, 32, 3), None, 2).export(tmp_path / "model", verbose=False)
    assert (tmp_path / "model" / "saved_model.pb").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_a_classifier_agrees_with_it(digits, tmp_path, name):
    needed(name)
    classifier, data = digits
    images, calibration, names = comparison_images(classifier, data, 450)
    files = export_files(tmp_path, "digits", [name])
    (found,) = export_model(classifier, files, images, calibration, names).values()
    assert found.problem is None and found.path == files[name]
    assert found.agreement == 1 if name in EXACT else found.agreement >= 0.99
    assert found.difference < (1e-4 if name in EXACT else 6)
    assert found.size > 50_000 and found.milliseconds > 0
    assert read_class_names(found.path) == ([] if name == "h5" else [str(i) for i in range(10)])
    assert [path.name for path in tmp_path.iterdir()] == [files[name].name]
    loaded = FORMATS[name].load(found.path)
    np.testing.assert_allclose(
        next(iter(loaded(images[:3]).values())).argmax(-1),
        classifier(images[:3]).numpy().argmax(-1),
    )


def test_files_stand_alone(digits, tmp_path):
    classifier, data = digits
    compared = comparison_images(classifier, data, 8)
    files = export_files(tmp_path, "m", ["keras", "saved_model"])
    export_model(classifier, files, *compared)
    assert keras.models.load_model(files["keras"], safe_mode=True).output_shape == (None, 10)
    serve = tf.saved_model.load(str(files["saved_model"])).signatures["serving_default"]
    assert set(serve.structured_outputs) == {"logits"}
    assert set(serve.structured_input_signature[1]) == {"image"}
    with pytest.raises(ValueError, match="exists already"):
        export_model(classifier, files, *compared)
    export_model(classifier, files, *compared, overwrite=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "litert", "litert_int8"])
@pytest.mark.parametrize("kind", ["masks", "attention"])
def test_masks_and_the_attention_baseline(tmp_path, name, kind):
    needed(name)
    model = build_mask_unet((16, 16, 3), 0) if kind == "masks" else attention(0)
    images = np.random.default_rng(0).random((32, 16, 16, 3), np.float32)
    (found,) = export_model(model, export_files(tmp_path, "m", [name]), images, images).values()
    assert found.problem is None
    assert found.difference < (1e-5 if name != "litert_int8" else 0.1)


@pytest.mark.slow
def test_a_localizer_keeps_the_names_of_its_outputs(tmp_path):
    needed("litert")
    model = build_localizer(build_network("resnet18", (32, 32, 3), 3, seed=0), "cam")
    images = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    (found,) = export_model(model, export_files(tmp_path, "m", ["litert"]), images, images).values()
    assert found.problem is None and found.difference < 1e-4
    assert set(FORMATS["litert"].load(found.path)(images)) == {"logits", "maps"}


@keras.saving.register_keras_serializable("tests")
class Loops(keras.layers.Layer):
    """Halves its input until it is small."""

    def call(self, images):
        (found,) = tf.while_loop(lambda x: tf.reduce_max(x) > 0.1, lambda x: (x / 2,), (images,))
        return tf.reduce_mean(found, [1, 2])


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path):
    needed("litert_int8")
    model = keras.Sequential([keras.Input((8, 8, 2)), Loops()])
    images = np.random.default_rng(0).random((4, 8, 8, 2), np.float32)
    files = export_files(tmp_path, "m", ["litert_int8", "h5", "saved_model"])
    found = export_model(model, files, images, images)
    assert (
        found["litert_int8"].problem == "the model has a loop, which LiteRT cannot have in 8 bits"
    )
    assert "is not written in Keras 2's form" in found["h5"].problem
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_formats_and_packages_are_checked_first(monkeypatch):
    with pytest.raises(ValueError, match="formats are keras, .*; received 'pickle'"):
        check_formats(["keras", "pickle"])
    find = importlib.util.find_spec
    monkeypatch.setattr(
        formats.importlib.util, "find_spec", lambda name: None if "onnx" in name else find(name)
    )
    with pytest.raises(
        ValueError, match="^onnx needs packages .* pip install tf2onnx onnx onnxrun"
    ):
        check_formats(["onnx", "keras"])
    check_formats(["keras"])


def test_the_command(digits, command, tmp_path):
    digits[0].save(tmp_path / "m.keras")
    words = ("export", "m.keras", "--dataset", "digits", "--formats", "keras,saved_model")
    code, out, err = command(None, *words, "--output", "out", "--images", "50")
    assert code == 0, err
    rows = {line.split("|")[1].strip(): line for line in out.splitlines()[2:]}
    assert list(rows) == ["keras", "saved_model"] and "100.0" in rows["saved_model"]
    assert (tmp_path / "out" / "m.keras").is_file()
    with zipfile.ZipFile(tmp_path / "out" / "m.keras") as archive:
        assert json.loads(archive.read("config.json")) and "labels.txt" in archive.namelist()
    code, _, err = command(None, *words, "--output", "out", "--no-card")
    assert code == 2 and "m.keras exists already" in err
    card = (tmp_path / "out" / "README.md").read_bytes()
    one_more = ("export", "m.keras", "--formats", "h5", "--output", "out")
    code, _, err = command(None, *one_more)
    assert code == 2 and "README.md exists already: --no-card leaves it as it is" in err
    assert command(None, *one_more, "--no-card")[0] == 0
    assert (tmp_path / "out" / "README.md").read_bytes() == card
    code, _, err = command(None, "export", "m.keras", "--dataset", "shapes", "--output", "o")
    assert code == 2 and "takes images of 32x32x1, but those of shapes are 64x64x3" in err
    code, _, err = command(None, "export", "m.keras", "--formats", "h4")
    assert code == 2 and "formats are keras" in err


def test_h5_is_not_among_the_formats_that_nobody_asked_for():
    assert set(FORMATS) - set(DEFAULT_FORMATS) == {"h5"}


def test_overwriting_spares_what_is_no_export_and_what_still_works(tmp_path, monkeypatch):
    needed("litert")
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()], name="flat")
    images = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats/cat.jpg").write_text("mine")
    with pytest.raises(ValueError, match="cats is a folder with something else in it"):
        files = export_files(tmp_path, "cats", ["saved_model"])
        export_model(model, files, images, images, overwrite=True)
    files = export_files(tmp_path, "good", ["litert"])
    export_model(model, files, images, images)
    before = files["litert"].read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(FORMATS, "litert", dataclasses.replace(FORMATS["litert"], write=full))
    found = export_model(model, files, images, images, overwrite=True)
    assert "no space left" in found["litert"].problem
    assert files["litert"].read_bytes() == before
    assert (tmp_path / "cats/cat.jpg").read_text() == "mine"


def test_outputs_in_a_list_get_numbers(tmp_path):
    image = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(image)
    model = keras.Model(image, [keras.layers.Dense(2)(flat), keras.layers.Dense(3)(flat)])
    images = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    files = export_files(tmp_path, "two", ["saved_model"])
    (found,) = export_model(model, files, images, images).values()
    assert found.problem is None and found.difference < 1e-5
    assert set(FORMATS["saved_model"].load(found.path)(images)) == {"output_0", "output_1"}


@pytest.mark.parametrize("name", ["saved_model", "onnx", "litert"])
@pytest.mark.parametrize("kind", ["RandomFlip", "RandomRotation"])
def test_random_layers_do_nothing_in_files(kind, name, tmp_path):
    needed(name)
    first = getattr(keras.layers, kind)(*([] if kind == "RandomFlip" else [0.3]))
    stack = [keras.Input((16, 16, 3)), first, keras.layers.Flatten(), keras.layers.Dense(2)]
    images = np.random.default_rng(0).uniform(size=(12, 16, 16, 3)).astype(np.float32)
    files = export_files(tmp_path, "model", [name])
    (found,) = export_model(keras.Sequential(stack), files, images, images).values()
    assert found.problem is None
    assert found.agreement == 1 and found.difference < 1e-4
