"""PASCAL VOC in its own layout, and folders of images with label maps."""

import shutil

import cv2
import numpy as np
import pytest
import tensorflow as tf

from bginv.data.catalog import load_data
from bginv.data.segmentation import VOC_CLASSES, class_numbers

NUMBERS = np.array([[0, 0, 1, 1], [0, 255, 1, 20], [15, 15, 0, 20]], np.uint8)


def voc_colour(number: int) -> tuple[int, int, int]:
    """As the development kit's VOClabelcolormap."""
    red = green = blue = 0
    for place in range(8):
        red |= (number & 1) << (7 - place)
        green |= (number >> 1 & 1) << (7 - place)
        blue |= (number >> 2 & 1) << (7 - place)
        number >>= 3
    return red, green, blue


def write_map(path, numbers: np.ndarray, coloured: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = numbers
    if coloured:
        pixels = np.array([voc_colour(n) for n in numbers.flat], np.uint8)
        pixels = pixels.reshape(*numbers.shape, 3)[..., ::-1]
    assert cv2.imwrite(str(path), pixels)


def write_image(path, seed: int = 0, shape: tuple[int, int] = (30, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(256, size=(*shape, 3))
    assert cv2.imwrite(str(path), pixels.astype(np.uint8))


@pytest.mark.parametrize("coloured", [False, True])
def test_numbers_of_a_map(tmp_path, coloured):
    write_map(tmp_path / "map.png", NUMBERS, coloured)
    found = class_numbers(tf.io.read_file(str(tmp_path / "map.png")))
    np.testing.assert_array_equal(found, NUMBERS)


def test_every_number_has_a_colour_of_its_own(tmp_path):
    numbers = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_map(tmp_path / "map.png", numbers, coloured=True)
    np.testing.assert_array_equal(
        class_numbers(tf.io.read_file(str(tmp_path / "map.png"))), numbers
    )


@pytest.fixture
def voc(tmp_path):
    """Two training images, two for validation; the augmented set has one more of each."""
    root = tmp_path / "VOCdevkit/VOC2012"
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("v\nw\n")
    for seed, name in enumerate("abcvw"):
        write_image(root / f"JPEGImages/{name}.jpg", seed)
    for name, number in (("a", 1), ("b", 15), ("v", 20), ("w", 3)):
        numbers = np.zeros((30, 40), np.uint8)
        numbers[:10], numbers[20:] = number, 255
        write_map(root / f"SegmentationClass/{name}.png", numbers, coloured=True)
    return tmp_path


def test_voc(voc):
    data = load_data("voc2012", str(voc), image_size=16)
    assert data.class_names == VOC_CLASSES and data.num_classes == 20
    assert list(data.tests) == ["val"] and data.multi_label
    assert (len(data.train), len(data.tests["val"])) == (2, 2)
    np.testing.assert_array_equal(np.argwhere(data.train.labels == 1), [[0, 0], [1, 14]])
    np.testing.assert_array_equal(np.argwhere(data.tests["val"].labels == 1), [[0, 19], [1, 2]])
    batch = next(iter(data.tests["val"].batches(2)))
    assert batch["image"].shape == (2, 16, 16, 3)
    assert batch["label_map"].shape == (2, 16, 16) and batch["label_map"].dtype == tf.int32
    np.testing.assert_array_equal(batch["label_map"][0, :, 3], [20] * 5 + [0] * 6 + [255] * 5)


def test_voc_with_the_augmented_set(voc):
    root = voc / "VOCdevkit/VOC2012"
    for name, number in (("a", 1), ("b", 15), ("c", 7), ("v", 20)):
        numbers = np.full((30, 40), number, np.uint8)
        write_map(root / f"SegmentationClassAug/{name}.png", numbers)
    data = load_data("voc2012", str(voc), image_size=16)
    assert len(data.train) == 3  # not v, which is in val
    np.testing.assert_array_equal(data.train.labels.argmax(1), [0, 14, 6])


def test_labels_of_the_reference(tmp_path, golden_arrays):
    reference = golden_arrays("eader_metrics")
    for split in ("train", "test"):
        write_image(tmp_path / split / "images/a.jpg", 1, reference["loader_map"].shape)
        write_map(tmp_path / split / "labels/a.png", reference["loader_map"].astype(np.uint8))
    (tmp_path / "classes.txt").write_text("\n".join(VOC_CLASSES))
    data = load_data(f"segmentation:{tmp_path}", image_size=16)
    np.testing.assert_array_equal(data.train.labels[0], reference["loader_multi_hot"])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    for split in ("train", "dusk"):
        for name, number in (("a", 1), ("b", 2), ("c", 0)):
            write_image(tmp_path / split / f"images/{name}.jpg")
            write_map(tmp_path / split / f"labels/{name}.png", np.full((30, 40), number, np.uint8))
    return tmp_path


def test_a_folder(folder):
    data = load_data(f"segmentation:{folder}", image_size=8)
    assert data.class_names == ("cat", "dog") and list(data.tests) == ["dusk"]
    # c shows nothing
    np.testing.assert_array_equal(data.train.labels, [[1, 0], [0, 1]])
    assert data.train.has_label_maps and not data.train.without_masks().has_label_maps
    assert "label_map" not in next(iter(data.train.without_masks().batches(1)))
    larger = next(iter(data.train.take(np.array([1])).at_size(12).batches(1)))
    assert larger["image"].shape == (1, 12, 12, 3)
    assert (larger["label_map"].numpy() == 2).all()


def test_what_is_wrong_with_a_folder(folder):
    shutil.copytree(folder / "dusk", folder / "night")
    for image in (folder / "night/images").iterdir():
        image.unlink()
    with pytest.raises(ValueError, match="night/images holds no image; the layout is"):
        load_data(f"segmentation:{folder}")
    shutil.rmtree(folder / "night")
    write_map(folder / "dusk/labels/b.png", np.full((30, 40), 3, np.uint8))
    with pytest.raises(ValueError, match="holds the number 3; there are 2 classes"):
        load_data(f"segmentation:{folder}")
    (folder / "dusk/labels/b.png").unlink()
    with pytest.raises(ValueError, match="1 of 3 label maps are missing, such as .*b.png"):
        load_data(f"segmentation:{folder}")
    (folder / "classes.txt").unlink()
    with pytest.raises(FileNotFoundError, match="classes.txt is not there; the layout is"):
        load_data(f"segmentation:{folder}")
    (folder / "train/classes.txt").write_text("cat")
    with pytest.raises(ValueError, match="holds images for no split"):
        load_data(f"segmentation:{folder / 'train'}")


def test_hidden_files_are_no_images(folder):
    (folder / "train/images/.DS_Store").write_text("")
    (folder / "train/images/._a.jpg").write_text("")
    (folder / "train/images/notes.txt").write_text("")
    assert len(load_data(f"segmentation:{folder}", image_size=8).train) == 2


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.ones((30, 40, 3), np.uint8), r"a.png holds the colour \(1, 1, 1\), which is none of"),
        (np.ones((30, 40), np.uint16), "a.png has 16 bits; save label maps with 8"),
        (np.ones((40, 30), np.uint8), "a.png is 30 x 40, but its image .* is 40 x 30; a label map"),
    ],
)
def test_maps_that_would_be_misread_are_refused(folder, pixels, message):
    assert cv2.imwrite(str(folder / "train/labels/a.png"), pixels)
    with pytest.raises(ValueError, match=message):
        load_data(f"segmentation:{folder}")


def test_a_split_without_any_class_is_refused(folder):
    for name in "ab":
        write_map(folder / f"dusk/labels/{name}.png", np.zeros((30, 40), np.uint8))
    with pytest.raises(ValueError, match="no label map beside .*dusk.* shows a class"):
        load_data(f"segmentation:{folder}")
