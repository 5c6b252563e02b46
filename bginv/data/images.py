"""Image files: which can be read, how they are turned, and their pixels in graph."""

import concurrent.futures
import dataclasses
import functools
import io
import os
import pathlib
import stat
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import PIL.ExifTags
import PIL.Image
import tensorflow as tf
from absl import logging

from bginv.data import other_formats
from bginv.data.jpeg_files import has_missing_data
from bginv.data.pixel_room import Room
from bginv.data.scan_cache import Examined, ScanCache
from bginv.errors import UserError
from bginv.prefetch import AT_ONCE

ENDINGS = tuple(sorted((".bmp", ".gif", ".jpeg", ".jpg", ".png", *other_formats.ENDINGS)))
READABLE = ("BMP", "GIF", "JPEG", "MPO", "PNG", *other_formats.FORMATS)  # as Pillow calls them
NAMES = "jpeg, png, gif, bmp, webp, tiff, avif"
START_OF_JPEG, FINGERPRINTS = b"\xff\xd8\xff", 2**63 - 1
SCANNED_AT_ONCE, SECONDS_TO_PROGRESS, NAMED_BAD_FILES = 1024, 10, 5
MOST_PIXELS = 2**28
"""Of a file, in all its pictures: some cameras have 200 million."""
PIXELS_IN_FLIGHT = 2**26
"""Of the files that are decoded at once, unless one has more: 200 MB."""
PIL.Image.MAX_IMAGE_PIXELS = MOST_PIXELS


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Image files that were read once, by `scan`.

    Attributes:
        files: string [N], the paths.
        orientations: int32 [N], EXIF orientations, 1 to 8.
        fingerprints: int64 [N], of the contents.
        sizes: int32 [N, 2], height and width as shown, after turning.
        reasons: for each file that cannot be read, by its row: why.
    """

    files: tf.Tensor
    orientations: tf.Tensor
    fingerprints: tf.Tensor
    sizes: np.ndarray
    reasons: dict[int, str]

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, rows: np.ndarray) -> "ImageFiles":
        """Those of these rows, int [M], in this order."""
        with tf.device("CPU"):
            return ImageFiles(
                files=tf.gather(self.files, rows),
                orientations=tf.gather(self.orientations, rows),
                fingerprints=tf.gather(self.fingerprints, rows),
                sizes=self.sizes[rows],
                reasons={
                    new: self.reasons[old]
                    for new, old in enumerate(map(int, rows))
                    if old in self.reasons
                },
            )

    @property
    def parallel_reads(self) -> int:
        """How many files may be read at once, so that memory holds their pixels."""
        largest = int(self.sizes.astype(np.int64).prod(1).max(initial=1))
        held = max(1, PIXELS_IN_FLIGHT // max(1, largest))
        return min(held, AT_ONCE)

    def path(self, row: int) -> str:
        """Path of a file."""
        return os.fsdecode(self.files[row].numpy())

    def name(self, row: int) -> str:
        """Path of a file, for a message."""
        return shown(self.path(row))

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """Pixels of a file, in graph: uint8 [h, w, 3], turned as EXIF says.

        Args:
            row: int [].

        Raises:
            tf.errors.OpError: the file is not what it was in the scan; see `input_error`.
        """
        return read_file(self.files[row], self.orientations[row], self.fingerprints[row])

    def contents(self, row: tf.Tensor) -> tf.Tensor:
        """Bytes of a file, in graph; see `read`."""
        return _unchanged(self.files[row], self.fingerprints[row])


def read_file(path: tf.Tensor, orientation: tf.Tensor, fingerprint: tf.Tensor) -> tf.Tensor:
    """Pixels of a file, in graph; see `ImageFiles.read`.

    Args:
        path: string [].
        orientation: int32 [], see `turn`.
        fingerprint: int64 [], of its contents.
    """
    return turn(decode(_unchanged(path, fingerprint)), orientation)


def _unchanged(path: tf.Tensor, fingerprint: tf.Tensor) -> tf.Tensor:
    contents = tf.io.read_file(path)
    unchanged = tf.debugging.Assert(
        _fingerprint(contents) == fingerprint,
        [tf.strings.join([path, " has changed since it was checked"])],
    )
    with tf.control_dependencies([unchanged]):
        return tf.identity(contents)


def decode(contents: tf.Tensor) -> tf.Tensor:
    """Pixels uint8 [h, w, 3] of an image file, not turned; those of `other_formats` are.

    Alpha is dropped, of 16 bits the upper 8 count, of an animation the first picture. JPEG files
    are decoded as Pillow and OpenCV do, and not by TensorFlow's faster transform.

    Args:
        contents: string [], the bytes of the file.
    """
    pixels = tf.cond(
        tf.strings.substr(contents, 0, len(START_OF_JPEG)) == START_OF_JPEG,
        lambda: tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.cond(
            other_formats.is_other(contents),
            lambda: other_formats.decode_other(contents),
            lambda: tf.io.decode_image(contents, channels=3, expand_animations=False),
        ),
    )
    pixels.set_shape([None, None, 3])
    return pixels


def turn(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Pixels [h, w, C] as they should be shown (EXIF 2.32, tag 0x0112).

    Args:
        pixels: as they are stored.
        orientation: int32 [], 1 to 8; 5 to 8 exchange rows and columns.
    """

    def turned() -> tf.Tensor:
        kept = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
        rows = 1 - tf.bitwise.bitwise_and(orientation - 1, 2)
        columns = 1 - tf.bitwise.bitwise_and(orientation, 2)
        return tf.ensure_shape(kept[::rows, ::columns], [None, None, pixels.shape[-1]])

    return tf.cond(orientation > 1, turned, lambda: pixels)


