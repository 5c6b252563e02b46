"""Objects of a split on backgrounds of the same split, to judge a classifier by."""

import concurrent.futures
import os
import pathlib

import cv2
import numpy as np
import tensorflow as tf

from bginv.data.files import FileSource, write_records
from bginv.data.images import scan
from bginv.data.sources import ArraySource, Source
from bginv.data.variations import MIXED, draw_donors, inpainted_background
from bginv.data.wrapped import WrappedSource
from bginv.errors import UserError
from bginv.ops.compositing import composite

ONLY_FG = "only_fg"
FOREGROUND = 0.5


class WithEmptied(WrappedSource):
    """A source with masks whose records also hold `background`: the image without its object.

    Args:
        source: images and masks.
        emptied: the same records, their objects' places filled with background.
        has_object: bool [N], whether the mask shows something; None: each does.
    """

    def __init__(self, source: Source, emptied: Source, has_object: np.ndarray | None = None):
        super().__init__(source)
        self.emptied = emptied
        self.has_object = np.ones(len(source), bool) if has_object is None else has_object

    def around(self, source: Source) -> "WithEmptied":
        """See `WrappedSource.around`."""
        return WithEmptied(source, self.emptied, self.has_object)

    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "WithEmptied":
        """See `Source.take`."""
        taken = self.source.take(rows, labels), self.emptied.take(rows)
        return WithEmptied(*taken, self.has_object[rows])

    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Source.gather`; `background` is float32 [B, H, W, C] in [0, 1]."""
        records = self.source.gather(indices)
        return {**records, "background": self.emptied.gather(indices)["image"]}


class CompositeSource(WrappedSource):
    """Objects of some records on the backgrounds of others, or on black.

    Args:
        source: images, masks and backgrounds; the mask is made binary at 0.5.
        rows: int [M], whose objects.
        partners: int [M], whose backgrounds; None means black.
    """

    def __init__(self, source: WithEmptied, rows: np.ndarray, partners: np.ndarray | None):
        super().__init__(source)
        self.labels, self.places = source.labels[rows], None
        self._rows, self._partners = rows, partners

    def around(self, source: Source) -> "CompositeSource":
        """See `WrappedSource.around`."""
        return CompositeSource(source, self._rows, self._partners)

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Source.gather`; there is no mask in the records."""
        own = self.source.source.gather(tf.gather(tf.constant(self._rows, tf.int64), indices))
        if self._partners is None:
            behind = tf.zeros_like(own["image"])
        else:
            partners = tf.gather(tf.constant(self._partners, tf.int64), indices)
            behind = self.source.emptied.gather(partners)["image"]
        masks = tf.cast(own["mask"] > FOREGROUND, tf.float32)
        images = composite(own["image"], masks, behind)
        return {"image": images, "label": own["label"], "index": indices}

    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "CompositeSource":
        """See `Source.take`."""
        if labels is not None:
            raise UserError("composites have the labels of their objects")
        partners = None if self._partners is None else self._partners[rows]
        return CompositeSource(self.source, self._rows[rows], partners)

    def without_masks(self) -> "CompositeSource":
        """See `Source.without_masks`; there are none."""
        return self

    @property
    def has_masks(self) -> bool:
        """See `Source.has_masks`."""
        return False


def composite_tests(
    source: WithEmptied, num_classes: int, draws: int, seed: int
) -> dict[str, Source]:
    """What tells how far a classifier relies on backgrounds (Xiao et al. 2021), by name.

    `mixed_same` and `mixed_rand`, the object on the background of a picture of the same class and
    of any class, with so many draws of partners, and `only_fg`, the object on black. Records whose
    mask shows no object are left out; where all are, there is no test.
    """
    rows = np.flatnonzero(source.has_object)
    if not len(rows):
        return {}
    donors = draw_donors(source.labels[rows], num_classes, draws, seed)
    tests: dict[str, Source] = {
        name: CompositeSource(source, np.tile(rows, draws), rows[donors[name].T.ravel()])
        for name in MIXED[:2]
    }
    tests[ONLY_FG] = CompositeSource(source, rows, None)
    return tests


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


def _emptied_batch(batch: dict[str, tf.Tensor]) -> list[np.ndarray]:
    """Pictures as OpenCV writes them, blue first."""
    pixels = [np.round(batch[name].numpy() * 255).astype(np.uint8) for name in ("image", "mask")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [picture[..., ::-1] for picture in pool.map(empty, *pixels)]
