import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from bginv.data.catalog import load_data
from bginv.data.entries import is_prepared
from bginv.data.tfds import CIFAR10_CLASSES, MASKS, STL10_CLASSES, load_tfds

SPLITS = {"train": 50, "test": 100, "unlabelled": 150}


class FlatPictures(tfds.core.GeneratorBasedBuilder):
    """Of many sizes; red tells the split, green the number, blue the label, 0 or 1."""

    VERSION = tfds.core.Version("1.0.0")
    FEATURES = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=["cat", "dog"]),
    }
    KEYS = ("image", "label")

    def _info(self):
        features = tfds.features.FeaturesDict(self.FEATURES)
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=self.KEYS)

    def _split_generators(self, manager):
        return {split: self._generate_examples(red) for split, red in SPLITS.items()}

    def _generate_examples(self, red):
        for i in range(12):
            image = np.full((4 + i, 15 - i, 3), (red, i, i % 2), np.uint8)
            yield i, {"image": image, "label": -1 if red == SPLITS["unlabelled"] else i % 2}


class OneSplit(FlatPictures):
    def _split_generators(self, manager):
        return {"train": self._generate_examples(50)}


class NoLabels(FlatPictures):
    def _split_generators(self, manager):
        return {"train": self._generate_examples(150)}


class GreyHalves(OneSplit):
    """The left half black, the right half 200, 4 rows and 6 columns."""

    FEATURES = {**FlatPictures.FEATURES, "image": tfds.features.Image(shape=(4, 6, 1))}

    def _generate_examples(self, red):
        image = np.repeat(np.uint8([0, 200]), 3)[None, :, None].repeat(4, 0)
        for i in range(4):
            yield i, {"image": image, "label": 0}


class Transparent(OneSplit):
    FEATURES = {**FlatPictures.FEATURES, "image": tfds.features.Image(shape=(8, 8, 4))}

    def _generate_examples(self, red):
        for i in range(4):
            yield i, {"image": np.full((8, 8, 4), (10, 20, 30, 40), np.uint8), "label": 0}


class OxfordIiitPet(OneSplit):
    """A border of one pixel around an object in the left half."""

    FEATURES = {
        **FlatPictures.FEATURES,
        "segmentation_mask": tfds.features.Image(shape=(None, None, 1)),
    }

    def _generate_examples(self, red):
        trimap = np.full((8, 8, 1), 2, np.uint8)
        trimap[:, :4], trimap[:, 4] = 1, 3
        for i in range(4):
            image = np.full((8, 8, 3), (red, i, 0), np.uint8)
            yield i, {"image": image, "label": i % 2, "segmentation_mask": trimap}


class AnnotatedBirds(OxfordIiitPet):
    """Masks of several annotators, who agree on the left half; TFDS has the real name already."""

    def _generate_examples(self, red):
        mask = np.zeros((8, 8, 1), np.uint8)
        mask[:, :4], mask[:, 4] = 255, 51
        for i in range(4):
            image = np.full((8, 8, 3), (red, i, 0), np.uint8)
            yield i, {"image": image, "label": i % 2, "segmentation_mask": mask}


class OtherLabels(OneSplit):
    """A number instead of a class."""

    FEATURES = {**FlatPictures.FEATURES, "label": tfds.features.Scalar(np.int64)}


class Deep(OneSplit):
    """16 bits instead of 8."""

    FEATURES = {
        **FlatPictures.FEATURES,
        "image": tfds.features.Image(shape=(8, 8, 1), dtype=np.uint16),
    }

    def _generate_examples(self, red):
        for i in range(4):
            yield i, {"image": np.full((8, 8, 1), 51200, np.uint16), "label": 0}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("tfds"))


@pytest.fixture(scope="module")
def flat(data_dir):
    return load_data("tfds:flat_pictures", data_dir, image_size=8)


