"""The images of a split, one by one at their own size, as sources of masks take them."""

import hashlib
import pathlib
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from bginv.data.files import FileSource
from bginv.data.sources import ArraySource, Source
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
        return picture_name(self._source.images.path(row))

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
        ValueError: neither image files nor arrays.
    """
    if isinstance(source, FileSource):
        return FilePictures(source)
    if isinstance(source, ArraySource):
        return ArrayPictures(source)
    raise ValueError(
        f"masks are found for image files and arrays; this data is a {type(source).__name__}: "
        "bring it as folder:PATH"
    )


def _label_of(source: Source, row: int) -> int | None:
    single = source.labels.ndim == 1 and source.labels.dtype.kind in "iu"
    return int(source.labels[row]) if single else None


def picture_name(path: str) -> str:
    """CLASS/NAME.jpg of an image's path."""
    return "/".join(pathlib.PurePath(path).parts[-2:])


def _key(contents: bytes, name: str, label: int | None) -> str:
    number = hashlib.sha256(contents)
    if name or label is not None:
        number.update(f"\0{name}\0{label}".encode(errors="surrogateescape"))
    return number.hexdigest()
