import keras
import numpy as np
import pytest
import tensorflow as tf

import bginv
from bginv.data.catalog import load_data
from bginv.library.arrays import pixels_of, range_of
from bginv.library.data import as_dataset, is_split
from bginv.nn.pixel_range import GIVEN, PixelRange

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)
LABELS = np.arange(12) % 3


def test_a_data_set_is_itself_and_a_name_is_loaded():
    data = load_data("shapes", image_size=16)
    assert as_dataset(data) is data
    assert as_dataset("shapes", image_size=16).image_shape == (16, 16, 3)
    assert as_dataset("digits", image_size=16).image_shape == (32, 32, 1)  # it has its own size


def test_one_pair_is_split_and_two_are_not():
    alone = as_dataset((IMAGES, LABELS))
    assert (len(alone.train), len(alone.tests["clean"])) == (9, 3)
    both = as_dataset(((IMAGES, LABELS), (IMAGES[:4], LABELS[:4])))
    assert (len(both.train), len(both.tests["clean"])) == (12, 4)
    assert both.class_names == ("0", "1", "2") and both.image_shape == (8, 8, 1)
    np.testing.assert_array_equal(both.train.images[..., 0], IMAGES)


def test_a_mapping_names_the_tests():
    data = as_dataset({"train": (IMAGES, LABELS), "fog": (IMAGES[:2], LABELS[:2])})
    assert list(data.tests) == ["fog"]
    with pytest.raises(ValueError, match="needs a split named 'train', .* received fog"):
        as_dataset({"fog": (IMAGES, LABELS)})
    with pytest.raises(ValueError, match=r"images of fog are \(4, 8, 1\)"):
        as_dataset({"train": (IMAGES, LABELS), "fog": (IMAGES[:, :4], LABELS)})


@pytest.mark.parametrize("batched", [True, False])
def test_a_tf_data_set_is_taken_into_memory(batched):
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES[..., None], LABELS))
    data = as_dataset(pairs.batch(5) if batched else pairs)
    assert len(data.train) + len(data.tests["clean"]) == 12
    with pytest.raises(ValueError, match=r"must give \(image, label\) pairs"):
        as_dataset(tf.data.Dataset.from_tensor_slices(IMAGES))


@pytest.mark.parametrize(
    ("labels", "expected", "names"),
    [
        (LABELS[:, None], LABELS, ("0", "1", "2")),
        (np.eye(3)[LABELS], LABELS, ("0", "1", "2")),
        (
            np.array(["cat", "ant", "bee"])[LABELS],
            np.array([2, 0, 1])[LABELS],
            ("ant", "bee", "cat"),
        ),
    ],
)
def test_labels_of_every_kind(labels, expected, names):
    data = as_dataset({"train": (IMAGES, labels), "test": (IMAGES, labels)})
    assert data.train.labels.tolist() == expected.tolist()
    assert data.class_names == names and not data.regression


def test_other_floats_are_numbers_to_tell():
    targets = np.linspace(0, 1, 12)
    data = as_dataset({"train": (IMAGES, targets), "test": (IMAGES, targets)})
    assert data.regression and not data.multi_label
    np.testing.assert_allclose(data.train.labels, targets[:, None], rtol=1e-6)
    records = data.train.gather(tf.constant([11], tf.int64))
    assert records["label"].dtype == tf.float32 and float(records["label"][0, 0]) == 1


def test_floats_of_0_and_1_are_classes_and_text_is_text():
    data = as_dataset({"train": (IMAGES, LABELS > 1.0), "test": (IMAGES, np.float32(LABELS > 1))})
    assert data.class_names == ("0", "1") and not data.regression
    for names in (np.array([b"cat", b"ant", b"bee"]), np.array(["cat", "ant", "bee"], object)):
        data = as_dataset({"train": (IMAGES, names[LABELS]), "test": (IMAGES, names[LABELS])})
        assert data.class_names == ("ant", "bee", "cat")


