"""Masks on disk: found by content, written once, and gone on with after a stop."""

import json
import pathlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from bginv.data.catalog import load_data
from bginv.data.files import FileSource
from bginv.data.images import scan
from bginv.data.sources import ArraySource
from bginv.masks.source import Mask, MaskSource
from bginv.masks.store import count_missing, find_masks, given_masks
from bginv.output_files import default_cache
from tests.data.listed_toys import HEIGHT, WIDTH, write_coco


class Reds(MaskSource):
    """The red channel; remembers what it was asked for."""

    name = "reds"
    seconds = 0.5
    batch_size = 2

    def __init__(self, version="1", named=False, stop_after=None, broken=()):
        self.version, self.named, self.stop_after, self.broken = version, named, stop_after, broken
        self.asked = []

    @property
    def fingerprint(self):
        return f"reds {self.version}"

    @property
    def by_name(self):
        return self.named

    def masks(self, pictures):
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked += [picture.name for picture in pictures]
        return [
            Mask.failed(own, "broken")
            if own.name in self.broken
            else Mask(own.pixels[..., 0].astype(np.float32) / 255, 0.25)
            for own in pictures
        ]


@pytest.fixture
def files(tmp_path):
    """Six images of different sizes, in two classes."""
    paths = []
    for i in range(6):
        path = tmp_path / "data" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((8 + i, 12, 3), i, np.uint8)
        pixels[2:6, 3:9] = (0, 0, 255 - i)
        cv2.imwrite(str(path), pixels)
        paths.append(path)
    return paths


def source_of(paths):
    return FileSource(scan(list(map(str, paths))), np.arange(len(paths)) % 2, (16, 16, 3))


def test_masks_of_files_have_their_size_and_values(files, tmp_path):
    found = find_masks(source_of(files), Reds(), tmp_path / "cache")
    assert found.source.has_masks and found.computed == 6 and not found.failures
    np.testing.assert_allclose(found.confidence, 0.25)
    for row, image in enumerate(files):
        mask = cv2.imread(found.source.masks.path(row), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, cv2.imread(str(image))[..., 2])
    batch = next(iter(found.source.batches(6)))
    assert batch["mask"].shape == (6, 16, 16, 1) and float(tf.reduce_max(batch["mask"])) == 1


def test_masks_of_arrays(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3)).astype(np.uint8)
    for channels in (1, 3):
        own = images[..., :channels]
        found = find_masks(ArraySource(own, np.arange(5)), Reds(), tmp_path)
        np.testing.assert_array_equal(found.source.masks, own[..., :1])
        assert found.computed == 5
    assert find_masks(ArraySource(own[::-1], np.arange(5)), Reds(), tmp_path).computed == 0


def test_a_mask_is_found_by_content_alone(files, tmp_path):
    find_masks(source_of(files), Reds(), tmp_path / "cache")
    renamed = files[1].rename(files[1].with_name("other.png"))
    reds = Reds()
    found = find_masks(source_of([renamed, files[0]]), reds, tmp_path / "cache")
    assert found.computed == 0 and reds.asked == []
    mask = cv2.imread(found.source.masks.path(0), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, cv2.imread(str(renamed))[..., 2])
    np.testing.assert_allclose(found.confidence, 0.25)


def test_other_weights_names_and_labels_have_masks_of_their_own(files, tmp_path):
    source, cache = source_of(files), tmp_path / "cache"
    assert find_masks(source, Reds(), cache).computed == 6
    assert find_masks(source, Reds("2"), cache).computed == 6
    assert find_masks(source, Reds("3", named=True), cache).computed == 6
    assert find_masks(source, Reds("3", named=True), cache).computed == 0
    relabelled = source.take(np.arange(6), 1 - source.labels)
    assert find_masks(relabelled, Reds("3", named=True), cache).computed == 6
    assert find_masks(relabelled, Reds(), cache).computed == 0


