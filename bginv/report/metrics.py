"""The metrics of a run, JSON lines, and its pictures for TensorBoard."""

import importlib.util
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import tensorflow as tf
from absl import logging

from bginv.errors import UserError
from bginv.output_files import write_text

EVENTS, EPOCH = "tensorboard", "_epoch_"


def read_metrics(metrics_file: pathlib.Path) -> list[dict]:
    """Records of a metrics file; a last line that a crash cut is left out."""
    records = []
    for line in metrics_file.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            logging.warning("%s: a line cannot be read and is left out", metrics_file)
    return records


def put_evaluation(metrics_file: pathlib.Path, row: str, values: Mapping[str, Any]) -> None:
    """Add an evaluation, a record without steps, to a metrics file.

    Args:
        metrics_file: JSON lines.
        row: its name; an earlier evaluation of this name is removed.
        values: what was found.
    """
    kept = [record for record in read_metrics(metrics_file) if record.get("row") != row]
    _write_metrics(metrics_file, [*kept, {"row": row, **values}])


def training_records(metrics_file: pathlib.Path) -> list[dict]:
    """Records of steps alone, not those of evaluations."""
    return [record for record in read_metrics(metrics_file) if "step" in record]


def training_seconds(metrics_file: pathlib.Path) -> dict[str, float]:
    """How long the steps of each phase took, over all commands that took part."""
    seconds: dict[str, float] = {}
    for record in training_records(metrics_file):
        seconds[record["phase"]] = seconds.get(record["phase"], 0.0) + record["seconds"]
    return {phase: round(taken, 1) for phase, taken in seconds.items()}


def remove_beyond(metrics_file: pathlib.Path, phase: str, done: int) -> None:
    """Remove what a phase reported after its last checkpoint: it will report it again."""
    kept = [
        record
        for record in read_metrics(metrics_file)
        if record.get("phase") != phase or record["step"] <= done
    ]
    _write_metrics(metrics_file, kept)


def _write_metrics(metrics_file: pathlib.Path, records: Sequence[Mapping[str, Any]]) -> None:
    write_text(metrics_file, "".join(json.dumps(record) + "\n" for record in records))


def check_tensorboard() -> None:
    """Raise if nothing can be written for TensorBoard.

    Raises:
        UserError: the package is not there.
    """
    if not importlib.util.find_spec("tensorboard"):
        raise UserError("--tensorboard needs the package: pip install tensorboard")


def log_pictures(folder: pathlib.Path) -> None:
    """Add every picture of a run's folder to its event files; those of an epoch as its step."""
    pictures = sorted((folder / "pictures").rglob("*.png"))
    with tf.summary.create_file_writer(str(folder / EVENTS / "pictures")).as_default():
        for path in pictures:
            name, _, epoch = path.stem.partition(EPOCH)
            pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            tf.summary.image(name, pixels[None], step=int(epoch or 0))
