"""EXIF orientation of an image file, from its bytes (EXIF 2.32; PNG 1.5 extensions for `eXIf`)."""

import struct
from collections.abc import Iterator


def orientation_of(contents: bytes) -> int:
    """EXIF orientation, 1 to 8, of a jpeg or png file; 1 where there is none or it makes no sense.

    Args:
        contents: the bytes of the file; only its segments before the pixels are looked at.
    """
    segments = _jpeg_exif(contents) if contents[:2] == b"\xff\xd8" else _png_exif(contents)
    for exif in segments:
        try:
            orientation = _orientation_tag(exif)
        except struct.error:
            continue
        if 1 <= orientation <= 8:
            return orientation
    return 1


def _jpeg_exif(contents: bytes) -> Iterator[bytes]:
    place = 2
    while place + 4 <= len(contents) and contents[place] == 0xFF and contents[place + 1] != 0xDA:
        if contents[place + 1] == 0xFF:  # padding
            place += 1
            continue
        length = int.from_bytes(contents[place + 2 : place + 4], "big")
        if contents[place + 1] == 0xE1 and contents[place + 4 : place + 10] == b"Exif\0\0":
            yield contents[place + 10 : place + 2 + length]
        place += 2 + length


def _png_exif(contents: bytes) -> Iterator[bytes]:
    place = 8
    while place + 8 <= len(contents) and contents.startswith(b"\x89PNG"):
        length = int.from_bytes(contents[place : place + 4], "big")
        if contents[place + 4 : place + 8] == b"eXIf":
            yield contents[place + 8 : place + 8 + length]
        place += 12 + length


def _orientation_tag(exif: bytes) -> int:
    """Value of tag 0x0112 of the first directory of a TIFF header; 0 where there is none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 0
    (directory,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", exif, entry)
        if tag == 0x0112 and kind in (3, 4):
            return struct.unpack_from(order + ("H" if kind == 3 else "I"), exif, entry + 8)[0]
    return 0
