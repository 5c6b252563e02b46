import io
import itertools

import numpy as np
import PIL.Image
import pytest

from bginv.data.images import scan
from bginv.data.jpeg_files import has_missing_data

RNG = np.random.default_rng(0)
SIZES = (33, 47), (8, 8), (1, 1), (100, 16)


def encoded(picture: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(picture).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize(("progressive", "optimize"), itertools.product([False, True], repeat=2))
def test_whole_files_are_whole(progressive, optimize):
    ways = itertools.product(SIZES, (1, 75, 100), (0, 2), (0, 3), (None, 0, 128, 255))
    for size, quality, subsampling, restarts, shade in ways:
        noise = RNG.integers(0, 256, (*size, 3), np.uint8)
        picture = noise if shade is None else np.full((*size, 3), shade, np.uint8)
        options = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
        contents = encoded(picture, optimize=optimize, restart_marker_blocks=restarts, **options)
        assert not has_missing_data(contents)
        assert not has_missing_data(contents + b"more after the end")


def test_photographs_are_whole_and_those_without_their_middle_are_not(photographs_dir):
    files = sorted(map(str, photographs_dir.glob("*.jpg")))[:100]
    assert scan(files).reasons == {}
    found = 0
    for file in files:
        with open(file, "rb") as stream:
            contents = stream.read()
        half = len(contents) // 2
        found += has_missing_data(contents[:half] + contents[half + 500 :])
    assert found >= 90  # others have so much data left that the wrong places are filled with it


def test_what_is_no_jpeg_is_left_to_others():
    for contents in (
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0\xff",
        encoded(np.zeros((8, 8), np.uint8)),
    ):
        assert not has_missing_data(contents)
