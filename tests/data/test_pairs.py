import dataclasses

import cv2
import numpy as np
import pytest
import scipy.io
import tensorflow as tf
import tensorflow_datasets as tfds

from bginv.data.catalog import load_data
from bginv.data.pairs import pair, with_classes
from bginv.data.sources import ArraySource, Dataset

COMMON = ("airplane", "car", "bird", "cat", "deer", "dog", "horse", "ship", "truck")
# airplane, automobile, bird, cat, deer, dog, (frog), horse, ship, truck
CIFAR10_LABELS = [0, 1, 2, 3, 4, 5, 6, 7, 8]
CIFAR10_ROWS = [0, 1, 2, 3, 4, 5, 7, 8, 9]
# airplane, bird, car, cat, deer, dog, horse, (monkey), ship, truck
STL10_LABELS = [0, 2, 1, 3, 4, 5, 6, 7, 8]
STL10_ROWS = [0, 1, 2, 3, 4, 5, 6, 8, 9]


def ten_records(self, split, **keywords):
    """One of each label; the colour tells the split and the label."""
    labels = np.arange(10)
    shades = (100 * (split == "test") + labels).astype(np.uint8)
    images = np.broadcast_to(shades[:, None, None, None], (10, *self.info.features["image"].shape))
    return tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})


@pytest.fixture
def mock():
    with tfds.testing.mock_data(as_dataset_fn=ten_records):
        yield


def shades(source) -> list[int]:
    assert (source.images == source.images[:, :1, :1]).all()
    return source.images[:, 0, 0, 0].tolist()


def test_cifar10_then_stl10(mock, tmp_path):
    data = load_data("cifar10_stl10", str(tmp_path))
    assert (data.name, data.class_names, data.image_shape) == (
        *("cifar10_stl10", COMMON, (64, 64, 3)),
    )
    assert list(data.tests) == ["clean", "stl10"]
    assert data.train.labels.tolist() == CIFAR10_LABELS
    assert shades(data.train) == CIFAR10_ROWS
    assert data.tests["clean"].labels.tolist() == CIFAR10_LABELS
    assert shades(data.tests["clean"]) == [100 + row for row in CIFAR10_ROWS]
    assert data.tests["stl10"].labels.tolist() == STL10_LABELS
    assert shades(data.tests["stl10"]) == [100 + row for row in STL10_ROWS]


def test_stl10_then_cifar10(mock, tmp_path):
    data = load_data("stl10_cifar10", str(tmp_path))
    assert (data.class_names, list(data.tests)) == (COMMON, ["clean", "cifar10"])
    assert (data.train.labels.tolist(), shades(data.train)) == (STL10_LABELS, STL10_ROWS)
    assert data.tests["clean"].labels.tolist() == STL10_LABELS
    assert shades(data.tests["clean"]) == [100 + row for row in STL10_ROWS]
    assert data.tests["cifar10"].labels.tolist() == CIFAR10_LABELS


@pytest.mark.parametrize("first", ["svhn", "synthdigits"])
def test_house_numbers_and_synthetic_digits(mock, tmp_path, first):
    (tmp_path / "synthdigits").mkdir()
    for split, shade in (("train", 50), ("test", 150)):
        arrays = {"X": np.full((32, 32, 3, 2), shade, np.uint8), "y": np.array([[3], [9]])}
        scipy.io.savemat(tmp_path / f"synthdigits/synth_{split}_32x32.mat", arrays)
    second = {"svhn": "synthdigits", "synthdigits": "svhn"}[first]
    data = load_data(f"{first}_{second}", str(tmp_path))
    assert (list(data.tests), data.class_names) == (["clean", second], tuple("0123456789"))
    house_numbers = (list(range(10)), [100 + row for row in range(10)])
    synthetic = ([3, 9], [150, 150])
    tests = [(test.labels.tolist(), shades(test)) for test in data.tests.values()]
    assert tests == ([house_numbers, synthetic] if first == "svhn" else [synthetic, house_numbers])
    assert shades(data.train) == (list(range(10)) if first == "svhn" else [50, 50])


def test_signs_then_every_synthetic_sign(tmp_path):
    train, test = "gtsrb/GTSRB/Training/00007/0.ppm", "gtsrb/GTSRB/Final_Test/Images/00000.ppm"
    synthetic = [f"synsigns/synthetic_data/train/{i}_0.png" for i in range(5)]
    for number, name in enumerate((train, test, *synthetic)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), number, np.uint8))
    (tmp_path / "gtsrb/GT-final_test.csv").write_text("Filename;ClassId\n00000.ppm;9\n")
    lines = [f"train/{i}_0.png {i + 20}\n" for i in range(5)]
    (tmp_path / "synsigns/synthetic_data/train_labelling.txt").write_text("".join(lines))
    data = load_data("gtsrb_synsigns", str(tmp_path))
    assert (data.train.labels.tolist(), data.tests["clean"].labels.tolist()) == ([7], [9])
    assert list(data.tests) == ["clean", "synsigns"]
    batch = next(iter(data.tests["synsigns"].batches(9)))
    numbers = np.round(batch["image"][:, 0, 0, 0].numpy() * 255).astype(int)
    assert sorted(numbers) == [2, 3, 4, 5, 6]
    np.testing.assert_array_equal(batch["label"], numbers + 18)


def test_a_pair_needs_the_files_of_both(tmp_path, mock):
    with pytest.raises(FileNotFoundError, match="svhn_synthdigits needs .*synth_train_32x32.mat"):
        load_data("svhn_synthdigits", str(tmp_path))


def test_classes_are_reordered_and_their_masks_kept():
    images = np.arange(4, dtype=np.uint8)[:, None, None, None]
    source = ArraySource(images, np.array([2, 0, 1, 2]), images + 100)
    data = with_classes(
        Dataset("x", source, {"clean": source}, tuple("abc"), (1, 1, 1)), ("c", "a")
    )
    assert data.class_names == ("c", "a")
    for split in (data.train, data.tests["clean"]):
        assert split.labels.tolist() == [0, 1, 0]
        assert split.images.ravel().tolist() == [0, 1, 3]
        assert split.masks.ravel().tolist() == [100, 101, 103]


def test_a_pair_leaves_the_first_sets_other_tests_out(squares):
    first = dataclasses.replace(squares, tests={**squares.tests, "hard": squares.train})
    data = pair("a_b", first, {"b": squares.train.first(2)})
    assert (data.name, {name: len(test) for name, test in data.tests.items()}) == (
        *("a_b", {"clean": 24, "b": 2}),
    )
