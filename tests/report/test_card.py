"""The card of an exported model, as model hubs and people read it."""

import json

import keras
import numpy as np
import pytest

from bginv.interop.export import export_files, export_model
from bginv.interop.formats import read_class_names
from bginv.report.card import card_of, run_of, write_card
from bginv.report.run_page import Run

yaml = pytest.importorskip("yaml")
NAMES = ["left", 'a "quoted" | class', "```\nlicense: none"]
SHAPE = (8, 8, 3)


def classifier() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Rescaling(1 / 255),
            keras.layers.RandomFlip(),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(len(NAMES)),
        ]
    )


@pytest.fixture
def exported(tmp_path):
    """A model, its files, and the images that they were compared on."""
    pytest.importorskip("safetensors")
    model = classifier()
    images = np.random.default_rng(0).random((4, *SHAPE), np.float32) * 255
    files = export_files(tmp_path, "robust_classifier", ["keras", "safetensors"])
    return model, export_model(model, files, images, images, NAMES), images


def run(tmp_path) -> Run:
    rows = {
        "before": {"train": 1.0, "tests": {"clean": 0.75, "other": 0.25}},
        "after": {"train": 1.0, "tests": {"clean": 0.5, "other": 0.625}},
        "published": {"train": None, "tests": {"clean": None, "other": 0.5}},
    }
    results = {
        "dataset": "folder:secret/photographs",
        "class_names": NAMES,
        "headline": ["Phase 3 is kept."],
        "accuracy": rows,
    }
    return Run(tmp_path, {}, results, [])


def written(tmp_path, *arguments) -> tuple[dict, str]:
    """The metadata and the text of a card."""
    write_card(tmp_path / "README.md", card_of(*arguments))
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    _, metadata, body = text.split("---\n", 2)
    return yaml.safe_load(metadata), body


def test_hubs_read_what_it_is_and_how_well_it_does(tmp_path, exported):
    model, found, _ = exported
    metadata, body = written(tmp_path, "robust_classifier", model, found, NAMES, run(tmp_path))
    assert metadata["library_name"] == "keras"
    assert metadata["pipeline_tag"] == "image-classification"
    assert {"keras", "safetensors"} <= set(metadata["tags"])
    assert "license" not in metadata  # nobody but the user can choose one
    (entry,) = metadata["model-index"]
    (result,) = entry["results"]
    assert result["dataset"]["name"] == "photographs"
    assert {own["name"]: own["value"] for own in result["metrics"]} == {
        "accuracy on clean": 0.5,
        "accuracy on other": 0.625,
    }
    assert "Phase 3 is kept." in body and "This model is the row after." in body
    assert "pixels from 0 to 255" in body and "images [B, 8, 8, 3]" in body
    assert "secret" not in body
    assert json.dumps(NAMES) in body


def test_the_model_before_is_told_as_such(tmp_path, exported):
    model, found, _ = exported
    metadata, body = written(tmp_path, "classifier", model, found, NAMES, run(tmp_path))
    assert metadata["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.75
    assert "not at backgrounds" not in body


def test_without_a_run_it_says_what_is_missing(tmp_path, exported):
    model, found, _ = exported
    metadata, body = written(tmp_path, "m", model, found)
    assert "model-index" not in metadata and "metrics" not in metadata
    assert "No results lie beside the model" in body and "Whoever trained the model" in body
    assert run_of(tmp_path / "m.keras") is None


def test_its_programs_load_the_model(tmp_path, exported, monkeypatch):
    model, found, images = exported
    programs = card_of("m", model, found).loading
    assert len(programs) == 2
    monkeypatch.chdir(tmp_path)
    for code in programs.values():
        names = {"images": images}
        exec(code, names)
        outputs = names["model"](images, training=False)
        np.testing.assert_allclose(outputs, model(images, training=False), atol=1e-6)


def test_safetensors_hold_the_names_and_anybody_may_read_them(exported):
    _, found, _ = exported
    path = found["safetensors"].path
    assert found["safetensors"].difference == 0
    assert read_class_names(path) == NAMES
    assert path.stat().st_mode == found["keras"].path.stat().st_mode


def test_another_model_of_the_folder_takes_no_rows_figures(tmp_path, exported):
    model, found, _ = exported
    metadata, body = written(tmp_path, "calibrated", model, found, NAMES, run(tmp_path))
    assert "model-index" not in metadata and "metrics" not in metadata
    assert "none of them is known to be this model" in body and "is the row" not in body
    generator = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(1, 3)])
    _, body = written(tmp_path, "classifier", generator, found, (), run(tmp_path))
    assert "is the row" not in body


def test_the_only_classifier_of_a_run_may_have_any_name(tmp_path, exported):
    model, found, _ = exported
    own = run(tmp_path)
    del own.results["accuracy"]["after"]
    metadata, _ = written(tmp_path, "m1", model, found, NAMES, own)
    assert metadata["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.75


def test_a_model_whose_last_phase_was_not_kept_is_not_called_robust(tmp_path, exported):
    model, found, _ = exported
    own = run(tmp_path)
    own.results["decision"] = {"kept": False}
    _, body = written(tmp_path, "robust_classifier", model, found, NAMES, own)
    assert "not at backgrounds" not in body and "whatever background" not in body


def test_a_folder_of_data_has_its_own_name(tmp_path, exported):
    model, found, _ = exported
    own = run(tmp_path)
    own.results["dataset"] = "folder:photographs"
    metadata, _ = written(tmp_path, "classifier", model, found, NAMES, own)
    assert metadata["model-index"][0]["results"][0]["dataset"]["name"] == "photographs"


def test_an_error_is_not_told_to_hubs_as_accuracy(tmp_path, exported):
    model, found, _ = exported
    own = run(tmp_path)
    own.results["measure"] = "mean absolute error"
    metadata, body = written(tmp_path, "classifier", model, found, NAMES, own)
    assert "model-index" not in metadata and "This model is the row before." in body