def test_a_stopped_command_goes_on(files, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        find_masks(source_of(files), Reds(stop_after=4), tmp_path / "cache")
    reds = Reds()
    assert count_missing(source_of(files), reds, tmp_path / "cache") == 2
    assert find_masks(source_of(files), reds, tmp_path / "cache").computed == 2
    assert reds.asked == ["a/4.png", "b/5.png"]


def test_failures_are_named_and_tried_again(files, tmp_path, caplog):
    source = source_of(files)
    with caplog.at_level("WARNING", logger=logging.get_absl_logger().name):
        found = find_masks(source, Reds(broken=["b/3.png"]), tmp_path / "cache")
    assert found.failures == {"b/3.png": "broken"}
    assert found.confidence.tolist() == [0.25, 0.25, 0.25, 0, 0.25, 0.25]
    assert cv2.imread(found.source.masks.path(3), cv2.IMREAD_UNCHANGED).min() == 255
    assert "1 images" in caplog.text and "b/3.png: broken" in caplog.text
    again = find_masks(source, Reds(broken=["b/3.png"]), tmp_path / "cache")
    assert again.failures == found.failures and again.computed == 1
    mended = find_masks(source, Reds(), tmp_path / "cache")
    assert not mended.failures and mended.computed == 1


def test_empty_and_unfit_masks_are_failures(files, tmp_path):
    class Odd(Reds):
        def masks(self, pictures):
            found = {
                "a/0.png": lambda shape: np.full(shape, 0.4),
                "b/1.png": lambda shape: np.ones(shape[::-1]),
                "a/2.png": lambda shape: np.full(shape, np.nan),
            }
            shapes = [own.pixels.shape[:2] for own in pictures]
            return [
                Mask(found.get(own.name, np.ones)(shape).astype(np.float32))
                for own, shape in zip(pictures, shapes, strict=True)
            ]

    failures = find_masks(source_of(files), Odd(), tmp_path / "cache").failures
    assert failures.keys() == {"a/0.png", "b/1.png", "a/2.png"}
    assert "empty" in failures["a/0.png"] and "no numbers" in failures["a/2.png"]
    assert "9x12 for an image of 12x9" in failures["b/1.png"]


def test_nothing_but_failures_ends_at_once(files, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3)).astype(np.uint8)
    reds = Reds(broken=[f"image {i}" for i in range(40)])
    with pytest.raises(ValueError, match="no mask for any of 10 images, the first image 0: broken"):
        find_masks(ArraySource(images, np.zeros(40)), reds, tmp_path / "cache")
    assert len(reds.asked) == 10


def test_large_pictures_come_in_smaller_batches(files, tmp_path, monkeypatch):
    monkeypatch.setattr("bginv.masks.store.BATCH_PIXELS", 8 * 12 + 9 * 12)
    sizes = []

    class Counted(Reds):
        batch_size = 4

        def masks(self, pictures):
            sizes.append(len(pictures))
            return super().masks(pictures)

    assert find_masks(source_of(files), Counted(), tmp_path / "cache").computed == 6
    assert sizes == [2, 1, 1, 1, 1]


def test_where_masks_are_kept(monkeypatch, files):
    monkeypatch.delenv("BGINV_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == pathlib.Path("/somewhere/bginv")
    monkeypatch.setenv("BGINV_CACHE", str(files[0].parent / "own"))
    find_masks(source_of(files), Reds())
    assert len(list((files[0].parent / "own" / "masks").rglob("*.png"))) == 6


def test_a_cache_that_cannot_be_written_is_told(files):
    with pytest.raises(ValueError, match="is a file"):
        find_masks(source_of(files), Reds(), files[0])


def test_masks_that_are_drawn_are_looked_at_too(tmp_path):
    held = write_coco(tmp_path)
    whole = [0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT]
    held["annotations"][1]["segmentation"] = [whole]
    (tmp_path / "all.json").write_text(json.dumps(held))
    train = load_data(f"coco:{tmp_path / 'all.json'}").train
    found = given_masks(train)
    assert list(found.failures) == ["0.png"]
    assert sorted(found.confidence) == [0, 1, 1, 1, 1, 1]
