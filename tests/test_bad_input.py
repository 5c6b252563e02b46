"""Bad photographs, labels and folders, through the commands: one line, and nothing is lost."""

import json
import pathlib
import re

import cv2
import keras
import numpy as np
import pytest

from bginv.data.catalog import load_data
from bginv.data.sources import ArraySource, Dataset
from bginv.interop.model_files import save_model
from bginv.methods.background_invariance.mask_training import with_generated_masks
from bginv.methods.background_invariance.stages import ClassifierStage
from bginv.nn.paper_networks import build_classifier

SMALL = ("--image-size", "16", "--steps", "2", "--batchsize", "4")


@pytest.fixture
def photographs(tmp_path) -> pathlib.Path:
    """A folder with two classes of photographs and a test."""
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 2)):
        for name in ("cat", "dog"):
            folder = tmp_path / "animals" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                picture = random.integers(0, 256, (20, 30, 3), np.uint8)
                cv2.imwrite(str(folder / f"{i}.jpg"), picture)
    return tmp_path / "animals"


def cut(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_broken_photograph_stops_before_anything_is_written(command, photographs):
    cut(photographs / "train" / "cat" / "3.jpg")
    before = sorted(photographs.parent.rglob("*"))
    code, out, err = command("train1", "folder:animals", *SMALL, "--run-dir", "run")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "1 of 16 image files cannot be read" in err
    assert "animals/train/cat/3.jpg (it is cut short or damaged)" in err
    assert "--skip-bad-files" in err
    assert sorted(photographs.parent.rglob("*")) == before


def test_broken_photographs_are_skipped_and_counted_when_asked_for(command, photographs, caplog):
    cut(photographs / "train" / "cat" / "3.jpg")
    (photographs / "test" / "dog" / "0.jpg").write_bytes(b"")
    code, _, err = command("train1", "folder:animals", *SMALL, "--skip-bad-files")
    assert code == 0, err
    assert "2 of 16 image files cannot be read and are left out" in caplog.text


@pytest.mark.slow
def test_the_three_phases_on_photographs(command, photographs):
    code, out, err = command(None, "run", "folder:animals", *SMALL, "--run-dir", "run")
    assert code == 0, err
    assert "| test |" in out.splitlines()[0]
    assert json.loads(pathlib.Path("run/results.json").read_text())["accuracy"]["Proposal"]
    assert keras.models.load_model("run/robust_classifier.keras").input_shape == (None, 16, 16, 3)
    assert not list(pathlib.Path("run").glob("masks*"))


def test_masks_of_files_are_those_of_arrays(command, photographs, tmp_path):
    files = load_data("folder:animals", image_size=16).train
    records = files.gather(np.arange(len(files)))
    arrays = ArraySource(np.round(records["image"].numpy() * 255).astype(np.uint8), files.labels)
    expected = with_generated_masks(arrays, None, "otsu", 0.2).masks
    first = with_generated_masks(files, None, "otsu", 0.2, tmp_path / "masks")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "masks").iterdir()}
    again = with_generated_masks(files, None, "otsu", 0.2, tmp_path / "masks")
    for source in (first, again):
        masks = source.gather(np.arange(len(files)))["mask"].numpy()
        np.testing.assert_array_equal(np.round(masks * 255), expected)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "masks").iterdir()} == written


def test_a_file_that_breaks_while_training_is_named(command, photographs, monkeypatch):
    monkeypatch.setattr(
        ClassifierStage, "begin", lambda stage: cut(photographs / "train" / "dog" / "1.jpg")
    )
    code, out, err = command("train1", "folder:animals", *SMALL, "--steps", "9", "--output", "m.h5")
    assert (code, out) == (1, "")
    assert "animals/train/dog/1.jpg has changed since it was checked" in err.splitlines()[-1]
    assert "put the file back as it was and run the same command again" in err
    assert "Traceback" not in err


def test_other_photographs_than_a_run_began_with_are_refused(command, photographs):
    assert command("train1", "folder:animals", *SMALL, "--run-dir", "run")[0] == 0
    (photographs / "train" / "dog" / "1.jpg").unlink()
    code, _, err = command("train1", "folder:animals", *SMALL, "--run-dir", "run")
    assert code == 2
    assert "training images: another content" in err


def test_an_output_folder_that_cannot_be_written(command, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    code, _, err = command("train1", "digits", "--output", "m1.keras")
    assert code == 2
    assert "cannot write m1.keras" in err and "no permission to write in" in err


@pytest.mark.parametrize("label", [-1, 2, 200])
def test_a_label_out_of_range(squares, label):
    labels = squares.train.labels.copy()
    labels[5] = label
    wrong = ArraySource(squares.train.images, labels)
    message = f"record 5 of test has label {label}, but there are 2 classes, 0 to 1"
    with pytest.raises(ValueError, match=message):
        Dataset("squares", squares.train, {"test": wrong}, squares.class_names, (16, 16, 1))


@pytest.mark.slow
def test_divergence_names_step_phase_and_the_last_good_checkpoint(command):
    code, out, err = command(
        "train1", "digits", "--limit", "16", "--steps", "40", "--learning-rate", "1e30",
        "--checkpoint-steps", "1", "--output", "m.keras",
    )  # fmt: skip
    assert (code, out) == (1, "")
    told = re.search(
        r"classifier: loss is (nan|inf) at step (\d+) of 40; the last good checkpoint is "
        r"m.keras.unfinished/checkpoints/classifier/step-(\d+), .* a smaller --learning-rate",
        err.splitlines()[-1],
    )
    assert told and int(told[2]) == int(told[3]) + 1


@pytest.mark.slow
def test_other_background_photographs_than_a_run_began_with_are_refused(command, photographs):
    save_model(build_classifier((32, 32, 1), 10, 1), pathlib.Path("m1.keras"))
    arguments = (
        "train3", "digits", "m1.keras", "heuristic", "otsu", "real", "--limit", "8", "--steps", "1",
        "--backgrounds", "animals", "--run-dir", "run",
    )  # fmt: skip
    assert command(*arguments)[0] == 0
    (photographs / "test" / "dog" / "0.jpg").unlink()
    code, _, err = command(*arguments)
    assert code == 2
    assert "background photographs: another content" in err and "training images" not in err