def scan(files: Sequence[str]) -> ImageFiles:
    """Read every file once, in parallel, and say which cannot be read; see `ScanCache`.

    Args:
        files: paths.
    """
    orientations = np.ones(len(files), np.int32)
    fingerprints = np.zeros(len(files), np.int64)
    sizes = np.zeros((len(files), 2), np.int32)
    reasons = {}
    report_at = time.monotonic() + SECONDS_TO_PROGRESS
    other_formats.register()
    PIL.Image.init()  # at once; a thread that finds it half done knows fewer formats
    room, cache = Room(PIXELS_IN_FLIGHT), ScanCache(files)
    examine = functools.partial(cache, examine=lambda file: _examine(file, room))
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor() as pool:
        warnings.filterwarnings("ignore", module="PIL")
        for start in range(0, len(files), SCANNED_AT_ONCE):
            part = files[start : start + SCANNED_AT_ONCE]
            for row, result in enumerate(pool.map(examine, part), start):
                if isinstance(result, str):
                    reasons[row] = result
                else:
                    orientations[row], fingerprints[row], sizes[row] = result
            if time.monotonic() > report_at:
                logging.info("reading %d image files once, to check them", len(files))
                report_at = float("inf")
    cache.write()
    with tf.device("CPU"):
        return ImageFiles(
            files=tf.constant([os.fsencode(file) for file in files], tf.string, [len(files)]),
            orientations=tf.constant(orientations),
            fingerprints=tf.constant(fingerprints),
            sizes=sizes,
            reasons=reasons,
        )


def image_names(folder: pathlib.Path) -> list[str]:
    """Names of the image files in a folder, sorted, without what is hidden."""
    names = (entry.name for entry in folder.iterdir())
    return sorted(own for own in names if own.lower().endswith(ENDINGS) and own[0] != ".")


def scan_pairs(
    images: Sequence[str],
    others: Sequence[str],
    skip_bad_files: bool,
    same_shape_as: str | None = None,
) -> tuple[np.ndarray, ImageFiles, ImageFiles]:
    """Images and a file for each, scanned together; those of which both can be read.

    Args:
        images: paths.
        others: as many paths.
        skip_bad_files: see `rows_without`.
        same_shape_as: what the others are, where `check_sizes` is to look at them.

    Returns:
        Rows of those images, int [M]; and the files of either kind in these rows.
    """
    files = scan([*images, *others])
    readable = np.zeros(len(files), bool)
    readable[readable_rows(files, skip_bad_files)] = True
    rows = np.flatnonzero(readable[: len(images)] & readable[len(images) :])
    found, found_others = files.take(rows), files.take(len(images) + rows)
    if same_shape_as:
        check_sizes(found, found_others, same_shape_as)
    return rows, found, found_others


def check_sizes(images: ImageFiles, others: ImageFiles, what: str) -> None:
    """Raise unless each file has its image's aspect ratio, within the rounding of a pixel.

    Args:
        images: the images.
        others: a mask or label map for each.
        what: they are, for the message.

    Raises:
        UserError: it names both files and their sizes.
    """
    height, width = images.sizes.astype(np.int64).T
    own_height, own_width = others.sizes.astype(np.int64).T
    difference = np.abs(height * own_width - width * own_height)
    wrong = np.flatnonzero(difference > np.max([height, width, own_height, own_width], axis=0))
    if len(wrong):
        row = wrong[0]
        raise UserError(
            f"{others.name(row)} is {own_width[row]} x {own_height[row]}, but its image "
            f"{images.name(row)} is {width[row]} x {height[row]}; a {what} needs its image's shape"
        )


def readable_rows(images: ImageFiles, skip_bad_files: bool) -> np.ndarray:
    """Rows of the files that can be read; see `rows_without`."""
    faults = {row: f"{images.name(row)} ({why})" for row, why in sorted(images.reasons.items())}
    return rows_without(faults, len(images), skip_bad_files)


