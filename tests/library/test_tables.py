"""Data frames, data sets of Hugging Face, and names of classes, at the entrance."""

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import bginv
from bginv.data.other_formats import colours_of
from bginv.library.data import as_dataset, is_split
from tests.data.listed_toys import CLASSES, write_pictures

pandas = pytest.importorskip("pandas")


@pytest.fixture
def frame(tmp_path):
    names = write_pictures(tmp_path / "pictures")
    paths = [str(tmp_path / "pictures" / name) for name in names]
    return pandas.DataFrame({"path": paths, "label": [CLASSES[row % 2] for row in range(8)]})


def test_a_frame_is_data(frame):
    data = as_dataset(frame, image_size=16)
    assert data.class_names == CLASSES and data.image_shape == (16, 16, 3)
    assert (len(data.train), len(data.tests["clean"])) == (6, 2) and is_split(frame)
    both = as_dataset({"train": frame[:6], "fog": frame[6:]})
    assert list(both.tests) == ["fog"] and len(both.train) == 6
    pair = as_dataset((frame[:6], frame[6:]))
    assert len(pair.tests["clean"]) == 2


def test_columns_may_be_named(frame, tmp_path):
    frame = frame.rename(columns={"path": "where", "label": "kind"})
    frame["where"] = frame["where"].str.removeprefix(str(tmp_path) + "/")
    frame["numbers"] = [0, 1] * 4
    frame["numbers"] = frame["numbers"].astype(float)
    named = {"path": "where", "folder": tmp_path, "image_size": 16}
    assert bginv.load_table(frame, label="kind", **named).class_names == CLASSES
    assert bginv.load_table(frame, label="numbers", **named).class_names == ("0", "1")
    frame.to_csv(tmp_path / "all.csv")
    assert bginv.load_table(tmp_path / "all.csv", path="where", label="kind").num_classes == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda own: own.drop(columns="label"),
            "frame: classes need one of the columns label, cla",
        ),
        (lambda own: own.drop(columns="path"), "frame: paths of pictures need one of the columns"),
        (lambda own: own[:0], "frame has no row"),
        (lambda own: own.assign(label=[None, *"abababa"]), "frame, row 0, label '': it is empty"),
        (
            lambda own: own.assign(site=pandas.array([*"abcabca", pandas.NA], dtype="string")),
            "frame, row 7, site '': it is empty",
        ),
        (
            lambda own: pandas.concat([own, own["label"]], axis=1),
            "frame has the column 'label' twice",
        ),
        (
            lambda own: {"train": own[:6].assign(mask=own["path"]), "test": own[6:]},
            "frame test, row 0: it has no mask, and other pictures have one",
        ),
        (lambda own: own.assign(label=np.linspace(0, 1, 8)), "row 1, label '0.14.*: a class is a"),
        (lambda own: own.assign(path="x.png"), "frame, row 1: frame, row 0 has .*x.png already"),
        (
            lambda own: own.assign(label="cat"),
            "frame, row 0: every picture to train on is of the c",
        ),
    ],
)
def test_bad_frames_are_told_by_row(frame, change, told):
    with pytest.raises(ValueError, match=told) as error:
        as_dataset(change(frame))
    assert "\n" not in str(error.value)


def test_a_table_is_a_frame_or_a_file(frame):
    with pytest.raises(ValueError, match="a table must be a pandas DataFrame or the path"):
        bginv.load_table([1, 2])
    with pytest.raises(FileNotFoundError, match=r"frame, row 2: the picture .*no.png is not there"):
        as_dataset(frame.assign(path=[*frame["path"][:2], "no.png", *frame["path"][3:]]))
    with pytest.raises(ValueError, match="a column 'kind'|need a column kind"):
        bginv.load_table(frame, label="kind")


def test_data_sets_of_hugging_face(frame):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    )
    held = {"image": frame["path"].tolist(), "label": [0, 1] * 4}
    split = datasets.Dataset.from_dict(held, features)
    data = as_dataset(split)
    assert data.class_names == CLASSES and data.image_shape == (24, 32, 3)
    both = as_dataset(datasets.DatasetDict({"train": split, "test": split}), image_size=16)
    assert both.image_shape == (16, 16, 3) and list(both.tests) == ["test"]
    bright = both.train.images[:, 8, 6, 0] > 100
    np.testing.assert_array_equal(bright, both.train.labels == 1)
    with pytest.raises(ValueError, match="train needs a feature Image, and a ClassLabel"):
        as_dataset(datasets.Dataset.from_dict({"label": [0, 1]}))
    (frame_path,) = frame["path"][3:4]
    open(frame_path, "wb").close()
    with pytest.raises(ValueError, match="data: train, row 3: its picture cannot be read"):
        as_dataset(datasets.Dataset.from_dict(held, features))


def test_names_of_classes_come_with_keras_data_sets(tmp_path):
    for name in CLASSES:
        write_pictures(tmp_path / name)
    pair = keras.utils.image_dataset_from_directory(
        tmp_path, subset="both", validation_split=0.25, seed=1, image_size=(16, 16), verbose=0
    )
    data = as_dataset(pair)
    assert data.class_names == CLASSES and (len(data.train), len(data.tests["clean"])) == (12, 4)
    other = tf.data.Dataset.from_tensor_slices((np.zeros((2, 16, 16, 3), np.uint8), [0, 1]))
    other.class_names = ["a", "b"]
    with pytest.raises(ValueError, match="clean has the classes a, b, and train cat, dog: give bo"):
        as_dataset((pair[0], other))


def test_of_sixteen_bits_the_upper_ones_count():
    pixels = np.array([[0, 300, 65535]], np.uint16)
    assert colours_of(PIL.Image.fromarray(pixels))[..., 0].tolist() == [[0, 1, 255]]
