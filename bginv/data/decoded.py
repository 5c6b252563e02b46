"""Pictures of image files, kept on disk once they are decoded and resized."""

import contextlib
import contextvars
import os
import pathlib
import tempfile
import threading
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from absl import logging

GIGABYTE = 10**9
LEAST_FREE = 0.5
"""Share of a disk's free space that is left to others."""


class DecodedPictures:
    """Pictures by the contents of their files, in one file without a name, which ends with it.

    Reads are no memory map: mapped pages would count as memory of the process.

    Args:
        folder: on the disk that is to hold them.
        most_bytes: that they may take.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, folder: pathlib.Path, most_bytes: int):
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)
        self._places: dict[tuple[str, int], int] = {}
        self._end, self._room = 0, most_bytes
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Give the disk back; graphs that still read from here decode."""
        with self._lock:
            self._places, self._room = {}, 0
            self._file.close()

    def read(self, kind: str, numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Pictures uint8 [B, *shape]; none, [0, *shape], where one of them is not there.

        Args:
            kind: what tells pictures of one file apart.
            numbers: int64 [B], of the files' contents.
            shape: of a picture.
        """
        pixels = np.empty((len(numbers), *shape), np.uint8)
        try:
            for number, picture in zip(numbers.tolist(), pixels, strict=True):
                if os.preadv(self._file.fileno(), [picture], self._places[kind, number]) < len(
                    picture.data.cast("B")
                ):
                    return pixels[:0]
        except (KeyError, OSError, ValueError):  # not there; a damaged disk; closed
            return pixels[:0]
        return pixels

    def write(self, kind: str, numbers: np.ndarray, pixels: np.ndarray) -> None:
        """Keep pictures, as many as there is room for; see `read`."""
        for number, picture in zip(numbers.tolist(), pixels, strict=True):
            with self._lock:
                if (kind, number) in self._places or picture.nbytes > self._room - self._end:
                    continue
                place = self._end
                self._end += picture.nbytes
            try:
                written = os.pwrite(self._file.fileno(), picture, place)
            except (OSError, ValueError) as error:
                self._give_up(error)
                return
            if written == picture.nbytes:
                with self._lock:
                    self._places[kind, number] = place

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            told, self._room = self._room == 0, 0
        if not told:
            reason = getattr(error, "strerror", None) or error
            logging.warning(
                "the disk takes no more decoded pictures (%s): %d are kept, others are decoded "
                "each time that they are read",
                *(str(reason).lower(), len(self)),
            )


_IN_USE: contextvars.ContextVar[DecodedPictures | None] = contextvars.ContextVar(
    "decoded pictures", default=None
)


@contextlib.contextmanager
def kept_decoded(folder: pathlib.Path | None, gigabytes: float) -> Iterator[None]:
    """Keep pictures that `FileSource` decodes for as long as the context is open.

    Args:
        folder: on the disk that is to hold it; None keeps nothing.
        gigabytes: that it may take, but no more than half of what is free.
    """
    if folder is None or not gigabytes or not hasattr(os, "preadv"):
        yield
        return
    try:
        disk = os.statvfs(folder)
        free = int(LEAST_FREE * disk.f_bavail * disk.f_frsize)
        pictures = DecodedPictures(folder, min(int(gigabytes * GIGABYTE), free))
    except OSError as error:
        logging.warning("decoded pictures are not kept: %s", (error.strerror or str(error)).lower())
        yield
        return
    token = _IN_USE.set(pictures)
    try:
        yield
    finally:
        _IN_USE.reset(token)
        pictures.close()


def pictures_in_use() -> DecodedPictures | None:
    """Where `kept_decoded` keeps them now, if anywhere."""
    return _IN_USE.get()


def decoded_once(
    pictures: DecodedPictures,
    kind: str,
    numbers: tf.Tensor,
    shape: tuple[int, ...],
    decode: Callable[[], tf.Tensor],
) -> tf.Tensor:
    """Pictures in graph, uint8 [B, *shape]: kept ones if all are there, else decoded ones.

    Args:
        pictures: the kept ones.
        kind: what tells pictures of one file apart, such as their size.
        numbers: int64 [B], of the contents of the files.
        shape: of a picture.
        decode: makes them.
    """

    def read(own: np.ndarray) -> np.ndarray:
        return pictures.read(kind, own, shape)

    def write(own: np.ndarray, pixels: np.ndarray) -> None:
        pictures.write(kind, own, pixels)

    def decode_and_keep() -> tf.Tensor:
        made = decode()
        with tf.control_dependencies([tf.numpy_function(write, [numbers, made], [])]):
            return tf.identity(made)

    found = tf.ensure_shape(tf.numpy_function(read, [numbers], tf.uint8), [None, *shape])
    return tf.cond(tf.shape(found)[0] == tf.size(numbers), lambda: found, decode_and_keep)
