import pathlib
import pickle
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from bginv.interop.model_files import (
    check_model_name,
    load_classifier,
    load_mask_unet,
    save_model,
)
from bginv.layers import BackgroundMix
from bginv.methods.acol.model import build_acol, build_classifiers
from bginv.nn.background_generator import build_background_generator
from bginv.nn.features import build_features
from bginv.nn.paper_networks import build_classifier, build_mask_unet

SHAPE = (16, 16, 1)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize(
    ("build", "load"),
    [(lambda: build_classifier(SHAPE, 2, 1), load_classifier),
     (lambda: build_mask_unet(SHAPE, 1), load_mask_unet)],
    ids=["classifier", "mask_unet"],
)  # fmt: skip
def test_models_come_back_as_they_were_saved(tmp_path, squares, build, load, ending):
    model, path = build(), tmp_path / f"model{ending}"
    save_model(model, path)
    loaded = load(str(path), squares)
    images = squares.train.images[:4] / np.float32(255)
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)


@pytest.mark.slow
def test_saved_models_need_nothing_of_ours(tmp_path):
    for name, model in {
        "classifier": build_classifier(SHAPE, 2),
        "unet": build_mask_unet(SHAPE),
        "generator": build_background_generator(SHAPE, 2),
    }.items():
        save_model(model, tmp_path / f"{name}.keras")
    program = (
        "import sys, keras\n"
        "for path in sys.argv[1:]: keras.models.load_model(path, safe_mode=True)\n"
        "sys.exit('bginv' in sys.modules)"
    )
    paths = [str(path) for path in tmp_path.glob("*.keras")]
    assert len(paths) == 3
    assert subprocess.run([sys.executable, "-c", program, *paths], check=False).returncode == 0


def test_a_file_that_is_not_there(squares):
    with pytest.raises(FileNotFoundError, match="no model file nothing.keras"):
        load_classifier("nothing.keras", squares)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_file_that_is_no_model(tmp_path, squares, ending):
    path = tmp_path / f"text{ending}"
    path.write_text("no model")
    with pytest.raises(ValueError, match=f"text{ending} .*model"):
        load_classifier(str(path), squares)


def test_other_endings_are_refused():
    with pytest.raises(ValueError, match="must end in .keras or .h5; received model.pt"):
        check_model_name("model.pt")


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_model_for_other_images(tmp_path, squares, ending):
    path = tmp_path / f"m{ending}"
    save_model(build_classifier((32, 32, 1), 2), path)
    with pytest.raises(ValueError, match="takes images of 32x32x1, but those of squares are 16x16"):
        load_classifier(str(path), squares)


def test_a_model_of_any_size_fits(tmp_path, squares):
    inputs = keras.Input((None, None, 1))
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inputs))
    save_model(keras.Model(inputs, outputs), tmp_path / "m.keras")
    assert load_classifier(str(tmp_path / "m.keras"), squares).count_params() == 4


def test_a_model_with_too_few_classes(tmp_path, squares):
    save_model(build_classifier(SHAPE, 1), tmp_path / "m.keras")
    with pytest.raises(ValueError, match="knows 1 classes, but squares has labels 0 to 1"):
        load_classifier(str(tmp_path / "m.keras"), squares)


def test_a_model_of_another_kind(tmp_path, squares):
    save_model(build_classifier(SHAPE, 2), tmp_path / "m.keras")
    save_model(build_mask_unet(SHAPE), tmp_path / "u.keras")
    with pytest.raises(ValueError, match="no masks: name a mask generator"):
        load_mask_unet(str(tmp_path / "m.keras"), squares)
    with pytest.raises(ValueError, match="no logits: name a classifier"):
        load_classifier(str(tmp_path / "u.keras"), squares)


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_code_in_a_model_is_refused(tmp_path, squares, name):
    inputs = keras.Input(SHAPE)
    outputs = keras.layers.Dense(2)(keras.layers.Lambda(lambda x: x[:, 0, 0, :])(inputs))
    keras.Model(inputs, outputs).save(tmp_path / name)
    with pytest.raises(ValueError, match=f"{name} holds Python code .* which is never run"):
        load_classifier(str(tmp_path / name), squares)


def test_any_h5_file_of_keras_is_read(tmp_path, squares):
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            BackgroundMix(),
            keras.layers.Conv2D(3, 3),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, use_bias=False),
        ]
    )
    model.compile("adam", "mse")
    model.save(tmp_path / "m.h5")
    loaded = load_classifier(str(tmp_path / "m.h5"), squares)
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (pathlib.Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["m.pt", "m.pth", "m.npy", "m.pkl", "m.tar", "m.keras", "m.h5"])
def test_pickled_code_never_runs(tmp_path, squares, name):
    trap = tmp_path / "trapped"
    if name.endswith(".npy"):
        np.save(tmp_path / name, np.array([Trap(trap)], object), allow_pickle=True)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(ValueError, match="may hold pickled code|cannot be loaded|is not a model"):
        load_classifier(str(tmp_path / name), squares)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Trap(trap)))
    assert trap.exists(), "the trap works"


def test_probabilities_are_refused_where_logits_are_needed(tmp_path, squares):
    layers = [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    keras.Sequential(layers).save(tmp_path / "m.keras")
    load_classifier(str(tmp_path / "m.keras"), squares)  # whose accuracy is the same
    with pytest.raises(ValueError, match="m.keras ends in softmax, and logits are needed"):
        load_classifier(str(tmp_path / "m.keras"), squares, needs_logits=True)


@pytest.mark.slow
def test_a_model_that_names_the_former_place_of_a_layer_loads(tmp_path):
    features = build_features("resnet18", (32, 32, 3), seed=1)
    classifiers = build_classifiers(features.output_shape[1:], 2, "p", seed=1)
    save_model(build_acol(features, classifiers, ()), tmp_path / "new.keras")
    with (
        zipfile.ZipFile(tmp_path / "new.keras") as new,
        zipfile.ZipFile(tmp_path / "old.keras", "w") as old,
    ):
        for name in new.namelist():
            held = new.read(name)
            if name == "config.json":
                assert b"bginv.methods.acol.model" in held
                held = held.replace(b"bginv.methods.acol.model", b"bginv.models.acol")
            old.writestr(name, held)
    program = "import sys; from bginv.interop.model_files import load_any; load_any(sys.argv[1])"
    command = [sys.executable, "-c", program, str(tmp_path / "old.keras")]
    loaded = subprocess.run(command, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