def test_a_set_of_tfds_keeps_its_splits_names_and_classes(flat):
    assert (flat.name, flat.class_names) == ("tfds:flat_pictures", ("cat", "dog"))
    assert flat.image_shape == (8, 8, 3)
    assert {name: len(test) for name, test in flat.tests.items()} == {"test": 12}
    for split, red in ((flat.train, 50), (flat.tests["test"], 100)):
        numbers = split.images[:, 0, 0, 1]
        expected = np.stack([np.full(12, red), numbers, numbers % 2], 1)[:, None, None]
        np.testing.assert_array_equal(split.images, np.broadcast_to(expected, (12, 8, 8, 3)))
        np.testing.assert_array_equal(split.labels, numbers % 2)
        assert sorted(numbers) == list(range(12))


@pytest.mark.parametrize(("name", "border"), [("oxford_iiit_pet", 128), ("annotated_birds", 51)])
def test_segmentations_become_masks(data_dir, monkeypatch, name, border):
    monkeypatch.setitem(MASKS, "annotated_birds", MASKS["caltech_birds2011"])
    dataset = load_data(f"tfds:{name}", data_dir, image_size=8)
    assert dataset.train.has_masks
    masks = dataset.tests["clean"].masks
    expected = np.array([255] * 4 + [border] + [0] * 3)[None, None, :, None]
    np.testing.assert_array_equal(masks, np.broadcast_to(expected, masks.shape))


def test_the_order_is_that_of_the_preparation(flat, data_dir):
    stored = tfds.builder("flat_pictures", data_dir=data_dir).as_dataset(split="train")
    order = [int(record["image"][0, 0, 1]) for record in stored]
    assert flat.train.images[:, 0, 0, 1].tolist() == order != sorted(order)
    few = load_data("tfds:flat_pictures", data_dir, limit=3, image_size=8)
    np.testing.assert_array_equal(few.train.images, flat.train.images[:3])


def test_the_first_of_the_tests_asked_for_is_clean(data_dir):
    one = load_tfds("x", "flat_pictures", data_dir, 8, ("test",), class_names=("a", "b"))
    assert (one.name, one.class_names, list(one.tests)) == ("x", ("a", "b"), ["clean"])
    assert one.tests["clean"].images[0, 0, 0, 0] == SPLITS["test"]


def test_one_split_gives_a_quarter_of_it(data_dir):
    data = load_data("tfds:one_split", data_dir)
    assert (len(data.train), {name: len(test) for name, test in data.tests.items()}) == (
        *(9, {"clean": 3}),
    )
    numbers = [split.images[:, 0, 0, 1] for split in (data.train, data.tests["clean"])]
    assert sorted(np.concatenate(numbers)) == list(range(12))
    np.testing.assert_array_equal(data.tests["clean"].labels, numbers[1] % 2)
    assert data.image_shape == (64, 64, 3)


def test_images_are_stretched_or_padded(data_dir):
    stretched = load_tfds("x", "grey_halves", data_dir, 12).train.images[0, ..., 0]
    assert stretched.shape == (12, 12)
    assert stretched[:, :5].max() == 0 and stretched[:, 7:].min() == 200
    padded = load_tfds("x", "grey_halves", data_dir, 8, padded=True).train.images[0, ..., 0]
    expected = np.zeros((8, 8), np.uint8)
    expected[2:6, 4:7] = 200
    np.testing.assert_array_equal(padded, expected)


def test_alpha_is_dropped(data_dir):
    images = load_tfds("x", "transparent", data_dir, 8).train.images
    np.testing.assert_array_equal(images, np.broadcast_to(np.uint8([10, 20, 30]), (3, 8, 8, 3)))


def test_images_of_16_bits_are_refused(data_dir):
    with pytest.raises(ValueError, match="^the images of deep are .*uint16.*; only sets with 8"):
        load_data("tfds:deep", data_dir)


