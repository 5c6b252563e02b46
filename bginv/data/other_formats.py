"""Formats of images that Pillow reads and TensorFlow does not: WebP, TIFF, AVIF and HEIC."""

import functools
import importlib
import importlib.util
import io

import numpy as np
import PIL.Image
import PIL.ImageOps
import tensorflow as tf

from bginv.errors import first_line

FORMATS = ("AVIF", "HEIF", "TIFF", "WEBP")  # as Pillow calls them
ENDINGS = (".avif", ".heic", ".heif", ".tif", ".tiff", ".webp")
TIFF_HEADS = (b"II*\0", b"MM\0*")
RIFF, WEBP, FTYP = b"RIFF", b"WEBP", b"ftyp"
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
HEAD = 12
"""Bytes that tell these formats."""
SIXTEEN_BITS = "I;16"
HEIF_PACKAGE = "pillow_heif"


@functools.cache
def register() -> bool:
    """Let Pillow read HEIC, where its plug-in is installed; whether it is."""
    if importlib.util.find_spec(HEIF_PACKAGE) is None:
        return False
    importlib.import_module(HEIF_PACKAGE).register_heif_opener()
    return True


def is_other(contents: tf.Tensor) -> tf.Tensor:
    """Whether a file is of one of these formats, in graph, as its first bytes tell.

    Args:
        contents: string [], the bytes of the file.
    """
    head = tf.strings.substr(contents + tf.constant(bytes(HEAD)), 0, HEAD)
    first, second, third = (tf.strings.substr(head, place, 4) for place in (0, 4, 8))
    is_tiff = (first == TIFF_HEADS[0]) | (first == TIFF_HEADS[1])
    return is_tiff | ((first == RIFF) & (third == WEBP)) | (second == FTYP)


def decode_other(contents: tf.Tensor) -> tf.Tensor:
    """Pixels uint8 [h, w, 3] of a file of these formats, in graph, turned as EXIF says.

    Args:
        contents: string [], the bytes of the file.
    """
    # a NumPy function would lose the zeros that some files end with
    return tf.py_function(_pixels, [contents], tf.uint8)


def unfit(picture: PIL.Image.Image) -> str | None:
    """Why a picture of these formats is not to be read; None if it can be."""
    if picture.mode == "F" or (picture.mode == "I" and picture.format == "TIFF"):
        return "its pixels have 32 bits; save it with 8 or 16"
    return None


def lacks_plugin(contents: bytes) -> bool:
    """Whether a file is HEIC and the plug-in that reads it is not installed."""
    return contents[4:8] == FTYP and contents[8:HEAD] in HEIC_BRANDS and not register()


def colours_of(picture: PIL.Image.Image) -> np.ndarray:
    """Pixels uint8 [h, w, 3]; of 16 bits the upper 8, where Pillow would cut at 255."""
    if picture.mode.startswith(SIXTEEN_BITS):
        picture = PIL.Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    return np.asarray(picture.convert("RGB"))


def _pixels(contents: tf.Tensor) -> np.ndarray:
    register()
    try:
        with PIL.Image.open(io.BytesIO(contents.numpy())) as picture:
            shown = PIL.ImageOps.exif_transpose(picture)
            return colours_of(shown)
    except Exception as error:  # a damaged file raises anything
        raise tf.errors.InvalidArgumentError(None, None, first_line(error)) from error
