"""Masks from boxes, a box or several a picture, tightened by grabCut."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from bginv.data.images import shown
from bginv.masks.box_files import Boxes, placed
from bginv.masks.grab_cut import Box, grab_cut
from bginv.masks.source import Mask, MaskSource, Picture, confidence_of

WORKING_SIDE = 320
"""Longest side of the pictures that grabCut sees; it takes 0.15 s for 256 pixels."""
SMOOTH_EDGE = 0.7
"""Of the Gaussian that softens a mask's edge, in working pixels."""


class BoxMasks(MaskSource):
    """The objects in boxes, a box or several a picture.

    Args:
        path: as `Boxes` takes it.

    Raises:
        FileNotFoundError, ValueError: see `Boxes`.
    """

    seconds = 0.15

    def __init__(self, path: str):
        self.name, self._boxes = f"boxes:{path}", Boxes(path)

    @property
    def by_name(self) -> bool:
        """See `MaskSource.by_name`."""
        return True

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`."""
        return f"boxes 1 {self._boxes.digest()}"

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        return list(map(self._mask, pictures))

    def _mask(self, picture: Picture) -> Mask:
        found = self._boxes.of(picture.name)
        if not found:
            return Mask.failed(picture, f"{self._boxes.path} has no box for it")
        if len({own.name for own in found}) > 1:
            names = ", ".join(sorted({shown(own.name) for own in found}))
            why = f"{self._boxes.path} has boxes of several pictures of this name: {names}"
            return Mask.failed(picture, why)
        try:
            boxes = [placed(own, picture.pixels.shape[:2]) for own in found]
        except ValueError as error:
            return Mask.failed(picture, str(error))
        soft = mask_in_boxes(picture.pixels, boxes)
        return Mask(soft, confidence_of(soft))


def mask_in_boxes(image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """A soft mask of the objects in boxes, float32 [H, W] in [0, 1].

    Args:
        image: uint8 [H, W, 3].
        boxes: top, left, bottom and right edge, half-open.
    """
    height, width = image.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    down, across = size[1] / height, size[0] / width
    near = [
        (int(top * down), int(left * across), math.ceil(bottom * down), math.ceil(right * across))
        for top, left, bottom, right in boxes
    ]
    found = grab_cut(small, *near).astype(np.float32)
    found = cv2.GaussianBlur(found, (0, 0), SMOOTH_EDGE, borderType=cv2.BORDER_REPLICATE)
    soft = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
    inside = np.zeros(image.shape[:2], bool)
    for top, left, bottom, right in boxes:
        inside[top:bottom, left:right] = True
    return np.where(inside, soft, np.float32(0))