def test_batches_of_grey_images_without_a_channel():
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(5)
    data = as_dataset({"train": pairs, "test": pairs})
    np.testing.assert_array_equal(data.train.images[..., 0], IMAGES)


def test_pixels_that_would_be_wrong_are_refused():
    np.testing.assert_array_equal(pixels_of(IMAGES / 255, "train")[..., 0], IMAGES)
    assert pixels_of(IMAGES > 99, "mask").max() == 255
    for whole in (np.float32, np.int64):
        np.testing.assert_array_equal(pixels_of(IMAGES.astype(whole), "train")[..., 0], IMAGES)
    resized = np.clip(IMAGES + np.float32(0.4), 0, 255)
    with pytest.raises(ValueError, match=r"floats in \[0, 1\], .*pixels=\(0, 1\).* to 255: scale"):
        pixels_of(resized, "train", (0.0, 1.0))
    both = np.float32(IMAGES / 127.5 - 1)
    for pixels in (None, (0.0, 255.0)):
        np.testing.assert_array_equal(pixels_of(resized, "train", pixels)[..., 0], IMAGES)
    for pixels in (None, (-1.0, 1.0)):
        np.testing.assert_array_equal(pixels_of(both, "train", pixels)[..., 0], IMAGES)
    with pytest.raises(ValueError, match="train images hold NaN or infinity"):
        pixels_of(np.full_like(both, np.nan), "train")
    for strange in (2 * both, IMAGES / np.float32(200)):
        with pytest.raises(ValueError, match=r"train images must be .* or give the range that"):
            pixels_of(strange, "train")
    with pytest.raises(ValueError, match=r"must be \[N, H, W, C\]; received \(12, 64\)"):
        pixels_of(IMAGES.reshape(12, 64), "train")
    with pytest.raises(ValueError, match="received int"):
        as_dataset(3)


def test_splits_of_two_ranges_are_refused():
    both = {"train": (np.float32(IMAGES), LABELS), "test": (IMAGES / 255, LABELS)}
    with pytest.raises(ValueError, match=r"in \[0, 255\], and those of test in \[0, 1\]"):
        as_dataset(both, pixels=(0.0, 255.0))
    bright = {"train": (IMAGES / 127.5 - 1, LABELS), "test": (0 * IMAGES[:2] + 0.5, LABELS[:2])}
    with pytest.raises(ValueError, match="give all in one range"):
        as_dataset(bright, pixels=(-1.0, 1.0))


def test_a_data_set_without_an_end_is_refused():
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES[..., None], LABELS)).repeat()
    with pytest.raises(ValueError, match=r"must have an end: leave repeat\(\) out"):
        as_dataset(pairs.batch(4))


def test_bytes_of_0_and_1_are_no_pixels():
    for dtype in (np.uint8, np.int64):
        with pytest.raises(ValueError, match="int.* of 0 and 1, where 255 is white"):
            pixels_of((IMAGES % 2).astype(dtype), "test")
    assert pixels_of(IMAGES % 2 > 0, "test").max() == 255
    assert pixels_of(0 * IMAGES, "test").max() == 0


def test_two_tf_data_sets_are_one_to_train_on_and_a_test():
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES[..., None], LABELS)).batch(4)
    for both in ((pairs, pairs.take(1)), [pairs, pairs.take(1)]):
        data = as_dataset(both)
        assert (len(data.train), len(data.tests["clean"])) == (12, 4)
        assert is_split(both)


def _generated() -> tf.data.Dataset:
    def batches():
        for start in range(0, 12, 4):
            yield IMAGES[start : start + 4, ..., None], LABELS[start : start + 4]

    return tf.data.Dataset.from_generator(batches, output_types=(tf.uint8, tf.int64))


