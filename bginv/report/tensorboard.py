"""Pictures of a run for TensorBoard."""

import importlib.util
import pathlib

import cv2
import tensorflow as tf

from bginv.training.progress import EVENTS

EPOCH = "_epoch_"


def check_tensorboard() -> None:
    """Raise if nothing can be written for TensorBoard.

    Raises:
        ValueError: the package is not there.
    """
    if not importlib.util.find_spec("tensorboard"):
        raise ValueError("--tensorboard needs the package: pip install tensorboard")


def log_pictures(folder: pathlib.Path) -> None:
    """Add every picture of a run's folder to its event files; those of an epoch as its step."""
    pictures = sorted((folder / "pictures").rglob("*.png"))
    with tf.summary.create_file_writer(str(folder / EVENTS / "pictures")).as_default():
        for path in pictures:
            name, _, epoch = path.stem.partition(EPOCH)
            pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            tf.summary.image(name, pixels[None], step=int(epoch or 0))
