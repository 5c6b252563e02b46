"""The files of a set like Waterbirds: objects cut out by their masks, on pictures of places.

```
OUT/CLASS/NAME.jpg          an object on a place
OUT/masks/CLASS/NAME.png    its mask, white is the object
OUT/metadata.csv            Waterbirds' columns, and the names that they stand for
```
"""

import collections
import csv
import io
import pathlib
import zlib
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.checksums import has_trailer, trailer
from bginv.data.correlated_inputs import SHARPNESS, Objects, Places
from bginv.data.files import mixing_key, stretch
from bginv.data.folder import MASKS
from bginv.data.images import ImageFiles
from bginv.ops.augment import sharpen_masks
from bginv.ops.compositing import composite

COLUMNS = ("img_id", "img_filename", "y", "split", "place", "place_filename")
MORE_COLUMNS = ("class_name", "place_name", "object_filename")
FORMATS = {"jpeg": ".jpg", "png": ".png"}
JPEG_QUALITY = 95
REPORTED = 500
Write = Callable[[pathlib.Path, bytes], None]
"""To a file that is whole or not there."""


def cut_out(
    image: tf.Tensor, mask: tf.Tensor, side: int, object_size: float | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """An object alone, at the size of a square picture.

    Colours are averaged over the object's pixels alone, so that its edges show nothing of what was
    behind it.

    Args:
        image: uint8 [h, w, 3].
        mask: float32 [h, w, 1] in [0, 1], with sharp edges; some of it is above 0.
        side: H and W.
        object_size: longer side of the object's box as a share of the picture's side; its middle
            stays where it is, as far as there is room. None: the picture is stretched.

    Returns:
        float32 [H, W, 3] and [H, W, 1] in [0, 1].
    """
    held = tf.concat([tf.cast(image, tf.float32) / 255.0 * mask, mask], -1)
    if object_size is None:
        placed = tf.image.resize(held, [side, side], antialias=True)
    else:
        placed = _of_size(held, side, object_size)
    share = placed[..., 3:]
    alone = tf.clip_by_value(tf.math.divide_no_nan(placed[..., :3], share), 0.0, 1.0)
    return alone, sharpen_masks(share[tf.newaxis], SHARPNESS)[0]


def _of_size(held: tf.Tensor, side: int, object_size: float) -> tf.Tensor:
    """The box of what is held, float32 [h, w, 4] with the mask last, in a square of zeros."""
    shown_at = held[..., 3].numpy() > 0
    rows, columns = np.flatnonzero(shown_at.any(1)), np.flatnonzero(shown_at.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    scale = object_size * side / max(bottom - top, right - left)
    height, width = (max(1, round(scale * length)) for length in (bottom - top, right - left))
    small = tf.image.resize(held[top:bottom, left:right], [height, width], antialias=True)
    middle_y = (top + bottom) / 2 / held.shape[0] * side
    middle_x = (left + right) / 2 / held.shape[1] * side
    above = int(np.clip(round(middle_y - height / 2), 0, side - height))
    before = int(np.clip(round(middle_x - width / 2), 0, side - width))
    return tf.image.pad_to_bounding_box(small, above, before, side, side)


def read_square(images: ImageFiles, row: int, side: int) -> tf.Tensor:
    """The middle square of a picture, float32 [H, W, 3] in [0, 1]."""
    pixels = images.read(row)
    height, width = pixels.shape[:2]
    length = min(height, width)
    top, left = (height - length) // 2, (width - length) // 2
    square = pixels[top : top + length, left : left + length]
    return tf.cast(stretch(square, (side, side)), tf.float32) / 255.0


class CorrelatedFiles:
    """The pictures of a set; files that are there are not made again.

    Args:
        root: folder of the set.
        objects: in the order of the set.
        places: their pictures.
        pictures: int [N], numbers of the places' pictures behind the objects.
        class_names: of the objects.
        side: of the pictures.
        object_size: see `cut_out`.
        kind: a key of `FORMATS`.
        write: writes a file.
    """

    def __init__(
        self,
        root: pathlib.Path,
        objects: Objects,
        places: Places,
        pictures: np.ndarray,
        class_names: Sequence[str],
        side: int,
        object_size: float | None,
        kind: str,
        write: Write,
    ):
        self.root, self.objects, self.places, self.pictures = root, objects, places, pictures
        self.class_names, self.side, self.object_size = class_names, side, object_size
        self.ending, self.write = FORMATS[kind], write
        self.names = _names(objects, class_names)

    def make(self) -> None:
        """Write every picture and its mask."""
        missing = [row for row in range(len(self.objects)) if not self._is_made(row)]
        for done, row in enumerate(missing, 1):
            self._make(row)
            if done % REPORTED == 0 or done == len(missing):
                logging.info("%d of %d pictures", done, len(missing))

    def image_file(self, row: int) -> str:
        """CLASS/NAME.jpg."""
        return f"{self.names[row]}{self.ending}"

    def read(self, row: int) -> np.ndarray:
        """A picture that was written, float [H, W, 3] in [0, 1]."""
        return cv2.imread(str(self.root / self.image_file(row)))[..., ::-1] / 255

    def _paths(self, row: int) -> tuple[pathlib.Path, pathlib.Path]:
        return self.root / self.image_file(row), self.root / MASKS / f"{self.names[row]}.png"

    def _is_made(self, row: int) -> bool:
        return all(map(has_trailer, self._paths(row)))

    def _make(self, row: int) -> None:
        alone, mask = cut_out(
            self.objects.image(row), self.objects.mask(row), self.side, self.object_size
        )
        place = read_square(self.places.images, int(self.pictures[row]), self.side)
        image = composite(alone[tf.newaxis], mask[tf.newaxis], place[tf.newaxis])[0]
        for path, pixels in zip(self._paths(row), (image, mask), strict=True):
            self._write_pixels(path, np.round(pixels.numpy() * 255).astype(np.uint8))

    def _write_pixels(self, path: pathlib.Path, pixels: np.ndarray) -> None:
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
        encoded, data = cv2.imencode(path.suffix, pixels[..., ::-1], quality)
        if not encoded:
            raise OSError(f"OpenCV could not encode {path}")
        content = data.tobytes()
        self.write(path, content + trailer(zlib.crc32(content)))


def _names(objects: Objects, class_names: Sequence[str]) -> list[str]:
    """CLASS/NAME for each; a hash tells apart those of a class that have one name."""
    stems = [
        f"{class_names[label]}/{pathlib.PurePosixPath(file).stem}"
        for label, file in zip(objects.labels.tolist(), objects.files, strict=True)
    ]
    counts = collections.Counter(stem.casefold() for stem in stems)
    return [
        stem if counts[stem.casefold()] == 1 else f"{stem}-{mixing_key(file).hex()}"
        for stem, file in zip(stems, objects.files, strict=True)
    ]


def metadata(files: CorrelatedFiles, splits: np.ndarray, place_numbers: np.ndarray) -> str:
    """The content of `metadata.csv`: a line for each picture, in order."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*COLUMNS, *MORE_COLUMNS))
    writer.writerows(_lines(files, splits.tolist(), place_numbers.tolist()))
    return stream.getvalue()


def _lines(
    files: CorrelatedFiles, splits: list[int], place_numbers: list[int]
) -> Iterator[tuple[int | str, ...]]:
    objects, places = files.objects, files.places
    for row, (split, place) in enumerate(zip(splits, place_numbers, strict=True)):
        label, picture = int(objects.labels[row]), int(files.pictures[row])
        own = (row + 1, files.image_file(row), label, split, place, places.files[picture])
        yield *own, files.class_names[label], places.names[place], objects.files[row]