def _mapped() -> tf.data.Dataset:
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES[..., None], LABELS))
    kinds = [tf.uint8, tf.int64]
    return pairs.map(lambda *own: tf.numpy_function(lambda *same: same, own, kinds)).batch(5)


@pytest.mark.parametrize(
    "form",
    [
        lambda: tf.data.Dataset.from_tensor_slices(({"image": IMAGES}, LABELS)).batch(5),
        lambda: tf.data.Dataset.from_tensor_slices((IMAGES, np.eye(3)[LABELS])).batch(8),
        lambda: tf.data.Dataset.from_tensor_slices((IMAGES, LABELS[:, None])).batch(8),
        lambda: tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4, drop_remainder=True),
        _generated,
        _mapped,
    ],
)
def test_forms_of_tf_data_that_fit_takes(form):
    data = as_dataset({"train": form(), "test": form()})
    assert data.image_shape == (8, 8, 1) and data.num_classes == 3
    np.testing.assert_array_equal(data.train.images[..., 0], IMAGES)
    np.testing.assert_array_equal(data.train.labels, LABELS)


def test_forms_of_tf_data_that_would_lose_something_are_named():
    weighted = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS, np.ones(12)))
    with pytest.raises(ValueError, match="has weights, which nothing here uses"):
        as_dataset(weighted)
    two = tf.data.Dataset.from_tensor_slices(({"left": IMAGES, "right": IMAGES}, LABELS))
    with pytest.raises(ValueError, match="a dict of left, right: leave one"):
        as_dataset(two)


@pytest.mark.parametrize(
    ("images", "came_in"),
    [
        (IMAGES, None),
        (IMAGES / 255, (0, 1)),
        (np.float32(IMAGES), (0, 255)),
        (IMAGES / 127.5 - 1, (-1, 1)),
    ],
    ids=["bytes", "unit", "float bytes", "symmetric"],
)
def test_the_range_that_floats_came_in_is_kept(images, came_in):
    data = as_dataset((images, LABELS))
    assert data.came_in == came_in


def test_labels_that_begin_at_1_are_told():
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    with pytest.raises(ValueError, match="3 classes apart, but arrays has 4: labels begin at 1,"):
        bginv.evaluate(model, (IMAGES, LABELS + 1))


def test_large_numbers_are_no_classes():
    with pytest.raises(ValueError, match="class numbers from 0 on; received 0 to 2000000: give"):
        as_dataset((IMAGES, LABELS * 10**6))


def test_labels_of_two_kinds_are_refused():
    for other in (LABELS * 0.3, LABELS.astype(str)):
        with pytest.raises(ValueError, match="test labels are .*, those of train are class numb"):
            as_dataset({"train": (IMAGES, LABELS), "test": (IMAGES, other)})


def test_a_class_that_only_a_test_has(caplog):
    names = np.array(["cat", "dog", "ape"])[LABELS]
    with pytest.raises(ValueError, match="test labels hold 'ape', a class that train does not ha"):
        as_dataset({"train": (IMAGES, np.sort(names)[::-1][[0] * 12]), "test": (IMAGES, names)})
    as_dataset({"train": (IMAGES, LABELS % 2), "fog": (IMAGES, LABELS)})
    assert "fog has images of class 2, which no training image shows" in caplog.text


def test_missing_labels_do_not_become_text():
    for missing in (["cat", np.nan] * 6, ["cat", 1] * 6, [None, "cat"] * 6):
        with pytest.raises(ValueError, match="train labels must be "):
            as_dataset((IMAGES, missing))


def test_the_range_of_a_result_is_taken_as_pixels():
    """`bginv.evaluate(model, data, pixels=result.pixels)` measures what was trained."""
    assert range_of(PixelRange(0, 255, GIVEN, "as it was trained")) == (0, 255)
    assert range_of((0, 255)) == (0, 255) and range_of(None) is None
    with pytest.raises(ValueError, match="pixels must be the least and the largest"):
        range_of((1, 0))
