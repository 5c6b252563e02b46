"""What each test shows a model: an object, a background, or an object on another's background."""

import concurrent.futures
import os
import tempfile
from collections.abc import Sequence

import cv2
import numpy as np

from bginv.data.composites import FOREGROUND, ONLY_FG, empty
from bginv.data.sources import Source
from bginv.data.variations import MIXED

CLEAN, ONLY_FG_GREY, ONLY_FG_BLURRED = "clean", "only_fg_grey", "only_fg_blurred"
NO_FG, ONLY_BG, ONLY_BG_MEAN = "no_fg", "only_bg", "only_bg_mean"
OWN = (CLEAN, ONLY_FG, ONLY_FG_GREY, ONLY_FG_BLURRED, NO_FG, ONLY_BG, ONLY_BG_MEAN)
"""Tests that need one picture alone; the others, `MIXED`, need a donor of the background."""
MIXED_SAME, MIXED_RAND, MIXED_NEXT = MIXED
MEANINGS = {
    CLEAN: "the pictures as they are",
    ONLY_FG: "the object alone, on black",
    ONLY_FG_GREY: "the object alone, on grey",
    ONLY_FG_BLURRED: "the object on its own background, blurred away",
    NO_FG: "the background, the object black",
    ONLY_BG: "the background, the object painted over",
    ONLY_BG_MEAN: "the background, the object in one colour",
    MIXED_SAME: "the object on a background of its class",
    MIXED_RAND: "the object on a background of any class",
    MIXED_NEXT: "the object on a background of the next class",
}
GREY = 128
BLUR = 0.1
"""Standard deviation of the blur, as a share of the height."""
MOST_BYTES = 2**28
"""Of an array in memory; a larger one is mapped from a temporary file."""


class CutPictures:
    """Pictures, their objects' masks, and the pictures without their objects.

    Args:
        source: images with masks.
        has_object: bool [N], whether a mask shows something.

    Attributes:
        images: uint8 [N, H, W, C].
        masks: bool [N, H, W].
        emptied: uint8 [N, H, W, C].
        labels: int [N].
        places: int [N]; None where the source has none.
        has_object: bool [N].
    """

    def __init__(self, source: Source, has_object: np.ndarray):
        shape = (len(source), *source.image_shape)
        self.images, self.emptied = _array(shape, np.uint8), _array(shape, np.uint8)
        self.masks = _array(shape[:3], bool)
        self.labels, self.places, start = np.asarray(source.labels), source.places, 0
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for batch in source.batches(source.pass_batch):
                images, soft = (_bytes(batch[name].numpy()) for name in ("image", "mask"))
                rows = slice(start, start + len(images))
                self.images[rows], self.masks[rows] = images, soft[..., 0] > 255 * FOREGROUND
                self.emptied[rows] = list(pool.map(_empty, images, soft))
                start += len(images)
        self.has_object = has_object & self.masks.any((1, 2))

    def __len__(self) -> int:
        return len(self.images)

    def show(self, test: str, rows: np.ndarray, donors: np.ndarray | None = None) -> np.ndarray:
        """What a test shows of some pictures, uint8 [B, H, W, C].

        Args:
            test: a key of `MEANINGS`.
            rows: int [B].
            donors: int [B], whose backgrounds, for a test of `MIXED`.
        """
        images, masks = self.images[rows], self.masks[rows][..., None]
        if test == CLEAN:
            return images
        if test == NO_FG:
            return np.where(masks, np.uint8(0), images)
        if test == ONLY_BG:
            return self.emptied[rows]
        if test == ONLY_BG_MEAN:
            emptied = self.emptied[rows]
            colours = emptied.mean((1, 2), keepdims=True).round().astype(np.uint8)
            return np.where(masks, colours, images)
        return np.where(masks, images, self._behind(test, rows, donors))

    def _behind(self, test: str, rows: np.ndarray, donors: np.ndarray | None) -> np.ndarray:
        if test == ONLY_FG:
            return np.zeros_like(self.images[rows])
        if test == ONLY_FG_GREY:
            return np.full_like(self.images[rows], GREY)
        if test == ONLY_FG_BLURRED:
            return np.stack([_blurred(own) for own in self.emptied[rows]])
        return self.emptied[donors]


def stratified(labels: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Rows of at most so many pictures, in order, of each class as near as can be to its share."""
    if count >= len(labels):
        return np.arange(len(labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    classes, sizes = np.unique(labels, return_counts=True)
    place = np.empty(len(labels))
    for label, size in zip(classes, sizes, strict=True):
        own = order[labels[order] == label]
        place[own] = (np.arange(size) + 0.5) / size
    return np.sort(np.argsort(place, kind="stable")[:count])


def _array(shape: Sequence[int], dtype: type) -> np.ndarray:
    """Room for an array; in a file without a name where it is large."""
    if int(np.prod(shape)) <= MOST_BYTES:
        return np.empty(shape, dtype)
    return np.memmap(tempfile.TemporaryFile(), dtype, "w+", shape=tuple(shape))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.round(values * 255).astype(np.uint8)


def _empty(image: np.ndarray, soft: np.ndarray) -> np.ndarray:
    if image.shape[-1] == 1:
        return empty(np.repeat(image, 3, -1), soft)[..., :1]
    return empty(image, soft)


def _blurred(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), max(1.0, BLUR * len(image))).reshape(image.shape)
