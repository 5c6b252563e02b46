import dataclasses
import itertools
import re

import cv2
import numpy as np
import pytest

import bginv
from bginv.data.catalog import (
    CATALOG,
    check_name,
    entries,
    entry_of,
    load_data,
    noise_tests,
    proof_name,
)
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
    with pytest.raises(
        ValueError, match=r"mean 'digits'\? Known: cifar10, .*, folder:PATH, tfds:NAME, multi"
    ):
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
    for path in ("photos", tmp_path / "photos"):
        assert len(load_data(path, skip_bad_files=True).train) == 20


def test_names_with_a_colon_are_checked():
    check_name("folder:anywhere")
    check_name("tfds:anything")
    with pytest.raises(ValueError, match="'tfds:' needs the name of a TFDS builder"):
        check_name("tfds:")
    with pytest.raises(ValueError, match="'folder:' needs the path of a folder"):
        check_name("folder:")
    with pytest.raises(FileNotFoundError, match="^nowhere does not exist; the layout is"):
        load_data("folder:nowhere")
    assert proof_name("folder:anywhere") == "folder:anywhere"


def test_an_image_size_is_for_sets_without_a_size_of_their_own(tmp_path):
    message = "yolo:PATH, shapes, shapes_unbiased, voc2012 alone; {} has a size of its own"
    for name in set(CATALOG) - {"shapes", "shapes_unbiased", "voc2012"}:
        with pytest.raises(ValueError, match=message.format(name)):
            load_data(name, str(tmp_path), image_size=64)
    for name in ("folder:anywhere", "tfds:anything", "shapes"):
        with pytest.raises(ValueError, match="image_size must be at least 8; received 7"):
            load_data(name, image_size=7)


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
    assert proof_name("fashionmnist") == "fashionmnist_backgrounds"
    for name in ("cifar10_stl10", "shapes", "tfds:mnist"):
        assert proof_name(name) == name


@pytest.mark.parametrize(
    ("side", "names"),
    [
        (32, "digits mnist fashionmnist svhn synthdigits svhn_synthdigits synthdigits_svhn"),
        (32, "mnist_backgrounds mnist_noises fashionmnist_backgrounds fashionmnist_noises"),
        (64, "cifar10 stl10 gtsrb synsigns dogsvscatsredux shapes"),
        (64, "cifar10_stl10 stl10_cifar10 gtsrb_synsigns"),
        (224, "prates"),
    ],
)
def test_every_set_of_the_paper_has_its_size(side, names):
    for name in names.split():
        check_name(name)
        assert entry_of(name).side == side
        assert entry_of(name).channels == (1 if "digits" == name or "mnist" in name else 3)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("synthdigits", "synthdigits/synth_train_32x32.mat, synthdigits/synth_test_32x32.mat; get"),
        ("synthdigits_svhn", "synthdigits/synth_train_32x32.mat, synthdigits/synth_test"),
        ("gtsrb", "gtsrb/GTSRB/Training or gtsrb/GTSRB/Final_Training/Images, gtsrb/GTSRB/Final_"),
        ("gtsrb_synsigns", "gtsrb/GTSRB/Training or .*GT-final_test.csv, synsigns/synthetic_data/"),
        ("synsigns", "synsigns/synthetic_data/train_labelling.txt; get them"),
        ("prates", "prates/components/data_IPL_1, .*data_IPL_4 and 12 more; get"),
    ],
)
def test_files_that_are_missing_are_named(tmp_path, name, missing):
    with pytest.raises(FileNotFoundError) as info:
        load_data(name, str(tmp_path))
    assert re.match(f"{name} needs these in {tmp_path}: {missing}", str(info.value))
    assert "; get them from " in str(info.value) and "--data-dir" in str(info.value)


def test_files_are_missing_until_all_are_there(tmp_path):
    entry = entry_of("gtsrb")
    places = ("gtsrb/GTSRB/Final_Training/Images", "gtsrb/GTSRB/Final_Test/Images")
    for place in places:
        (tmp_path / place).mkdir(parents=True)
    assert entry.missing(str(tmp_path)) == ["gtsrb/GT-final_test.csv"]
    assert not entry.is_present(str(tmp_path))
    (tmp_path / "gtsrb/GT-final_test.csv").touch()
    assert entry.missing(str(tmp_path)) == [] and entry.is_present(str(tmp_path))


def test_files_belong_to_the_home_folder_where_no_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"in {tmp_path}/.keras/datasets: synsigns/"):
        load_data("synsigns")
    file = tmp_path / ".keras/datasets/synsigns/synthetic_data/train_labelling.txt"
    file.parent.mkdir(parents=True)
    file.touch()
    assert entry_of("synsigns").is_present(None)


def test_a_set_is_present_once_its_builders_and_files_are(tmp_path):
    assert entry_of("digits").is_present(str(tmp_path))
    (tmp_path / "svhn_cropped" / "3.1.0").mkdir(parents=True)
    (tmp_path / "svhn_cropped" / "3.1.0" / "dataset_info.json").touch()
    assert entry_of("svhn").is_present(str(tmp_path))
    pair = entry_of("svhn_synthdigits")
    assert not pair.is_present(str(tmp_path))
    (tmp_path / "synthdigits").mkdir()
    for split in ("train", "test"):
        (tmp_path / "synthdigits" / f"synth_{split}_32x32.mat").touch()
    assert pair.is_present(str(tmp_path)) and not entry_of("cifar10").is_present(str(tmp_path))


def test_entries_say_where_their_data_comes_from():
    assert entry_of("shapes").source() == "embedded"
    assert entry_of("cifar10_stl10").source() == "TFDS cifar10, stl10"
    assert entry_of("svhn_synthdigits").source().startswith("TFDS svhn_cropped and files of Ganin")
    assert all(entry.about and "\n" not in entry.about for _, entry in entries())


def test_noises_need_a_clean_test(digits):
    assert noise_tests(dataclasses.replace(digits, tests={"mine": digits.tests["clean"]})) == {}
    assert len(noise_tests(digits)) == 20
