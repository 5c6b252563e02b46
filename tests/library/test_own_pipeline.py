"""What `robustify` gives back works as the user's own code uses it, on the user's own arrays."""

import functools
import pathlib

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

import bginv
from bginv.data.sources import ArraySource, Dataset
from bginv.interop.export import comparison_images
from bginv.library.data import as_dataset
from bginv.library.robustify import robustify

layers = keras.layers
SIDE, COUNT = 16, 120
MOST_LOST = 0.02
SHORT = {"adversarial_steps": 30, "batchsize": 16, "masks": "heuristic", "backgrounds": "noise"}
LABELS = np.arange(COUNT) % 3


def drawn() -> np.ndarray:
    """Bytes [N, H, W, 3]: a square, a bar or a column of some colour, on black."""
    rng = np.random.default_rng(0)
    images = np.zeros((COUNT, SIDE, SIDE, 3), np.uint8)
    for image, label in zip(images, LABELS, strict=True):
        height, width = ((6, 6), (2, 12), (12, 2))[label]
        row, column = rng.integers(1, SIDE - height), rng.integers(1, SIDE - width)
        image[row : row + height, column : column + width] = rng.integers(100, 256, 3)
    return images


IMAGES = drawn()


def network(*front: keras.layers.Layer) -> keras.Model:
    """A small classifier that ends in probabilities, behind some layers."""
    own = [
        layers.Conv2D(16, 3, activation="relu"),
        layers.Conv2D(16, 3, activation="relu"),
        layers.GlobalMaxPooling2D(),
        layers.Dense(3, activation="softmax"),
    ]
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), *front, *own])


def normalization() -> keras.layers.Layer:
    own = layers.Normalization()
    own.adapt(np.float32(IMAGES))
    return own


KINDS = {
    "plain": (lambda: network(), 1.0),
    "rescaling": (lambda: network(layers.Rescaling(1 / 255)), 255.0),
    "normalization": (lambda: network(normalization()), 255.0),
    "raw": (lambda: network(), 255.0),
}
"""Models, and what the arrays that they are trained on reach up to."""


def in_folder(folder: pathlib.Path) -> str:
    for number, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        split = "train" if number % 4 else "test"
        path = folder / split / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[..., ::-1])
    return f"folder:{folder}"


def pairs(images: np.ndarray) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(32)


def data_set(folder: pathlib.Path) -> Dataset:
    del folder
    source = ArraySource(IMAGES, LABELS)
    return Dataset("own", source, {"clean": source}, ("a", "b", "c"), source.image_shape)


FORMS = {
    "floats": lambda folder: (np.float32(IMAGES / 255), LABELS),
    "bytes": lambda folder: (IMAGES, LABELS),
    "float bytes": lambda folder: (np.float32(IMAGES), LABELS),
    "pairs of floats": lambda folder: pairs(np.float32(IMAGES / 255)),
    "pairs of float bytes": lambda folder: pairs(np.float32(IMAGES) * np.float32(0.999)),
    "folder": in_folder,
    "data set": data_set,
}


def trained(kind: str) -> tuple[keras.Model, np.ndarray]:
    """A model, as its user trains it, and the user's own arrays."""
    build, white = KINDS[kind]
    model = build()
    model.set_weights(trained_weights(kind))
    return model, np.float32(IMAGES * (white / 255))


@functools.cache
def trained_weights(kind: str) -> list[np.ndarray]:
    build, white = KINDS[kind]
    keras.utils.set_random_seed(0)
    model, images = build(), np.float32(IMAGES * (white / 255))
    rate = 3e-3 if kind != "raw" else 1e-3
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(images, LABELS, epochs=40, batch_size=16, verbose=0)
    return model.get_weights()


def accuracy(model: keras.Model, images: np.ndarray) -> float:
    return float((model.predict(images, verbose=0).argmax(1) == LABELS).mean())


QUICK = {("rescaling", "floats"), ("raw", "bytes")}
IN_EVERY_FORM = ("plain", "rescaling")
"""Kinds of models; others get arrays and folders alone."""
NOT_THE_MODELS_OWN = {("plain", "float bytes"), ("plain", "pairs of float bytes")}
"""Floats outside of [0, 1] are said to be of the range that the model takes."""


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        pytest.param(kind, form, marks=[] if (kind, form) in QUICK else pytest.mark.slow)
        for kind in KINDS
        for form in FORMS
        if (kind, form) not in NOT_THE_MODELS_OWN
        and (kind in IN_EVERY_FORM or form in ("floats", "bytes", "folder"))
    ],
)
def test_nothing_is_lost_in_the_users_own_way(tmp_path, kind, form):
    model, images = trained(kind)
    before = accuracy(model, images)
    assert before > 0.95
    result = robustify(model, FORMS[form](tmp_path), **SHORT)
    assert accuracy(model, images) >= before - MOST_LOST
    assert result.pixels.pixels == (0.0, KINDS[kind][1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_range_that_is_given_is_taken(kind):
    model, images = trained(kind)
    before = accuracy(model, images)
    pixels = (0, KINDS[kind][1])
    result = robustify(model, (IMAGES, LABELS), pixels=pixels, **SHORT)
    assert result.pixels.pixels == pixels
    assert accuracy(model, images) >= before - MOST_LOST


@pytest.mark.parametrize("kind", ["rescaling", "raw"])
def test_a_range_that_is_wrong_is_refused(kind):
    model, _ = trained(kind)
    weights = model.get_weights()
    with pytest.raises(ValueError, match=r"pixels=\(0, 1\), but .* takes 0 to 255 .* leave pixels"):
        robustify(model, (IMAGES, LABELS), pixels=(0, 1), **SHORT)
    assert all(np.array_equal(*pair) for pair in zip(weights, model.get_weights(), strict=True))


def test_evaluations_take_the_models_range(tmp_path, command):
    model, images = trained("rescaling")
    expected = accuracy(model, images)
    data = {"train": (IMAGES, LABELS), "clean": (IMAGES, LABELS)}
    (row,) = bginv.evaluate(model, data).rows.values()
    assert row["clean"] == pytest.approx(expected)
    model.save(tmp_path / "mine.keras")
    (row,) = bginv.evaluate(tmp_path / "mine.keras", data).rows.values()
    assert row["clean"] == pytest.approx(expected)
    folder = in_folder(tmp_path / "data")
    code, out, _ = command("evaluate", folder, "mine.keras", "--image-size", str(SIDE))
    assert code == 0 and float(out.strip().split(",")[-1]) > 0.95


def test_a_model_of_integers_is_evaluated():
    model, images = trained("rescaling")
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    whole = keras.Model(image, model(keras.ops.cast(image, "float32")))
    (row,) = bginv.evaluate(
        whole, {"train": (IMAGES, LABELS), "clean": (IMAGES, LABELS)}
    ).rows.values()
    assert row["clean"] == pytest.approx(accuracy(model, images))


def test_files_are_compared_on_the_models_range(tmp_path):
    model, _ = trained("rescaling")
    images, calibration, _ = comparison_images(model, as_dataset((IMAGES, LABELS)), 20)
    assert 200 < images.max() <= 255 and 200 < calibration.max() <= 255
    assert comparison_images(model, None, 5)[0].max() > 200
    assert comparison_images(network(), None, 5)[0].max() <= 1
