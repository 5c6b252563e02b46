"""Records read from image files whenever they are asked for."""

import collections
import concurrent.futures
import functools
import hashlib
import os
import pathlib
import re
import zlib
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
import PIL.Image
import tensorflow as tf

from bginv.checksums import has_trailer, trailer
from bginv.data.decoded import DecodedPictures, decoded_once, pictures_in_use
from bginv.data.images import ImageFiles, read_file, readable_rows, scan
from bginv.data.sources import Source
from bginv.errors import UserError
from bginv.output_files import write_bytes

CHANGED = re.compile(r"assertion failed: \[(.* has changed since it was checked)\]")
NOT_OPENED = re.compile(
    r"^(?:.*(?:Iterator::\S+: |\}\} ))?(.+); (No such file or directory|Permission denied)",
    re.MULTILINE,
)

READERS = 64
"""Of files of as many sizes and kinds."""


class FileSource(Source):
    """Records in image files; memory does not grow with them, apart from their names.

    Args:
        images: the files, all of them readable.
        labels: int [N] or [N, K].
        image_shape: (H, W, 3); images are stretched to it, nothing is cut off.
        masks: a file for each image, or None; the brightest channel counts, 255 is foreground.
        masks_of_labels: where a mask holds nothing above 1, 1 is foreground.
        resizing: "bilinear" or "bicubic".

    Attributes:
        folder: in which the names of images begin; None where these are CLASS/NAME.

    Raises:
        UserError: another shape or length, no record at all, or a file that cannot be read.
    """

    def __init__(
        self,
        images: ImageFiles,
        labels: np.ndarray,
        image_shape: tuple[int, int, int],
        masks: ImageFiles | None = None,
        masks_of_labels: bool = False,
        resizing: str = "bilinear",
    ):
        if len(image_shape) != 3 or image_shape[-1] != 3 or min(image_shape) < 1:
            raise UserError(f"image_shape must be (H, W, 3); received {image_shape}")
        lengths = {len(files) for files in (images, labels, masks) if files is not None}
        if len(lengths) != 1 or 0 in lengths:
            raise UserError(
                f"images, labels and masks need one length above 0; received {sorted(lengths)}"
            )
        for files in (images, masks):
            if files is not None:
                readable_rows(files, skip_bad_files=False)
        self.images, self.masks = images, masks
        self.labels = np.asarray(labels, np.int32)
        self.image_shape, self.masks_of_labels = image_shape, masks_of_labels
        self.resizing = resizing
        self.folder: str | None = None
        with tf.device("CPU"):
            self._labels = tf.constant(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, row: int) -> str:
        """The path of an image in its folder, with `/`, such as CLASS/NAME.jpg."""
        path = pathlib.PurePath(self.images.path(row))
        if self.folder is None:
            return "/".join(path.parts[-2:])
        return path.relative_to(self.folder).as_posix()

    @property
    def parallel_batches(self) -> int:
        """See `Source.parallel_batches`; a batch reads its files one by one."""
        return self.images.parallel_reads

    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Source.gather`; images and masks are multiples of 1/255, as uint8 would hold them.

        Raises:
            tf.errors.OpError: a file vanished or changed since it was checked; `input_error`
                makes a line of it.
        """
        records = {"image": self._read(self.images, indices)}
        if self.masks is not None:
            records["mask"] = self._read(self.masks, indices)
        records = {name: tf.cast(pixels, tf.float32) / 255.0 for name, pixels in records.items()}
        return {**records, "label": tf.gather(self._labels, indices), "index": indices}

    def _read(self, files: ImageFiles, rows: tf.Tensor) -> tf.Tensor:
        """Pixels uint8 [B, H, W, 3], of masks [B, H, W, 1]."""
        is_mask = files is self.masks
        shape = (*self.image_shape[:2], 1 if is_mask else 3)
        change = (shape, self.resizing, is_mask and self.masks_of_labels)
        if isinstance(files, ImageFiles):
            read = _reader(*change, pictures_in_use())
            tensors = (files.files, files.orientations, files.fingerprints)
            pixels = read(*(tf.gather(own, rows) for own in tensors))
        else:
            signature = tf.TensorSpec(shape, tf.uint8)
            pixels = tf.map_fn(
                lambda row: _shaped(files.read(row), *change), rows, fn_output_signature=signature
            )
        return tf.ensure_shape(pixels, [*rows.shape, *shape])

    def digest(self) -> int:
        """See `Source.digest`: contents, labels and image size count; masks and names do not."""
        shape = np.array(self.image_shape, np.int32)
        number = zlib.crc32(self.images.fingerprints.numpy(), zlib.crc32(shape))
        return zlib.crc32(self.labels.tobytes(), number)

    def masks_digest(self) -> int:
        """See `Source.masks_digest`."""
        return zlib.crc32(self.masks.fingerprints.numpy())

    def with_masks(self, files: Sequence[str], of_labels: bool = False) -> "FileSource":
        """The same images with these mask files, one an image, of any size.

        Args:
            files: their paths.
            of_labels: see `masks_of_labels`.

        Raises:
            UserError: a file that cannot be read, or another number of files.
        """
        masked = FileSource(self.images, self.labels, self.image_shape, scan(files), of_labels)
        return self._named(masked, self.places)

    @property
    def has_masks(self) -> bool:
        """See `Source.has_masks`."""
        return self.masks is not None

    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "FileSource":
        """See `Source.take`."""
        taken = FileSource(
            self.images.take(rows),
            self.labels[rows] if labels is None else labels,
            self.image_shape,
            None if self.masks is None else self.masks.take(rows),
            self.masks_of_labels,
            self.resizing,
        )
        return self._named(taken, None if self.places is None else self.places[rows])

    def at_size(self, side: int) -> "FileSource":
        """See `Source.at_size`."""
        shape = (side, side, self.image_shape[2])
        sized = FileSource(
            self.images, self.labels, shape, self.masks, self.masks_of_labels, self.resizing
        )
        return self._named(sized, self.places)

    def without_masks(self) -> "FileSource":
        """See `Source.without_masks`."""
        if self.masks is None:
            return self
        alone = FileSource(self.images, self.labels, self.image_shape, resizing=self.resizing)
        return self._named(alone, self.places)

    def _named(self, made: "FileSource", places: np.ndarray | None) -> "FileSource":
        """What was made of these files, with places and names as they have here."""
        made.folder = self.folder
        return made.with_places(places)


@functools.lru_cache(maxsize=READERS)
def _reader(
    shape: tuple[int, int, int],
    resizing: str,
    of_labels: bool,
    pictures: DecodedPictures | None,
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Paths, orientations and fingerprints [B] of files to pixels uint8 [B, *shape].

    It is traced once: to trace it for each pass over some files takes longer than to read them.
    """

    def read_one(file: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return _shaped(read_file(*file), shape, resizing, of_labels)

    def read(files: tf.Tensor, orientations: tf.Tensor, fingerprints: tf.Tensor) -> tf.Tensor:
        def decode() -> tf.Tensor:
            return tf.map_fn(
                read_one,
                (files, orientations, fingerprints),
                fn_output_signature=tf.TensorSpec(shape, tf.uint8),
            )

        if pictures is None:
            return decode()
        kind = f"{shape} {resizing} {of_labels}"
        return decoded_once(pictures, kind, fingerprints, shape, decode)

    signature = [tf.TensorSpec([None], kind) for kind in (tf.string, tf.int32, tf.int64)]
    return tf.function(read, input_signature=signature, autograph=False)


def _shaped(
    pixels: tf.Tensor, shape: tuple[int, int, int], resizing: str, of_labels: bool
) -> tf.Tensor:
    """Pixels uint8 [h, w, 3] of a file as a source gives them, [*shape]; see `FileSource`."""
    if of_labels:
        pixels = stretched_labels(pixels)
    pixels = stretch(pixels, shape[:2], resizing)
    return tf.reduce_max(pixels, -1, keepdims=True) if shape[-1] == 1 else pixels


def load_files(
    root: pathlib.Path,
    names: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    image_shape: tuple[int, int, int],
    skip_bad_files: bool,
) -> FileSource:
    """The files of a folder in a fixed mixed order, so that the first ones show every class.

    Args:
        root: the folder.
        names: of its files, with `/`.
        labels: one a file, or a row of them.
        image_shape: (H, W, 3).
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        UserError: files that cannot be read.
    """
    order = sorted(range(len(names)), key=lambda row: mixing_key(names[row]))
    files = scan([str(root / names[row]) for row in order])
    rows = readable_rows(files, skip_bad_files)
    return FileSource(files.take(rows), np.asarray(labels)[order][rows], image_shape)


def mixing_key(name: str) -> bytes:
    """A key that sorts names into an order without order."""
    return hashlib.blake2b(os.fsencode(name), digest_size=8).digest()


def stretch(pixels: tf.Tensor, size: tuple[int, int], resizing: str = "bilinear") -> tf.Tensor:
    """Pixels uint8 [..., h, w, C] resized to [..., H, W, C], with antialias, rounded.

    Args:
        pixels: of one picture or of several, of any size.
        size: (H, W).
        resizing: "bilinear"; or "bicubic", by Pillow, which takes colours of one picture alone.
    """

    def resized() -> tf.Tensor:
        if resizing == "bicubic":
            return by_pillow(pixels, size, PIL.Image.Resampling.BICUBIC)
        smooth = tf.image.resize(pixels, size, resizing, antialias=True)
        return tf.saturate_cast(tf.round(smooth), tf.uint8)

    fits = tf.reduce_all(tf.shape(pixels)[-3:-1] == size)
    kept = tf.cond(fits, lambda: pixels, resized)
    return tf.ensure_shape(kept, [*pixels.shape[:-3], *size, pixels.shape[-1]])


def by_pillow(
    pixels: tf.Tensor, size: tuple[int, int], resampling: PIL.Image.Resampling
) -> tf.Tensor:
    """An image resized by Pillow, in graph.

    The code of AdaptSegNet resizes by it; to round between two passes to 8 bits, as it does, takes
    weights of its own that TensorFlow does not have.

    Args:
        pixels: uint8 [h, w, 3], or int32 [h, w].
        size: (H, W).
        resampling: one of Pillow's.
    """

    def resized(held: np.ndarray) -> np.ndarray:
        return np.asarray(PIL.Image.fromarray(held).resize(size[::-1], resampling))

    found = tf.numpy_function(resized, [pixels], pixels.dtype, stateful=False)
    return tf.ensure_shape(found, [*size, *pixels.shape[2:]])


def input_error(error: tf.errors.OpError) -> str | None:
    """The sentence about an image file in TensorFlow's message; None if it is about none.

    Args:
        error: raised by a step that reads batches of a `FileSource`, or by the batches.
    """
    changed = CHANGED.search(error.message)
    if changed:
        return changed[1]
    not_opened = NOT_OPENED.search(error.message)
    return f"{not_opened[1]} cannot be read: {not_opened[2].lower()}" if not_opened else None


def stretched_labels(mask: tf.Tensor) -> tf.Tensor:
    """A mask of zeros and ones, as labelling tools write, to 0 and 255; others as they are."""
    return tf.where(tf.reduce_max(mask) == 1, mask * 255, mask)


def write_records(
    source: FileSource,
    pictures_of: Callable[[dict[str, tf.Tensor]], Iterable[np.ndarray]],
    folder: pathlib.Path,
    ending: str,
) -> list[str]:
    """Write `folder/INDEX.ending` for each record; the first that are there are not made again.

    Args:
        source: the records.
        pictures_of: from a batch of them to a picture of each, uint8 as OpenCV writes it.
        folder: of the files.
        ending: of their names; ".jpg" has OpenCV's quality, 95 of 100.
    """
    files = [folder / f"{index}{ending}" for index in range(len(source))]
    missing = next((i for i, file in enumerate(files) if not has_trailer(file)), None)
    if missing is not None:
        size = source.pass_batch
        start = missing // size
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for number, batch in enumerate(source.batches(size, start=start), start):
                written = pool.map(_write_picture, files[number * size :], pictures_of(batch))
                collections.deque(written, maxlen=0)  # errors come here
    return list(map(str, files))


def _write_picture(file: pathlib.Path, picture: np.ndarray) -> None:
    content = cv2.imencode(file.suffix, picture)[1].tobytes()
    write_bytes(file, content + trailer(zlib.crc32(content)), durable=False)