def rows_without(faults: Mapping[int, str], count: int, skip_bad_files: bool) -> np.ndarray:
    """Rows of the image files that can be read; a warning counts the others.

    Args:
        faults: name and fault of each file that cannot be read, by its row.
        count: of all files.
        skip_bad_files: go on without the bad files.

    Raises:
        UserError: a file cannot be read, and bad files are not to be skipped.
    """
    if faults:
        more = len(faults) - NAMED_BAD_FILES
        names = ", ".join(list(faults.values())[:NAMED_BAD_FILES])
        names += f" and {more} more" if more > 0 else ""
        bad = f"{len(faults)} of {count} image files cannot be read"
        if not skip_bad_files:
            raise UserError(
                f"{bad}, the first: {names}; repair or remove them, or give --skip-bad-files"
            )
        logging.warning("%s and are left out: %s", bad, names)
    return np.delete(np.arange(count), list(faults))


def shown(path: str | os.PathLike) -> str:
    """A path for a message of one line: quoted if it holds what cannot be printed."""
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)


def _examine(file: str, room: Room) -> Examined | str:
    """What a scan is to know of a file; or why it cannot be read."""
    try:
        file.encode()
        if not stat.S_ISREG(os.stat(file).st_mode):
            return "it is a folder, or no ordinary file"
        with open(file, "rb") as stream:
            contents = stream.read()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except FileNotFoundError:
        return "it has vanished, or is a link that leads nowhere"
    except OSError as error:
        return error.strerror.lower()
    if not contents:
        return "it is empty"
    pixels = _pixels(contents)
    if isinstance(pixels, str):
        return pixels
    with room.of(pixels):
        try:
            shape, fingerprint = _decoded(contents)
        except tf.errors.OpError:
            return _orientation(contents, decoded=False)
        orientation = _orientation(contents, decoded=True)
        if contents.startswith(b"\xff\xd8") and has_missing_data(contents):
            return "it is damaged: a part of its data is missing"
    if isinstance(orientation, str):
        return orientation
    return orientation, fingerprint, shape[:2] if orientation < 5 else shape[1::-1]


def _decoded(contents: bytes) -> tuple[tuple[int, ...], int]:
    """Shape of the pixels of a file, not turned, and its fingerprint."""
    shape, fingerprint = _decoder()(tf.constant(contents))
    return tuple(shape.numpy().tolist()), int(fingerprint)


@functools.cache
def _decoder() -> Callable:
    # in graph, as threads run eager operations one after the other
    @tf.function
    def decoded(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.device("CPU"):
            return tf.shape(decode(contents)), _fingerprint(contents)

    return decoded.get_concrete_function(tf.TensorSpec([], tf.string))


def _pixels(contents: bytes) -> int | str:
    """Pixels of all pictures that a file's head promises, 0 where it tells none; or: too many."""
    try:
        with PIL.Image.open(io.BytesIO(contents)) as picture:
            # TensorFlow decodes all of an animation, though it gives the first
            frames = getattr(picture, "n_frames", 1) if picture.format == "GIF" else 1
            width, height = picture.size
    except PIL.Image.DecompressionBombError:
        return f"it has more than {2 * MOST_PIXELS:,} pixels; make it smaller"
    except Exception:  # a damaged file raises anything
        return 0
    if frames * width * height > MOST_PIXELS:
        all_frames = f"{frames} pictures of " if frames > 1 else ""
        return f"it has {all_frames}{width} x {height} pixels; {MOST_PIXELS:,} can be read"
    return frames * width * height


def _fingerprint(contents: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(contents, FINGERPRINTS)


def _orientation(contents: bytes, decoded: bool) -> int | str:
    """EXIF orientation of a file that TensorFlow has decoded or not; or why it cannot be read."""
    tagged = b"Exif" in contents or b"eXIf" in contents
    if decoded and not tagged and contents.startswith((b"\xff\xd8", b"\x89PNG")):
        return 1  # most files; to look for tags, Pillow decodes a png
    if other_formats.lacks_plugin(contents):
        return "it is HEIC, which pip install pillow-heif lets Pillow read"
    reason = f"it is not a whole {NAMES} or heic"
    try:
        with PIL.Image.open(io.BytesIO(contents)) as picture:
            unfit = _unfit(picture)
            if unfit or decoded:
                others = picture.format in other_formats.FORMATS  # whose pixels come turned
                found = 1 if others else picture.getexif().get(PIL.ExifTags.Base.Orientation)
                return unfit or (found if found in range(1, 9) else 1)
            reason = "it is cut short or damaged"
            picture.load()
            reason = f"it is damaged, or an unusual kind of {picture.format}"
    except Exception:  # a damaged file raises anything
        pass
    return 1 if decoded else reason


def _unfit(picture: PIL.Image.Image) -> str | None:
    """Why a picture is not to be read, even if TensorFlow decodes it."""
    if picture.format not in READABLE:
        return f"it is {picture.format}; {NAMES} and heic can be read"
    if picture.format in other_formats.FORMATS:
        return other_formats.unfit(picture)
    # TensorFlow takes places in this palette for grey values, and what is transparent for black
    if picture.format == "BMP" and picture.mode == "P":
        return "it is a bmp with a palette of colours; save it as png"
    clear = picture.format == "GIF" and "transparency" in picture.info
    if clear and picture.convert("RGBA").getextrema()[3][0] == 0:
        return "it is a gif with transparent pixels; save it as png"
    return None
