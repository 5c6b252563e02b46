"""The images of a split, one by one at their own size, as sources of masks take them."""

import concurrent.futures
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from bginv.data.files import FileSource
from bginv.data.sources import ArraySource, Source
from bginv.data.variations import inpainted_background
from bginv.errors import UserError
from bginv.masks.source import Picture


class FilePictures:
    """Pictures of a `FileSource`, at the size that they have in their files."""

    def __init__(self, source: FileSource):
        self._source = source

    def keys(self, by_name: bool) -> Iterator[str]:
        """Hashes of the contents, and of names and labels where they count."""
        for row in range(len(self._source)):
            contents = pathlib.Path(self._source.images.path(row)).read_bytes()
            yield _key(contents, self.name(row) if by_name else "", self._label(row, by_name))

    def name(self, row: int) -> str:
        """CLASS/NAME.jpg."""
        return self._source.name(row)

    def area(self, row: int) -> int:
        """Pixels of one."""
        return int(np.prod(self._source.images.sizes[row]))

    def picture(self, row: int) -> Picture:
        """Read one."""
        pixels = self._source.images.read(row).numpy()
        return Picture(pixels, self.name(row), self._label(row))

    def _label(self, row: int, wanted: bool = True) -> int | None:
        return _label_of(self._source, row) if wanted else None

    def with_masks(self, files: Sequence[pathlib.Path]) -> Source:
        """The source with masks in files."""
        return self._source.with_masks(list(map(str, files)))


class ArrayPictures:
    """Pictures of an `ArraySource`; those of one channel become grey."""

    def __init__(self, source: ArraySource):
        self._source = source

    def keys(self, by_name: bool) -> Iterator[str]:
        """See `FilePictures.keys`."""
        for row, pixels in enumerate(self._source.images):
            contents = repr(pixels.shape).encode() + pixels.tobytes()
            label = _label_of(self._source, row) if by_name else None
            yield _key(contents, self.name(row) if by_name else "", label)

    def name(self, row: int) -> str:
        """As messages have it."""
        return f"image {row}"

    def area(self, row: int) -> int:
        """See `FilePictures.area`."""
        del row
        return int(np.prod(self._source.images.shape[1:3]))

    def picture(self, row: int) -> Picture:
        """One of them."""
        pixels = self._source.images[row]
        if pixels.shape[-1] == 1:
            pixels = np.repeat(pixels, 3, -1)
        return Picture(pixels, self.name(row), _label_of(self._source, row))

    def with_masks(self, files: Sequence[pathlib.Path]) -> Source:
        """The source with masks in memory."""
        held = np.empty((len(files), *self._source.images.shape[1:3], 1), np.uint8)
        for mask, file in zip(held, files, strict=True):
            mask[..., 0] = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        return self._source.with_masks(held)


Pictures = FilePictures | ArrayPictures


def pictures_of(source: Source) -> Pictures:
    """The pictures of a split.

    Raises:
        UserError: neither image files nor arrays.
    """
    if isinstance(source, FileSource):
        return FilePictures(source)
    if isinstance(source, ArraySource):
        return ArrayPictures(source)
    raise UserError(
        f"masks are found for image files and arrays; this data is a {type(source).__name__}: "
        "bring it as folder:PATH"
    )


def _label_of(source: Source, row: int) -> int | None:
    single = source.labels.ndim == 1 and source.labels.dtype.kind in "iu"
    return int(source.labels[row]) if single else None


def _key(contents: bytes, name: str, label: int | None) -> str:
    number = hashlib.sha256(contents)
    if name or label is not None:
        number.update(f"\0{name}\0{label}".encode(errors="surrogateescape"))
    return number.hexdigest()


Predict = Callable[[np.ndarray], np.ndarray]
"""From images, float32 [B, H, W, C] in [0, 1], to logits or probabilities [B, K]."""


def unit(mask: np.ndarray) -> np.ndarray:
    """A mask [h, w] or [h, w, 1], floats or uint8 with 255 for foreground, as float32 [h, w]."""
    flat = mask[..., 0] if mask.ndim == 3 else mask
    return flat / np.float32(255) if flat.dtype == np.uint8 else flat.astype(np.float32)


def part_accuracies(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    rows: np.ndarray,
    labels: np.ndarray,
    predict: Predict,
    batch_size: int = 16,
) -> tuple[float, float, float]:
    """Accuracy on pictures, on their foregrounds and on their backgrounds.

    Args:
        images: uint8 [h, w, C], all of one size.
        masks: of each, as `unit` takes it.
        rows: which count, int [M].
        labels: int [N].
        predict: the classifier.
        batch_size: images at once.
    """
    right = np.zeros(3)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            whole = np.stack([images[row] for row in part])
            soft = np.stack([unit(masks[row]) for row in part])
            behind = np.stack(list(pool.map(_background, whole, soft)))
            whole, behind = whole / np.float32(255), behind / np.float32(255)
            for kind, shown in enumerate((whole, whole * soft[..., None], behind)):
                right[kind] += np.sum(np.argmax(predict(shown), -1) == labels[part])
    return tuple((right / len(rows)).tolist())


def _background(image: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """The picture without its object; of one colour where nothing is left."""
    hole = cv2.dilate((soft >= 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if hole.all():
        return np.broadcast_to(image.mean((0, 1)).astype(np.uint8), image.shape)
    filled = inpainted_background(image, hole, shrink=2)
    return filled.reshape(image.shape)
