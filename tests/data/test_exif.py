import struct

import pytest

from bginv.data.exif import orientation_of


def exif(orientation: int, order: str = "<", kind: str = "H") -> bytes:
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    entries = struct.pack(order + "HHHII", 2, 0x010F, 2, 1, 0)
    value = struct.pack(order + kind, orientation).ljust(4, b"\0")
    return header + entries + struct.pack(order + "HHI", 0x0112, 3 if kind == "H" else 4, 1) + value


def jpeg_head(*segments: tuple[int, bytes]) -> bytes:
    parts = (struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body for kind, body in segments)
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xda"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", "HI")
def test_the_orientation_is_read_in_both_byte_orders(order, kind):
    head = jpeg_head((0xE0, b"JFIF\0"), (0xE1, b"Exif\0\0" + exif(6, order, kind)))
    assert orientation_of(head) == 6


def test_the_orientation_is_found_behind_other_segments():
    large = (0xE2, bytes(65_000))
    xmp = (0xE1, b"http://ns.adobe.com/xap/1.0/\0")
    head = jpeg_head(xmp, large, large, (0xE1, b"Exif\0\0" + exif(8)))
    assert orientation_of(head) == orientation_of(head.replace(b"\xff\xe1", b"\xff\xff\xe1")) == 8


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0no TIFF header here",
        b"Exif\0\0" + exif(6)[:-9],
        b"Exif\0\0" + exif(9),
        b"Exif\0\0" + exif(0),
    ],
)
def test_an_orientation_that_makes_no_sense_is_none(body):
    assert orientation_of(jpeg_head((0xE1, body))) == 1


def test_bytes_cut_anywhere_have_an_orientation():
    head = jpeg_head((0xE1, b"Exif\0\0" + exif(6)))
    assert {orientation_of(head[:length]) for length in range(len(head))} <= {1, 6}
