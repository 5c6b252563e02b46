import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.interop.unit_images import on_unit_images
from bginv.library.models import can_be_saved, knows_something, loss_of, with_logits
from bginv.ops.losses import cross_entropy

SHAPE = (16, 16, 1)


class Subclassed(keras.Model):
    """A model whose layers only `call` connects."""

    def __init__(self, units: int, activation: str | None):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(units, activation=activation)

    def call(self, images):
        return self.dense(self.flatten(images))


def images(count: int = 5) -> np.ndarray:
    return np.random.default_rng(1).random((count, *SHAPE), np.float32)


@pytest.mark.parametrize(
    ("units", "activation"),
    [(2, None), (2, "softmax"), (2, "sigmoid"), (1, "sigmoid"), (1, None)],
)
def test_logits_of_every_kind_of_output(squares, units, activation):
    model = Subclassed(units, activation)
    logits = with_logits(on_unit_images(model, SHAPE, (0.0, 1.0)), squares)
    raw, found = model(images()).numpy(), tf.nn.softmax(logits(images())).numpy()
    if activation is None and units == 2:
        expected = tf.nn.softmax(raw).numpy()
    elif activation == "sigmoid" and units == 2:
        odds = raw / (1 - raw)
        expected = odds / odds.sum(1, keepdims=True)
    elif units == 2:
        expected = raw
    else:
        second = raw if activation else tf.sigmoid(raw).numpy()
        expected = np.concatenate([1 - second, second], 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("units", [1, 2])
def test_logits_that_lie_between_0_and_1_on_all_images_are_logits(squares, units):
    model = Subclassed(units, None)
    unit = on_unit_images(model, SHAPE, (0.0, 1.0))
    model.dense.set_weights([np.full((256, units), 1e-3), np.full(units, 0.5)])
    outputs = unit(images()).numpy()
    assert outputs.min() > 0 and outputs.max() < 1
    expected = outputs if units == 2 else np.concatenate([0 * outputs, outputs], 1)
    np.testing.assert_allclose(with_logits(unit, squares)(images()), expected, rtol=1e-5)


def test_pixels_are_scaled_to_what_the_model_takes():
    model = Subclassed(3, None)
    scaled = on_unit_images(model, SHAPE, (-1.0, 3.0))
    np.testing.assert_allclose(scaled(images()), model(images() * 4 - 1), rtol=1e-4, atol=1e-5)


def test_a_model_for_other_images_is_named():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()], name="mine")
    with pytest.raises(ValueError, match="mine takes images of 8x8x3, and these are 16x16x1"):
        on_unit_images(model, SHAPE, (0.0, 1.0))


def test_too_few_outputs_and_maps_are_refused(squares):
    many = squares.__class__(
        "many", squares.train, squares.tests, ("a", "b", "c", "d"), squares.image_shape
    )
    unit = on_unit_images(Subclassed(3, None), SHAPE, (0.0, 1.0))
    with pytest.raises(ValueError, match="tells 3 classes apart, but many has 4"):
        with_logits(unit, many)
    maps = on_unit_images(keras.Sequential([keras.layers.Conv2D(2, 3)]), SHAPE, (0.0, 1.0))
    with pytest.raises(ValueError, match=r"gives outputs \[B, K\]; this model gives"):
        with_logits(maps, squares)


def test_a_loss_of_keras_takes_labels_as_it_wants_them(squares):
    labels = tf.constant([0, 1, 1])
    logits = tf.constant([[2.0, 0.0], [0.0, 1.0], [3.0, -1.0]])
    expected = float(cross_entropy(labels, logits))
    for loss in (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        keras.losses.CategoricalCrossentropy(from_logits=True),
    ):
        own = loss_of(Subclassed(2, None), squares, loss)
        assert float(own(labels, logits)) == pytest.approx(expected, rel=1e-5)
    assert loss_of(Subclassed(2, None), squares, None) is cross_entropy
    one = loss_of(Subclassed(1, None), squares, "binary_crossentropy")
    assert float(one(tf.constant([1, 0]), tf.constant([[0.9], [0.1]]))) == pytest.approx(
        -np.log(0.9), rel=1e-3
    )


def test_whether_a_model_knows_something(squares):
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    unit = with_logits(on_unit_images(model, SHAPE, (0.0, 1.0)), squares)
    model.layers[-1].set_weights([np.zeros((256, 2), np.float32), np.array([9, 0], np.float32)])
    assert not knows_something(unit, squares, cross_entropy)
    left = np.zeros((16, 16), np.float32)
    left[:, :8] = 0.1
    kernel = np.stack([left.ravel(), -left.ravel()], 1) - np.stack(
        [left[:, ::-1].ravel(), -left[:, ::-1].ravel()], 1
    )
    model.layers[-1].set_weights([kernel, np.zeros(2, np.float32)])
    assert knows_something(unit, squares, cross_entropy)


def test_layers_that_keras_cannot_write_are_told():
    class Odd(keras.layers.Layer):
        def __init__(self, unwritable):
            super().__init__()
            self.unwritable = unwritable

        def call(self, inputs):
            return inputs

    fine = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten()])
    assert can_be_saved(fine)
    assert not can_be_saved(keras.Sequential([keras.Input(SHAPE), Odd(object())]))


def with_ending(name: str) -> keras.Model:
    """Three classes; what stands behind the last layer is no layer."""
    image = keras.Input(SHAPE)
    outputs = keras.layers.Dense(3)(keras.layers.Flatten()(image))
    if name == "log softmax":
        outputs = keras.ops.log(keras.layers.Softmax()(outputs))
    return keras.Model(image, keras.ops.softmax(outputs) if name == "softmax" else outputs)


@pytest.mark.parametrize("name", ["softmax", "log softmax", "logits"])
def test_operations_behind_the_last_layer_count(squares, name):
    model = with_ending(name)
    raw = model(images()).numpy()
    expected = raw if name == "softmax" else tf.nn.softmax(raw).numpy()
    logits = with_logits(model, squares)
    again = with_logits(logits, squares)  # as of a model that robustify gave back
    for found in (logits, again):
        np.testing.assert_allclose(tf.nn.softmax(found(images())), expected, rtol=1e-4)


def test_probabilities_of_16_bits_have_finite_logarithms(squares):
    image = keras.Input(SHAPE)
    scores = 100 * keras.layers.Dense(2)(keras.layers.Flatten()(image))
    model = keras.Model(image, keras.layers.Activation("softmax", dtype="float16")(scores))
    found = with_logits(model, squares)(images())
    assert found.dtype == tf.float32 and np.isfinite(found).all()


def test_a_model_of_integers_needs_their_range():
    image = keras.Input(SHAPE, dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255)(image)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(scaled)))
    with pytest.raises(ValueError, match=r"takes uint8 images: give pixels=\(0, 255\)"):
        on_unit_images(model, SHAPE, (0.0, 1.0))
    assert on_unit_images(model, SHAPE, (0.0, 255.0)).output_shape == (None, 2)
