"""The variations of the Backgrounds Challenge, from anybody's images and masks (Xiao et al. 2021).

Images are uint8 [H, W, 3], masks bool [H, W], true where the object is.
"""

import concurrent.futures
import io
import pathlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import cv2
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.checksums import has_trailer, trailer
from bginv.data.files import FileSource
from bginv.data.in9 import BACKGROUNDS, MASKS
from bginv.data.sources import Source
from bginv.errors import UserError
from bginv.output_files import OVERWRITE

FILLS = ("tile", "inpaint")
INPAINT_RADIUS = 5
MIXED = ("mixed_same", "mixed_rand", "mixed_next")


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, bottom and right edge of a mask's box, half-open.

    Raises:
        UserError: an empty mask.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        raise UserError("an empty mask has no box")
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def tiled_background(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image without the object: its box is filled with repetitions of the largest strip beside.

    The strip is what lies above, below, left or right of the box, in the box's columns or rows.
    Where the box takes the whole image, it is inpainted.
    """
    top, left, bottom, right = box_of(mask)
    height, width = mask.shape
    strips = {
        (0, False): image[:top, left:right],
        (0, True): image[bottom:, left:right],
        (1, False): image[top:bottom, :left],
        (1, True): image[top:bottom, right:],
    }
    # as areas of the whole strip, from edge to edge
    areas = {
        (0, False): top * width,
        (0, True): (height - bottom) * width,
        (1, False): left * height,
        (1, True): (width - right) * height,
    }
    chosen = max(areas, key=areas.get)
    if not areas[chosen]:
        return inpainted_background(image, mask)
    axis, after = chosen
    strip, needed = strips[chosen], (bottom - top, right - left)[axis]
    repeats = -(-needed // strip.shape[axis])
    tiled = np.concatenate([strip] * repeats, axis)
    # the strip goes on from the edge that it touches
    taken = slice(0, needed) if after else slice(tiled.shape[axis] - needed, None)
    filled = image.copy()
    filled[top:bottom, left:right] = tiled[taken] if axis == 0 else tiled[:, taken]
    return filled


def inpainted_background(image: np.ndarray, mask: np.ndarray, shrink: int = 1) -> np.ndarray:
    """The image without the object, which is filled from its edge inwards (Telea 2004).

    Args:
        image: uint8 [H, W, 3].
        mask: bool [H, W].
        shrink: fill in a picture so many times smaller: at 2, 227 x 227 pixels take 7 ms in place
            of 100. What the mask leaves stays as it is.
    """
    hole = mask.astype(np.uint8) * 255
    if shrink == 1:
        return cv2.inpaint(image, hole, INPAINT_RADIUS, cv2.INPAINT_TELEA)
    height, width = mask.shape
    size = (max(1, width // shrink), max(1, height // shrink))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small_hole = (cv2.resize(hole, size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    filled = cv2.inpaint(small, small_hole, INPAINT_RADIUS, cv2.INPAINT_TELEA)
    return np.where(mask[..., None], cv2.resize(filled, (width, height)), image)


def background_of(image: np.ndarray, mask: np.ndarray, fill: str) -> np.ndarray:
    """The image without the object, by one of `FILLS`."""
    return (tiled_background if fill == "tile" else inpainted_background)(image, mask)


def own_variations(
    image: np.ndarray, mask: np.ndarray, hidden: np.ndarray, fill: str
) -> dict[str, np.ndarray]:
    """The variations that need one image alone, by name.

    Args:
        image: uint8 [H, W, 3].
        mask: bool [H, W].
        hidden: bool [H, W], what backgrounds must not show: the mask, or the box that it is from.
        fill: one of `FILLS`, for `only_bg_t`.
    """
    top, left, bottom, right = box_of(hidden)
    without_box = image.copy()
    without_box[top:bottom, left:right] = 0
    return {
        "original": image,
        "only_fg": np.where(mask[..., None], image, 0).astype(np.uint8),
        "no_fg": np.where(mask[..., None], 0, image).astype(np.uint8),
        "only_bg_b": without_box,
        "only_bg_t": background_of(image, hidden, fill),
    }


def draw_donors(
    labels: np.ndarray, num_classes: int, draws: int, seed: int
) -> Mapping[str, np.ndarray]:
    """Whose background each picture gets, int [N, draws], for each of `MIXED` (Xiao et al. 2021).

    `mixed_same` takes other pictures of the class, `mixed_rand` one of any class, each class as
    often, `mixed_next` those of the next class. A picture gets no background twice before it has
    had all, and its own only where there is no other.

    Args:
        labels: int [N].
        num_classes: K.
        draws: of each picture.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == label) for label in range(num_classes)]
    filled = [label for label in range(num_classes) if len(members[label])]
    same, rand, following = MIXED
    found = {name: np.empty((len(labels), draws), int) for name in MIXED}
    for row, label in enumerate(labels):
        next_class = filled[(filled.index(int(label)) + 1) % len(filled)]
        found[same][row] = _some(rng, members[label], row, draws)
        found[following][row] = _some(rng, members[next_class], row, draws)
        classes = np.resize(rng.permutation(filled), draws)
        times = {int(own): int((classes == own).sum()) for own in classes}
        taken = [_some(rng, members[own], row, count) for own, count in times.items()]
        found[rand][row] = np.concatenate(taken)
    return found


def _some(rng: np.random.Generator, members: np.ndarray, but: int, count: int) -> np.ndarray:
    others = members[members != but]
    return np.resize(rng.permutation(others), count) if len(others) else np.full(count, but)


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
            kept = np.array([row for row in rows if self._is_made(MASKS, row)], int)
            labels = self.source.labels[kept]
            found = draw_donors(labels, int(labels.max(initial=0)) + 1, 1, self.seed)
            partners = {
                name: dict(zip(kept.tolist(), kept[own[:, 0]].tolist(), strict=True))
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

    def _is_made(self, variation: str, row: int) -> bool:
        """Whether a file is there; of masks, which tell that all else is, whether it is whole."""
        path = self.path(variation, row)
        return has_trailer(path) if variation == MASKS else path.is_file()

    def _missing(self, variation: str, rows: np.ndarray, what: str) -> Iterator[np.ndarray]:
        """Rows without that file, in batches."""
        missing = np.array([row for row in rows if not self._is_made(variation, row)], int)
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
        content = stream.getvalue()
        self.write(self.path(MASKS, row), content + trailer(zlib.crc32(content)))

    def _make_mixed(self, row: int, image: np.ndarray, behind: dict[str, int]) -> None:
        mask = self.mask(row)[..., None]
        for variation, partner in behind.items():
            path = self.path(BACKGROUNDS, partner)
            background = cv2.imread(str(path))
            if background is None or background.shape != image.shape:
                raise _damaged(path)
            self._write_image(variation, row, np.where(mask, image, background[..., ::-1]))

    def _write_image(self, variation: str, row: int, pixels: np.ndarray) -> None:
        if self.ending == FORMATS["png"]:
            kind, quality = ".png", []
        else:
            kind, quality = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        encoded, data = cv2.imencode(kind, pixels[..., ::-1], quality)
        if not encoded:
            raise OSError(f"OpenCV could not encode {variation} of {self.names[row]}")
        self.write(self.path(variation, row), data.tobytes())


def _damaged(path: pathlib.Path) -> UserError:
    return UserError(f"{path} is damaged: begin again with {OVERWRITE}")


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
