"""Pictures as bytes of files: of many formats, odd ones, and damaged ones."""

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image

RAMP = (np.add.outer(np.arange(24) * 9, np.arange(32) * 1)[..., None] + [0, 5, 10]).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def encoded(ending: str, picture: np.ndarray = RAMP, *options: int) -> bytes:
    if picture.ndim == 3:
        picture = picture[..., [2, 1, 0, 3][: picture.shape[-1]]]
    return cv2.imencode(ending, picture, options)[1].tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    checked = kind + body
    return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(width: int, bits: int, colours: int, row: bytes, *chunks: bytes) -> bytes:
    """A png of one row; colours is 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colours, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def with_exif(jpeg: bytes, body: bytes) -> bytes:
    segment = b"Exif\0\0" + body
    return jpeg[:2] + struct.pack(">HH", 0xFFE1, len(segment) + 2) + segment + jpeg[2:]


def orientation_tag(value: int) -> bytes:
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, value, 0, 0)


def flipped(contents: bytes, place: int) -> bytes:
    return contents[:place] + bytes([contents[place] ^ 0xFF]) + contents[place + 1 :]


def cut(contents: bytes, share: float = 0.6) -> bytes:
    return contents[: int(len(contents) * share)]


def without_middle(contents: bytes) -> bytes:
    return cut(contents, 0.5) + contents[int(len(contents) * 0.9) :]


def animated_gif() -> bytes:
    def frame(index: int) -> bytes:
        # one pixel of the palette: LZW with 2-bit codes clear, index, end
        codes = (4 | index << 3 | 5 << 6).to_bytes(2, "little")
        return b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02" + codes + b"\0"

    palette = bytes([0, 0, 0, 250, 10, 20, 30, 240, 40, 0, 0, 0])
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x81, 0, 0) + palette
    return head + frame(1) + frame(2) + b"\x3b"


def by_pillow(kind: str, picture: PIL.Image.Image | np.ndarray = RAMP, **options) -> bytes:
    stream = io.BytesIO()
    image = picture if isinstance(picture, PIL.Image.Image) else PIL.Image.fromarray(picture)
    image.save(stream, kind, **options)
    return stream.getvalue()


def gif(transparent: int) -> bytes:
    """A gif of two colours, of which it shows the first alone."""
    picture = PIL.Image.new("P", (2, 1))
    picture.putpalette([200, 100, 50, 10, 20, 30])
    return by_pillow("GIF", picture, transparency=transparent, optimize=False)


def palette_bmp() -> bytes:
    colours = bytearray(encoded(".bmp", RAMP[..., 0]))
    colours[54:58] = bytes([1, 2, 3, 0])
    return bytes(colours)


JPEG, PNG, GIF, BMP = (encoded(ending, NOISE) for ending in (".jpg", ".png", ".gif", ".bmp"))
PROGRESSIVE = encoded(".jpg", NOISE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
PALETTE = chunk(b"PLTE", bytes([1, 2, 3, 40, 50, 60]))
