"""Images without their objects, made once and kept beside a run."""

import pathlib
from collections.abc import Callable

import cv2
import numpy as np

from bginv.artefacts import write_file
from bginv.data.files import FileSource
from bginv.data.images import scan
from bginv.data.sources import ArraySource
from bginv.data.variations import inpainted_background

SHRINK = 2
LEAST_FOREGROUND, GROWN = 0.2, 2
"""A hole is where a soft mask is above the first, grown by so many pixels of 227."""

JPEG_QUALITY = 95


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
        files = write_records(source, empty, folder, ".jpg")
        return FileSource(scan(files), source.labels, source.image_shape)
    made = [empty(*pair) for pair in zip(source.images, source.masks, strict=True)]
    return ArraySource(np.stack(made), source.labels)


def write_records(
    source: FileSource,
    make: Callable[[np.ndarray, np.ndarray], np.ndarray],
    folder: pathlib.Path,
    ending: str,
) -> list[str]:
    """A picture for each record, `folder/INDEX.ending`; those that are there are not made again.

    Args:
        source: images with masks.
        make: from uint8 [H, W, 3] and its mask [H, W, 1] to the picture, uint8 [H, W, 3].
        folder: of the pictures.
        ending: of their names.
    """
    files = [folder / f"{index}{ending}" for index in range(len(source))]
    missing = next((i for i, file in enumerate(files) if not _is_whole(file)), None)
    if missing is None:
        return list(map(str, files))
    size = source.pass_batch
    start = missing // size
    for number, batch in enumerate(source.batches(size, start=start), start):
        pixels = [
            np.round(batch[name].numpy() * 255).astype(np.uint8) for name in ("image", "mask")
        ]
        for file, *pair in zip(files[number * size :], *pixels, strict=False):
            quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if ending == ".jpg" else []
            _, encoded = cv2.imencode(ending, make(*pair)[..., ::-1], quality)
            write_file(file, encoded.tofile, durable=False)
    return list(map(str, files))


def _is_whole(file: pathlib.Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
