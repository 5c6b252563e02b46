"""A full disk: one line that names the file, nothing half-written, and the same command ends well.

A limit on the size of files stands for it.
"""

import pathlib
import shutil
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.checksums import sealed_json
from bginv.data.sources import ArraySource
from bginv.engine.checkpoints import Checkpoints
from bginv.engine.saved_settings import to_json
from bginv.interop.model_files import save_model
from bginv.masks.store import find_masks
from bginv.nn.fine_tuning import stored_features
from bginv.nn.paper_networks import build_classifier
from bginv.output_files import write_text
from bginv.report.metrics import append_record
from bginv.report.pictures import write_learning_curves, write_strip
from bginv.report.run_page import write_report
from tests.limits import largest_file
from tests.programs import write_models
from tests.test_damaged_files import Halves
from tests.toys import write_toy_places, write_toys

RECORD = {"phase": "classifier", "step": 3, "loss": 0.5, "seconds": 1.0}
SHAPE = (16, 16, 1)


def save_checkpoint(folder: pathlib.Path) -> None:
    Checkpoints(folder, {"weights": tf.Variable(tf.zeros(300))}, 0, 0).save(3)


def add_record(folder: pathlib.Path) -> None:
    (folder / "metrics.jsonl").touch()
    append_record(folder / "metrics.jsonl", RECORD)


def draw_curves(folder: pathlib.Path) -> None:
    if not (folder / "metrics.jsonl").exists():
        (folder / "metrics.jsonl").write_text(sealed_json(RECORD) + "\n")
    write_learning_curves(folder / "curves.png", folder / "metrics.jsonl")


def keep_masks(folder: pathlib.Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    find_masks(ArraySource(images, np.arange(3)), Halves(), folder)


def keep_features(folder: pathlib.Path) -> None:
    inputs = keras.Input(SHAPE)
    network = keras.Model(inputs, keras.layers.Flatten()(inputs))
    stored_features(folder / "f.npy", network, lambda: iter([tf.zeros([6, *SHAPE])]), 6)


def write_page(folder: pathlib.Path) -> None:
    if not (folder / "config.json").exists():
        (folder / "config.json").write_text(to_json(inputs={}, command={}))
    write_report(folder)


PLACES: dict[str, tuple[str, int, Callable[[pathlib.Path], None]]] = {
    "checkpoint": ("checkpoint 3", 500, save_checkpoint),
    "metrics": ("metrics.jsonl", 10, add_record),
    "results": ("results.json", 100, lambda to: write_text(to / "results.json", "x" * 200)),
    "model": ("m.keras", 9000, lambda to: save_model(build_classifier(SHAPE, 2), to / "m.keras")),
    "model of Keras 2": (
        "m.h5", 9000, lambda to: save_model(build_classifier(SHAPE, 2), to / "m.h5"),
    ),
    "picture": ("s.png", 50, lambda to: write_strip(to / "s.png", np.eye(64)[None, ..., None])),
    "curves": ("curves.png", 9000, draw_curves),
    "masks": (".png", 50, keep_masks),
    "features": ("f.npy", 1000, keep_features),
    "report": ("report.html", 500, write_page),
}  # fmt: skip
"""What is named, a size that is too small, and what writes it."""


@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_does_not_fit_is_named_and_nothing_is_left(tmp_path, place):
    named, size, write = PLACES[place]
    with largest_file(size), pytest.raises(OSError) as raised:
        write(tmp_path)
    told = str(raised.value)
    assert f"{named} cannot be written: file too large" in told and "same command again" in told
    assert "\n" not in told
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert not [name for name in left if name.startswith(".") or "temp" in name], left
    write(tmp_path)


TRAIN = ("train1", "digits", "--limit", "40", "--batchsize", "8", "--steps", "6")
TRAIN += ("--run-dir", "out")
FORMATS = ("--formats", "keras,onnx")
CORRELATED = ("folder:toys", "--backgrounds", "places", "--output", "out")
COMMANDS = {
    "settings": (300, *TRAIN, "--output", "m.keras"),
    "checkpoint": (100_000, *TRAIN, "--output", "m.keras"),
    "masks": (30_000, None, "masks", "folder:toys", "--source", "heuristic", "--output", "out"),
    "variations": (8000, None, "make-variations", "folder:toys", "out"),
    "correlated": (8000, None, "make-correlated", *CORRELATED),
    "export": (200_000, None, "export", "m1.keras", "--output", "out", *FORMATS),
}
"""The largest file, and the command."""


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_command_ends_well_once_there_is_room(command, tmp_path, monkeypatch, name):
    monkeypatch.setenv("BGINV_CACHE", str(tmp_path / "cache"))
    write_models(tmp_path)
    write_toys(tmp_path / "toys")
    write_toy_places(tmp_path / "places")
    size, *arguments = COMMANDS[name]
    with largest_file(size):
        code, _, err = command(*arguments)
    assert code == 1 and "Traceback" not in err
    assert ("not written: " if name == "export" else "cannot be written: ") in err.splitlines()[-1]
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
    code, _, err = command(*arguments)
    assert code == 0, err


@pytest.mark.slow
def test_a_folder_that_vanishes_while_a_run_is_at_work_is_named(command, monkeypatch, tmp_path):
    from bginv.engine import loop

    save = loop.Checkpoints.save

    def vanish(self, step: int, again: bool = False) -> None:
        save(self, step, again)
        shutil.rmtree(tmp_path / "out")

    monkeypatch.setattr(loop.Checkpoints, "save", vanish)
    code, _, err = command(*TRAIN, "--checkpoint-steps", "2", "--steps-per-call", "2")
    assert code == 1 and "Traceback" not in err
    assert "metrics.jsonl cannot be written: no such file or directory" in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
