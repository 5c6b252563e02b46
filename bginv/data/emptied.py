"""Images without their objects, made once and kept beside a run."""

import pathlib
from collections.abc import Iterator

import cv2
import numpy as np
import tensorflow as tf

from bginv.data.files import FileSource
from bginv.data.images import scan
from bginv.data.record_files import write_records
from bginv.data.sources import ArraySource
from bginv.data.variations import inpainted_background

SHRINK = 2
LEAST_FOREGROUND, GROWN = 0.2, 2
"""A hole is where a soft mask is above the first, grown by so many pixels of 227."""


def empty(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with its object's place inpainted, at half size.

    Args:
        image: uint8 [H, W, 3].
        mask: uint8 [H, W, 1], soft.
    """
    grown = max(1, round(GROWN * image.shape[0] / 227))
    kernel = np.ones((2 * grown + 1,) * 2, np.uint8)
    hole = cv2.dilate((mask[..., 0] > 255 * LEAST_FOREGROUND).astype(np.uint8), kernel) > 0
    if hole.all():  # there is no background to go on with
        return np.full_like(image, image.mean((0, 1)))
    return inpainted_background(image, hole, SHRINK) if hole.any() else image


def emptied(source: ArraySource | FileSource, folder: pathlib.Path) -> ArraySource | FileSource:
    """The source with each image's object hidden behind more of its background.

    Args:
        source: colour images with masks.
        folder: where those of a source in files go, as files; those that are there are kept.
    """
    if isinstance(source, FileSource):
        files = write_records(source, _emptied_batch, folder, ".jpg")
        return FileSource(scan(files), source.labels, source.image_shape)
    made = [empty(*pair) for pair in zip(source.images, source.masks, strict=True)]
    return ArraySource(np.stack(made), source.labels)


def _emptied_batch(batch: dict[str, tf.Tensor]) -> Iterator[np.ndarray]:
    """Pictures as OpenCV writes them, blue first."""
    pixels = [np.round(batch[name].numpy() * 255).astype(np.uint8) for name in ("image", "mask")]
    return (empty(*pair)[..., ::-1] for pair in zip(*pixels, strict=True))
