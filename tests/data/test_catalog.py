import itertools

import cv2
import numpy as np
import pytest

import bginv
from bginv.data.catalog import check_name, load_data, proof_name
from bginv.ops.patterns import BACKGROUNDS


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def test_digits_are_split_four_to_one_by_class(digits):
    assert (len(digits.train), len(digits.tests["clean"])) == (1437, 360)
    shares = np.bincount(digits.train.labels) / np.bincount(
        np.concatenate([digits.train.labels, digits.tests["clean"].labels])
    )
    assert np.abs(shares - 0.8).max() < 0.01


def test_digits_are_drawn_on_black_with_a_margin(digits):
    images = digits.train.images
    assert images.shape[1:] == digits.image_shape == (32, 32, 1)
    assert images[:, :4].max() == images[:, :, -4:].max() == 0
    assert images.max() == 255
    assert digits.num_classes == 10


def test_limit_takes_the_first_training_images_and_whole_tests(digits):
    few = load_data("digits", limit=5)
    np.testing.assert_array_equal(few.train.images, digits.train.images[:5])
    assert len(few.tests["clean"]) == 360


def test_backgrounds_come_after_the_clean_test(digits):
    tests = load_data("digits_backgrounds").tests
    assert list(tests) == ["clean", *BACKGROUNDS]
    white = {name: (test.images == 255).mean() for name, test in tests.items()}
    assert all(white[name] > white["clean"] + 0.05 for name in BACKGROUNDS)
    np.testing.assert_array_equal(tests["clock"].labels, digits.tests["clean"].labels)


def test_noises_start_with_the_clean_images(digits):
    tests = load_data("digits_noises").tests
    assert len(tests) == 20
    assert list(tests)[1] == "salt_pepper 0.01" and list(tests)[-1] == "salt_pepper 1.00"
    np.testing.assert_array_equal(tests["salt_pepper 0.00"].images, digits.tests["clean"].images)


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(ValueError, match=r"mean 'digits'\? Known: digits, digits_back.*, folder:P"):
        load_data("digit")


def test_a_folder_of_photographs_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for split, label, i in itertools.product(("train", "test"), "ab", range(10)):
        folder = tmp_path / "photos" / split / label
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, (9, 9, 3), np.uint8))
    data = load_data("folder:photos")
    assert (len(data.train), data.image_shape, list(data.tests)) == (20, (64, 64, 3), ["test"])
    few = load_data("folder:photos", limit=8, image_size=9)
    assert few.train.labels.tolist() == data.train.labels[:8].tolist()
    assert 0 < few.train.labels.sum() < 8 and len(few.tests["test"]) == 20
    assert few.image_shape == (9, 9, 3)
    (tmp_path / "photos" / "train" / "a" / "bad.png").write_bytes(b"")
    assert len(load_data("folder:photos", skip_bad_files=True).train) == 20
    with pytest.raises(ValueError, match="unknown dataset 'photos'; did you mean 'folder:photos'"):
        load_data("photos")


def test_the_name_of_a_folder_is_checked():
    check_name("folder:anywhere")
    with pytest.raises(ValueError, match="'folder:' needs the path of a folder"):
        check_name("folder:")
    with pytest.raises(FileNotFoundError, match="^nowhere does not exist; the layout is"):
        load_data("folder:nowhere")
    assert proof_name("folder:anywhere") == "folder:anywhere"


def test_an_image_size_is_for_folders():
    with pytest.raises(ValueError, match="for folder:PATH alone; digits has a size of its own"):
        load_data("digits", image_size=64)
    with pytest.raises(ValueError, match="image_size must be at least 8; received 7"):
        load_data("folder:anywhere", image_size=7)


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1; received 0"):
        load_data("digits", limit=0)


def test_the_library_exports_load_data():
    assert bginv.load_data is load_data
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bginv.nothing  # noqa: B018


def test_robustness_is_shown_on_injected_backgrounds():
    assert proof_name("digits") == "digits_backgrounds"
    assert proof_name("mnist_noises") == "mnist_noises"


def test_mnist_is_padded_and_complete(tfds_dir):
    mnist = load_data("mnist", str(tfds_dir))
    assert (len(mnist.train), len(mnist.tests["clean"])) == (60_000, 10_000)
    assert mnist.image_shape == (32, 32, 1)
    assert mnist.train.images[:, :2].max() == 0
    assert mnist.class_names == tuple("0123456789")
    assert np.bincount(mnist.tests["clean"].labels).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]


def test_golden_digits_are_among_the_tests(tfds_dir, golden):
    stored = {image.tobytes() for image in load_data("mnist", str(tfds_dir)).tests["clean"].images}
    expected = np.round(golden["x"] * 255).astype(np.uint8)
    assert all(image.tobytes() in stored for image in expected)


def test_mnist_that_cannot_be_had_says_where_it_belongs(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def refuse(self, **keywords):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    with pytest.raises(FileNotFoundError, match=f"mnist cannot be read from {tmp_path}.*no netw"):
        load_data("mnist", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="--data-dir nowhere is not a folder"):
        load_data("mnist", "nowhere")
