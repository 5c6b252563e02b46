"""Decoded pictures on disk: the same pixels, in bounds, and without what cannot be written."""

import os
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import tensorflow as tf

from bginv.data import decoded, files
from bginv.data.decoded import DecodedPictures, kept_decoded
from bginv.data.files import FileSource
from bginv.data.images import scan

COUNT, SIDE = 12, 16
NUMBERS = np.arange(3)
PIXELS = np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2, 1)


@pytest.fixture
def source(tmp_path) -> FileSource:
    rng = np.random.default_rng(0)
    for kind, end in (("image", "jpg"), ("mask", "png")):
        for i in range(COUNT):
            picture = rng.integers(0, 256, (20, 24, 3), np.uint8)
            assert cv2.imwrite(str(tmp_path / f"{kind}_{i}.{end}"), picture)
    images = scan([str(tmp_path / f"image_{i}.jpg") for i in range(COUNT)])
    masks = scan([str(tmp_path / f"mask_{i}.png") for i in range(COUNT)])
    return FileSource(images, np.zeros(COUNT, int), (SIDE, SIDE, 3), masks)


def read(source: FileSource) -> list[np.ndarray]:
    batches = list(source.batches(5))
    return [np.concatenate([own[name] for own in batches]) for name in ("image", "mask")]


@pytest.fixture
def decodes(monkeypatch) -> Iterator[list[int]]:
    """A number for each picture that is resized."""
    seen: list[int] = []

    def counted(pixels: tf.Tensor, *more) -> tf.Tensor:
        resized = stretch(pixels, *more)
        note = tf.numpy_function(lambda: seen.append(1), [], [])
        with tf.control_dependencies([note]):
            return tf.identity(resized)

    stretch = files.stretch
    monkeypatch.setattr(files, "stretch", counted)
    files._reader.cache_clear()  # as it was traced with the other one
    yield seen
    files._reader.cache_clear()


def test_each_picture_is_decoded_once_and_is_the_same(source, decodes, tmp_path):
    plain = read(source)
    decodes.clear()
    with kept_decoded(tmp_path, 1.0):
        for _ in range(3):
            for one, other in zip(plain, read(source), strict=True):
                np.testing.assert_array_equal(one, other)
        assert len(decodes) == 2 * COUNT
        np.testing.assert_array_equal(read(source.take(np.arange(10)))[0], plain[0][:10])
        assert len(decodes) == 2 * COUNT  # parts of a source share its pictures
        assert read(source.at_size(8))[0].shape == (COUNT, 8, 8, 3)
        assert len(decodes) == 4 * COUNT
    assert len(list(tmp_path.iterdir())) == 2 * COUNT  # the file has no name


def test_a_graph_that_outlives_the_context_decodes(source, tmp_path):
    with kept_decoded(tmp_path, 1.0):
        batches = source.batches(COUNT)
        (first,) = batches
    (again,) = batches
    np.testing.assert_array_equal(first["image"], again["image"])


@pytest.mark.parametrize("folder, gigabytes", [(None, 1.0), (pathlib.Path("."), 0.0)])
def test_none_are_kept_without_a_folder_or_room(source, decodes, folder, gigabytes):
    with kept_decoded(folder, gigabytes):
        read(source), read(source)
    assert len(decodes) == 4 * COUNT


def test_no_more_room_is_taken_than_was_given(tmp_path):
    pictures = DecodedPictures(tmp_path, most_bytes=8)
    pictures.write("", NUMBERS, PIXELS)
    pictures.write("", NUMBERS, PIXELS)
    assert len(pictures) == 2
    np.testing.assert_array_equal(pictures.read("", NUMBERS[:2], (2, 2, 1)), PIXELS[:2])
    assert len(pictures.read("", NUMBERS, (2, 2, 1))) == 0
    assert len(pictures.read("masks", NUMBERS[:2], (2, 2, 1))) == 0
    pictures.close()
    assert len(pictures.read("", NUMBERS[:2], (2, 2, 1))) == 0


def test_a_full_disk_is_told_once_and_the_rest_is_decoded(source, tmp_path, monkeypatch, caplog):
    plain = read(source)
    written = []

    def until_full(number: int, data: np.ndarray, place: int) -> int:
        written.append(place)
        if len(written) > 7:
            raise OSError(28, "No space left on device")
        return pwrite(number, data, place)

    pwrite = os.pwrite
    monkeypatch.setattr(decoded.os, "pwrite", until_full)
    with kept_decoded(tmp_path, 1.0):
        for _ in range(2):
            for one, other in zip(plain, read(source), strict=True):
                np.testing.assert_array_equal(one, other)
    told = [own.getMessage() for own in caplog.records if "decoded pictures" in own.getMessage()]
    assert len(told) == 1 and "no space left on device" in told[0] and "are kept" in told[0]


def test_a_folder_that_cannot_be_written_is_told(source, tmp_path, caplog):
    with kept_decoded(tmp_path / "missing", 1.0):
        assert len(read(source)[0]) == COUNT
    assert "decoded pictures are not kept: no such file" in caplog.text
