"""Write the variations of a data set in the layout of the Backgrounds Challenge's release."""

import concurrent.futures
import io
import pathlib
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.files import FileSource
from bginv.data.in9 import BACKGROUNDS, MASKS
from bginv.data.sources import Source
from bginv.data.variations import MIXED, choose_partners, own_variations

FORMATS = {"jpeg": ".JPEG", "png": ".png"}
JPEG_QUALITY = 95
MASK_ENDING = ".npy"
Region = tuple[np.ndarray, np.ndarray]
"""A mask, and what backgrounds must not show; see `own_variations`."""
RegionsOf = Callable[[np.ndarray, dict[str, tf.Tensor], np.ndarray], list[Region]]
"""From rows of a source, their records and their pixels uint8 [B, H, W, 3]."""
Write = Callable[[pathlib.Path, bytes], None]
"""To a file that is whole or not there."""


class VariationFiles:
    """Every variation of a split; files that are there are not made again.

    Args:
        source: images.
        regions_of: their objects.
        root: folder of the variations.
        split: such as "val".
        class_names: folders are named after them, with the class's number in front.
        fill: see `own_variations`.
        seed: of whose background each image gets.
        kind: a key of `FORMATS`.
        write: writes a file.
    """

    def __init__(
        self,
        source: Source,
        regions_of: RegionsOf,
        root: pathlib.Path,
        split: str,
        class_names: Sequence[str],
        fill: str,
        seed: int,
        kind: str,
        write: Write,
    ):
        self.source, self.regions_of, self.root, self.split = source, regions_of, root, split
        self.fill, self.seed, self.ending, self.write = fill, seed, FORMATS[kind], write
        digits = max(2, len(str(len(class_names) - 1)))
        self.names = [
            f"{label:0{digits}d}_{class_names[label].replace('/', '_')}/{name}"
            for label, name in zip(source.labels.tolist(), _names(source), strict=True)
        ]

    def make(self) -> int:
        """Write everything.

        Returns:
            The number of images left out, as their masks are empty or leave no background.
        """
        rows = np.arange(len(self.source))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for chosen in self._missing(MASKS, rows, "alone"):
                records, pixels = self._read(chosen)
                regions = self.regions_of(chosen, records, pixels)
                list(pool.map(self._make_own, chosen, pixels, regions))
            kept = np.array([row for row in rows if self.path(MASKS, row).is_file()], int)
            labels = self.source.labels[kept]
            found = choose_partners(labels, int(labels.max(initial=0)) + 1, self.seed)
            partners = {
                name: dict(zip(kept.tolist(), kept[own].tolist(), strict=True))
                for name, own in found.items()
            }
            for chosen in self._missing(MIXED[-1], kept, "mixed"):
                behind = [
                    {name: own[row] for name, own in partners.items()} for row in chosen.tolist()
                ]
                list(pool.map(self._make_mixed, chosen, self._read(chosen)[1], behind))
        return len(rows) - len(kept)

    def path(self, variation: str, row: int) -> pathlib.Path:
        """Place of a file."""
        ending = MASK_ENDING if variation == MASKS else self.ending
        return self.root / variation / self.split / f"{self.names[row]}{ending}"

    def mask(self, row: int) -> np.ndarray:
        """The mask that was written, bool [H, W]."""
        return np.load(self.path(MASKS, row), allow_pickle=False)

    def _missing(self, variation: str, rows: np.ndarray, what: str) -> Iterator[np.ndarray]:
        """Rows without that file, in batches."""
        missing = np.array([row for row in rows if not self.path(variation, row).is_file()], int)
        size = self.source.pass_batch
        for start in range(0, len(missing), size):
            yield missing[start : start + size]
            done = min(start + size, len(missing))
            logging.info("%s, %s: %d of %d images", self.split, what, done, len(missing))

    def _read(self, rows: np.ndarray) -> tuple[dict[str, tf.Tensor], np.ndarray]:
        """Records, and pixels uint8 [B, H, W, 3], grey ones in three channels."""
        records = self.source.gather(tf.constant(rows, tf.int64))
        pixels = np.round(records["image"].numpy() * 255).astype(np.uint8)
        return records, np.repeat(pixels, 3, -1) if pixels.shape[-1] == 1 else pixels

    def _make_own(self, row: int, image: np.ndarray, region: Region) -> None:
        mask, hidden = region
        if mask.all() or not mask.any():
            return
        for variation, pixels in own_variations(image, mask, hidden, self.fill).items():
            self._write_image(variation, row, pixels)
        stream = io.BytesIO()
        np.save(stream, mask)
        # last, as it tells that the image is done
        self.write(self.path(MASKS, row), stream.getvalue())

    def _make_mixed(self, row: int, image: np.ndarray, behind: dict[str, int]) -> None:
        mask = self.mask(row)[..., None]
        for variation, partner in behind.items():
            background = cv2.imread(str(self.path(BACKGROUNDS, partner)))[..., ::-1]
            self._write_image(variation, row, np.where(mask, image, background))

    def _write_image(self, variation: str, row: int, pixels: np.ndarray) -> None:
        if self.ending == FORMATS["png"]:
            kind, quality = ".png", []
        else:
            kind, quality = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        encoded, data = cv2.imencode(kind, pixels[..., ::-1], quality)
        if not encoded:
            raise OSError(f"OpenCV could not encode {variation} of {self.names[row]}")
        self.write(self.path(variation, row), data.tobytes())


def _names(source: Source) -> list[str]:
    """A name for each image, another one for each of a class."""
    if not isinstance(source, FileSource):
        return [f"img_{row:06d}" for row in range(len(source))]
    names, seen = [], set()
    for row, label in enumerate(source.labels.tolist()):
        name = pathlib.Path(source.images.path(row)).stem
        while (label, name) in seen:
            name = f"{name}_{row}"
        names.append(name)
        seen.add((label, name))
    return names