def test_other_sets_are_refused(data_dir):
    with pytest.raises(ValueError, match="^other_labels is no set of images with one label each"):
        load_data("tfds:other_labels", data_dir)
    with pytest.raises(ValueError, match="^no split of no_labels has labels"):
        load_data("tfds:no_labels", data_dir)
    with pytest.raises(FileNotFoundError, match="^no_such_set cannot be read from .*not found"):
        load_data("tfds:no_such_set", data_dir)
    with pytest.raises(FileNotFoundError, match="^--data-dir nowhere is not a folder"):
        load_data("tfds:flat_pictures", "nowhere")


def test_whether_a_set_is_there_is_known_without_tfds(flat, data_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # importing it would raise
    assert is_prepared("flat_pictures", data_dir)
    assert not is_prepared("mnist", data_dir)
    monkeypatch.setenv("TFDS_DATA_DIR", data_dir)
    assert is_prepared("flat_pictures", None)


@pytest.mark.parametrize("message", ["no network\nat all", ""])
def test_a_set_that_cannot_be_had_says_where_it_belongs(tmp_path, monkeypatch, message):
    def refuse(self, **keywords):
        raise ConnectionError(message)

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    first_line = message.split("\n")[0]
    with pytest.raises(FileNotFoundError) as info:
        load_data("mnist", str(tmp_path))
    assert str(info.value).startswith(f"mnist cannot be read from {tmp_path}, nor downloaded")
    assert "ConnectionError" in str(info.value) and first_line in str(info.value)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("name", "image_shape", "lengths", "class_names"),
    [
        ("fashionmnist", (32, 32, 1), (12, 12), None),
        ("cifar10", (64, 64, 3), (12, 12), CIFAR10_CLASSES),
        ("stl10", (64, 64, 3), (12, 12), STL10_CLASSES),
        ("svhn", (32, 32, 3), (12, 12), tuple("0123456789")),
        ("dogsvscatsredux", (64, 64, 3), (9, 3), ("cat", "dog")),
    ],
)
def test_sets_of_the_paper(tmp_path, name, image_shape, lengths, class_names):
    with tfds.testing.mock_data(num_examples=12):
        data = load_data(name, str(tmp_path))
    assert (data.name, list(data.tests), data.image_shape) == (name, ["clean"], image_shape)
    assert (len(data.train), len(data.tests["clean"])) == lengths
    assert data.train.images.shape[1:] == data.tests["clean"].images.shape[1:] == image_shape
    assert class_names is None or data.class_names == class_names


def test_clothes_are_padded_and_photographs_are_stretched(tmp_path):
    def white(self, split, **keywords):
        images = np.full((4, *self.info.features["image"].shape), 255, np.uint8)
        return tf.data.Dataset.from_tensor_slices({"image": images, "label": [0, 1, 1, 0]})

    with tfds.testing.mock_data(as_dataset_fn=white):
        clothes, photographs = (
            load_data(name, str(tmp_path)) for name in ("fashionmnist", "stl10")
        )
    assert clothes.train.images[:, 2:30, 2:30].min() == 255
    assert clothes.train.images.sum() == 4 * 28 * 28 * 255
    assert photographs.train.images.min() == 255
    assert clothes.train.labels.tolist() == [0, 1, 1, 0]


@pytest.fixture(scope="module")
def mnist(tfds_dir):
    return load_data("mnist", str(tfds_dir))


def test_mnist_is_padded_and_complete(mnist):
    assert (len(mnist.train), len(mnist.tests["clean"])) == (60_000, 10_000)
    assert mnist.image_shape == (32, 32, 1)
    assert mnist.train.images[:, :2].max() == 0
    assert mnist.class_names == tuple("0123456789")
    assert np.bincount(mnist.tests["clean"].labels).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]


def test_golden_digits_are_among_the_tests(mnist, golden):
    stored = {image.tobytes() for image in mnist.tests["clean"].images}
    expected = np.round(golden["x"] * 255).astype(np.uint8)
    assert all(image.tobytes() in stored for image in expected)
