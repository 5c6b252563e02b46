"""The metrics of a run, JSON lines, and its pictures for TensorBoard."""

import importlib.util
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import tensorflow as tf
from absl import logging

from bginv.checksums import SEAL, read_sealed_json, sealed_json
from bginv.errors import UserError
from bginv.output_files import told_as_not_written, write_text

EVENTS, EPOCH = "tensorboard", "_epoch_"


def read_metrics(metrics_file: pathlib.Path) -> list[dict]:
    """Records of a metrics file; damaged ones, and a last line that a crash cut, are left out."""
    lines = metrics_file.read_bytes().splitlines()
    seal = f'"{SEAL}"'.encode()
    of_this_version = any(seal in line for line in lines)
    records = []
    for number, line in enumerate(lines, 1):
        try:
            if of_this_version and seal not in line:
                raise ValueError("it has no checksum, and others have")
            records.append(read_sealed_json(line))
        except ValueError as error:
            logging.warning("%s: line %d is left out: %s", metrics_file, number, error)
    return records


def append_record(metrics_file: pathlib.Path, record: Mapping[str, Any]) -> None:
    """Add a record to a metrics file that is there.

    Raises:
        OSError: it has vanished, or the disk is full.
    """
    with told_as_not_written(metrics_file), metrics_file.open("r+", encoding="utf-8") as file:
        file.seek(0, os.SEEK_END)
        file.write(sealed_json(record) + "\n")


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
    write_text(metrics_file, "".join(sealed_json(record) + "\n" for record in records))


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
