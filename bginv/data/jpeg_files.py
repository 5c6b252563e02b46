"""JPEG files whose data ends before their picture does, which decoders fill with grey."""

import io
import re

import numpy as np
import PIL.Image

MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
"""What begins a segment (ITU T.81, B.1.1.2); in compressed data, 0 follows 255, or a restart."""

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
MORE_DATA = bytes([0x9D, 0x36, 0xB5, 0x6A]) * 16
SMALLER = 8
"""Pictures are compared in an eighth of their size, for which all of the data is read."""


def has_missing_data(contents: bytes) -> bool:
    """Whether a JPEG's compressed data ends before its picture does.

    It does where a part of the file was lost. libjpeg warns of it, and neither TensorFlow nor
    Pillow passes that on. So data is added after the last: a decoder that has the whole picture
    does not look at it, another goes on with it. Damage that leaves enough data is not found.

    Args:
        contents: bytes of a file that can be decoded.
    """
    end = _end_of_data(contents)
    if end is None:
        return False
    ending = bytes([0xFF, END_OF_IMAGE])
    whole, longer = (_small(contents[:end] + more + ending) for more in (b"", MORE_DATA))
    return whole is not None and longer is not None and not np.array_equal(whole, longer)


def _end_of_data(contents: bytes) -> int | None:
    """Where the marker is that ends the first picture; None where segments lead elsewhere."""
    place = 2
    while marker := MARKER.match(contents, place):
        kind = contents[marker.end() - 1]
        if kind == END_OF_IMAGE:
            return marker.start()
        length = int.from_bytes(contents[marker.end() : marker.end() + 2], "big")
        place = marker.end() + length
        if kind == START_OF_SCAN:
            following = MARKER.search(contents, place)
            place = following.start() if following else len(contents)
    return None


def _small(contents: bytes) -> np.ndarray | None:
    # by Pillow, as TensorFlow lets libjpeg print a warning of what was added
    try:
        with PIL.Image.open(io.BytesIO(contents), formats=["JPEG"]) as image:
            image.draft("RGB", tuple(max(1, side // SMALLER) for side in image.size))
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError):
        return None
