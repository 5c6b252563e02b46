"""Strips: images of one size side by side in one PNG, for pages that show them one by one."""

import pathlib

import cv2
import numpy as np

from bginv.report.pictures import write_image


def write_strip(path: pathlib.Path, images: np.ndarray) -> None:
    """Write images side by side.

    Args:
        path: PNG to write.
        images: float [N, H, W, 1 or 3] in [0, 1] (clipped to it).
    """
    write_image(path, np.concatenate(list(images), axis=1))


def read_strip(path: pathlib.Path, width: int) -> list[bytes]:
    """Its images, each as a PNG file.

    Args:
        path: what `write_strip` wrote.
        width: W of an image, in pixels.

    Raises:
        ValueError: another file.
    """
    strip = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if strip is None or strip.shape[1] % width:
        raise ValueError(f"{path} is no strip of images {width} pixels wide")
    parts = np.split(strip, strip.shape[1] // width, axis=1)
    return [cv2.imencode(".png", part)[1].tobytes() for part in parts]
