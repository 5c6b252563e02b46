"""A picture for each record of a source, as files that are written once."""

import pathlib
from collections.abc import Callable, Iterable

import cv2
import numpy as np
import tensorflow as tf

from bginv.artefacts import write_file
from bginv.data.files import FileSource


def write_records(
    source: FileSource,
    pictures_of: Callable[[dict[str, tf.Tensor]], Iterable[np.ndarray]],
    folder: pathlib.Path,
    ending: str,
) -> list[str]:
    """Write `folder/INDEX.ending` for each record; the first that are there are not made again.

    Args:
        source: the records.
        pictures_of: from a batch of them to a picture of each, uint8 as OpenCV writes it.
        folder: of the files.
        ending: of their names; ".jpg" has OpenCV's quality, 95 of 100.
    """
    files = [folder / f"{index}{ending}" for index in range(len(source))]
    missing = next((i for i, file in enumerate(files) if not _is_whole(file)), None)
    if missing is not None:
        size = source.pass_batch
        start = missing // size
        for number, batch in enumerate(source.batches(size, start=start), start):
            for file, picture in zip(files[number * size :], pictures_of(batch), strict=False):
                _, encoded = cv2.imencode(ending, picture)
                write_file(file, encoded.tofile, durable=False)
    return list(map(str, files))


def _is_whole(file: pathlib.Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
