"""What the header of a PNG file tells about a label map."""

import os

import numpy as np

from bginv.data.images import shown

SIGNATURE_BYTES, HEADER_BYTES = 8, 25
BIT_DEPTH, COLOUR_KIND, PALETTE, COLOURED = 24, 25, 3, 2
"""Lengths of the first parts of a file, places in them, and bits of the kind of colour."""


def palette_of(file: str) -> np.ndarray | None:
    """The palette of a PNG file, uint8 [n, 3]; None where it has none."""
    with open(file, "rb") as stream:
        if _kind(stream.read(SIGNATURE_BYTES + HEADER_BYTES)) != PALETTE:
            return None
        while len(start := stream.read(8)) == 8:
            length, name = int.from_bytes(start[:4], "big"), start[4:]
            if name == b"PLTE":
                return np.frombuffer(stream.read(length), np.uint8).reshape(-1, 3)
            stream.seek(length + 4, os.SEEK_CUR)  # its check sum too
    return None


def check_depth(file: str) -> None:
    """Raise if a label map has 16 bits, of which 8 would be lost.

    Raises:
        ValueError: it names the file.
    """
    with open(file, "rb") as stream:
        header = stream.read(SIGNATURE_BYTES + HEADER_BYTES)
    if header[BIT_DEPTH : BIT_DEPTH + 1] == b"\x10":
        raise ValueError(f"{shown(file)} has 16 bits; save label maps with 8")


def holds_colours(file: str) -> bool:
    """Whether the pixels of a PNG file are colours, of a palette or not."""
    with open(file, "rb") as stream:
        return bool(_kind(stream.read(SIGNATURE_BYTES + HEADER_BYTES)) & COLOURED)


def _kind(header: bytes) -> int:
    return header[COLOUR_KIND] if len(header) > COLOUR_KIND else 0
