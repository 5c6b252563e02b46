import os

import cv2
import numpy as np
import pytest
import tensorflow as tf

from bginv.data.photographs import Photographs, WithBackgrounds


def write_photograph(path, height, width, colour=(10, 100, 200)):
    path.parent.mkdir(exist_ok=True, parents=True)
    cv2.imwrite(str(path), np.full((height, width, 3), colour[::-1], np.uint8))


@pytest.mark.parametrize("crops", ["native", "any"])
@pytest.mark.parametrize("channels", [1, 3])
def test_crops_have_the_images_shape_and_range(tmp_path, crops, channels):
    write_photograph(tmp_path / "a.png", 40, 60)
    write_photograph(tmp_path / "deeper" / "b.JPG", 10, 300)
    photographs = Photographs(str(tmp_path), (16, 16, channels), crops)
    assert len(photographs.files) == 2
    batch = next(iter(photographs.batches(20, seed=1)))
    assert batch.shape == (20, 16, 16, channels)
    expected = [10, 100, 200] if channels == 3 else [0.2989 * 10 + 0.587 * 100 + 0.114 * 200]
    np.testing.assert_allclose(batch[0, 3, 3], np.divide(expected, 255), atol=0.02)


def test_native_crops_are_pixels_of_the_photograph(tmp_path):
    ramp = np.arange(50, dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "ramp.png"), np.tile(ramp, (50, 1)))
    batch = next(iter(Photographs(str(tmp_path), (8, 8, 1), "native").batches(16, seed=1)))
    rows = np.round(batch.numpy()[:, 0, :, 0] * 255).astype(int)
    assert (np.diff(rows) == 1).all()
    assert len(set(rows[:, 0])) > 4


def test_batches_are_functions_of_seed_and_number(tmp_path):
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "a.png"), rng.integers(0, 256, (60, 60, 3), np.uint8))
    photographs = Photographs(str(tmp_path), (8, 8, 3), "any")
    second = list(photographs.batches(4, seed=1).take(2))[1]
    started = next(iter(photographs.batches(4, seed=1, start=1)))
    other = next(iter(photographs.batches(4, seed=2, start=1)))
    np.testing.assert_array_equal(second, started)
    assert np.abs(second - other).max() > 0.1


def test_backgrounds_join_the_shuffled_batches(tmp_path, squares):
    write_photograph(tmp_path / "a.png", 40, 40)
    source = WithBackgrounds(squares.train, Photographs(str(tmp_path), (16, 16, 1), "any"))
    batch = next(iter(source.batches(4, shuffle=True)))
    assert batch["background"].shape == batch["image"].shape == (4, 16, 16, 1)
    assert "background" not in next(iter(source.batches(4)))
    assert len(source) == len(squares.train)
    assert "background" not in source.gather(tf.constant([0], tf.int64))


def test_unreadable_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder that can be read"):
        Photographs("nowhere", (8, 8, 1), "any")
    with pytest.raises(ValueError, match="holds no photograph"):
        Photographs(str(tmp_path), (8, 8, 1), "any")
    write_photograph(tmp_path / "a.png", 9, 9)
    (tmp_path / "folder.png").mkdir()
    assert len(Photographs(str(tmp_path), (8, 8, 1), "any").files) == 1
    with pytest.raises(ValueError, match="one of native, any; received 'all'"):
        Photographs(str(tmp_path), (8, 8, 1), "all")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="^1 of 2 .*broken.png .it is not a whole jpeg.*; repair"):
        Photographs(str(tmp_path), (8, 8, 1), "any")


def test_bad_photographs_can_be_left_out(tmp_path, caplog):
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(ValueError, match="holds no photograph that can be read"):
        Photographs(str(tmp_path), (8, 8, 1), "any", skip_bad_files=True)
    caplog.clear()
    write_photograph(tmp_path / "whole.png", 9, 9, (60, 60, 60))
    photographs = Photographs(str(tmp_path), (8, 8, 3), "native", skip_bad_files=True)
    np.testing.assert_allclose(next(iter(photographs.batches(4, seed=1))), 60 / 255, atol=1e-6)
    assert [record.getMessage() for record in caplog.records] == [
        f"1 of 2 image files cannot be read and are left out: {tmp_path}/broken.png (it is empty)"
    ]


def test_photographs_are_turned_as_exif_says(tmp_path):
    ramp = np.tile(np.arange(0, 200, 8, dtype=np.uint8), (25, 1))
    jpeg = cv2.imencode(".jpg", ramp)[1].tobytes()
    tag = b"Exif\0\0MM\0*" + bytes([0, 0, 0, 8, 0, 1, 1, 18, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0])
    segment = b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag
    (tmp_path / "turned.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:])
    crops = next(iter(Photographs(str(tmp_path), (8, 8, 1), "native").batches(4, seed=1))).numpy()
    assert (crops[:, -1].mean((1, 2)) - crops[:, 0].mean((1, 2)) > 0.15).all()
    assert np.abs(crops[:, :, -1] - crops[:, :, 0]).max() < 0.05


def test_an_unreadable_subfolder_is_named(tmp_path, monkeypatch):
    write_photograph(tmp_path / "a.png", 9, 9)
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def deny(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(ValueError, match="--backgrounds: .*/closed is not a folder that can be re"):
        Photographs(str(tmp_path), (8, 8, 1), "any")


def test_real_photographs(photographs_dir):
    batch = next(iter(Photographs(str(photographs_dir), (32, 32, 1), "any").batches(64, seed=1)))
    assert 0 <= batch.numpy().min() and batch.numpy().max() <= 1
    assert len(np.unique(batch.numpy().mean((1, 2, 3)).round(5))) > 60
