import pathlib

import numpy as np
import pytest
import scipy.io

from bginv.data.catalog import load_data

TRAIN, TEST = (f"synthdigits/synth_{split}_32x32.mat" for split in ("train", "test"))


@pytest.fixture
def root(tmp_path) -> pathlib.Path:
    """Ten digits to train on, 9 to 0, and three to test with: 4, 7, 4."""
    (tmp_path / "synthdigits").mkdir()
    write(tmp_path / TRAIN, np.arange(10)[::-1], seed=0)
    write(tmp_path / TEST, np.array([4, 7, 4]), seed=1)
    return tmp_path


def write(file: pathlib.Path, digits: np.ndarray, seed: int, **other) -> np.ndarray:
    """Noise as pixels, in MATLAB's layout; gives it as [N, H, W, C]."""
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3, len(digits)), np.uint8)
    scipy.io.savemat(file, {"X": pixels, "y": digits[:, None], **other}, do_compression=True)
    return np.stack([pixels[..., i] for i in range(len(digits))])


def test_pixels_and_labels_are_the_publishers(root):
    data = load_data("synthdigits", str(root))
    assert (data.name, data.image_shape) == ("synthdigits", (32, 32, 3))
    assert (data.class_names, list(data.tests)) == (tuple("0123456789"), ["clean"])
    np.testing.assert_array_equal(
        data.train.images, write(root / "again.mat", np.arange(10), seed=0)
    )
    np.testing.assert_array_equal(
        data.tests["clean"].images, write(root / "again.mat", np.arange(3), seed=1)
    )
    assert data.train.labels.tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert data.tests["clean"].labels.tolist() == [4, 7, 4]


@pytest.mark.parametrize(
    "digits", [np.array([4.0, 7.0, 4.0]), np.uint8([4, 7, 4])], ids=["double", "uint8"]
)
def test_labels_may_have_any_numeric_type(root, digits):
    write(root / TEST, digits, seed=1)
    assert load_data("synthdigits", str(root)).tests["clean"].labels.tolist() == [4, 7, 4]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.zeros((32, 32, 3, 3), np.float64)}, "received float64 32x32x3x3 with 3 labels"),
        ({"X": np.zeros((3, 32, 32, 3), np.uint8)}, "received uint8 3x32x32x3 with 3 labels"),
        ({"y": np.zeros((2, 1))}, "received uint8 32x32x3x3 with 2 labels"),
        ({"y": np.array([[4], [10], [4]])}, "record 1 of clean has label 10, .* 0 to 9"),
    ],
)
def test_other_arrays_are_refused(root, arrays, message):
    write(root / TEST, np.array([4, 7, 4]), 1, **arrays)
    with pytest.raises(ValueError, match=message):
        load_data("synthdigits", str(root))


def test_a_file_without_labels_is_refused(root):
    scipy.io.savemat(root / TRAIN, {"X": np.zeros((32, 32, 3, 1), np.uint8)})
    with pytest.raises(ValueError, match="synth_train_32x32.mat is no MATLAB file with the arr"):
        load_data("synthdigits", str(root))


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"<html>not found</html>" * 20,
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:50],
        lambda whole: b"",
        lambda whole: whole[:300] + b"damaged" + whole[307:],
    ],
    ids=["a web page", "half", "its beginning", "nothing", "other bytes"],
)
def test_a_damaged_file_is_named(root, damage):
    (root / TEST).write_bytes(damage((root / TEST).read_bytes()))
    with pytest.raises(ValueError, match="synth_test_32x32.mat is no MATLAB file"):
        load_data("synthdigits", str(root))
