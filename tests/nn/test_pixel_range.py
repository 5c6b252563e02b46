import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.nn.pixel_range import (
    ANSWERS,
    ASSUMED,
    DATA,
    GIVEN,
    LAYERS,
    PixelRange,
    find_pixel_range,
    range_of_answers,
    range_of_layers,
)

layers, applications = keras.layers, keras.applications
SHAPE = (12, 12, 3)
UNIT, BYTES, SYMMETRIC = (0, 1), (0, 255), (-1, 1)


def behind(*front: keras.layers.Layer) -> keras.Model:
    """A small classifier behind some layers."""
    own = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    return keras.Sequential([keras.Input(SHAPE), *front, *own])


def behind_function(preprocess) -> keras.Model:
    image = keras.Input(SHAPE)
    return keras.Model(image, behind()(preprocess(image)))


def inside(*own: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(SHAPE), *own])


def normalized(mean: float, deviation: float) -> keras.Model:
    return behind(layers.Normalization(mean=[mean] * 3, variance=[deviation**2] * 3))


def with_statistics(mean: float, deviation: float) -> keras.Model:
    model = behind(layers.BatchNormalization())
    ones = np.ones(3)
    model.layers[0].set_weights([ones, 0 * ones, mean * ones, deviation**2 * ones])
    return model


class Divided(keras.Model):
    """A subclassed model, whose code alone tells what it does to pixels."""

    def __init__(self):
        super().__init__()
        self.convolution = layers.Conv2D(4, 3)
        self.pool = layers.GlobalAveragePooling2D()

    def call(self, images):
        return self.pool(self.convolution(images / 255.0))


@pytest.mark.parametrize(
    ("build", "pixels"),
    [
        (lambda: behind(layers.Rescaling(1 / 255)), BYTES),
        (lambda: behind(layers.Rescaling(1 / 256)), BYTES),
        (lambda: behind(layers.Rescaling(1 / 127.5, -1)), BYTES),
        (lambda: behind(layers.Rescaling(1 / 65535)), (0, 65535)),
        (lambda: behind(layers.Rescaling(2, -1)), UNIT),
        (lambda: behind(layers.Rescaling(255)), UNIT),
        (lambda: behind(layers.Rescaling(0.5, 0.5)), SYMMETRIC),
        (lambda: behind(layers.Resizing(9, 9), layers.Rescaling(1 / 255)), BYTES),
        (lambda: behind(inside(inside(layers.RandomFlip(), layers.Rescaling(1 / 255)))), BYTES),
        (lambda: normalized(120, 60), BYTES),
        (lambda: normalized(0.45, 0.22), UNIT),
        (lambda: with_statistics(118, 60), BYTES),
        (lambda: with_statistics(0.5, 0.3), UNIT),
        (lambda: behind(layers.BatchNormalization()), None),
        (lambda: behind_function(applications.vgg16.preprocess_input), BYTES),
        (lambda: behind_function(applications.resnet_v2.preprocess_input), BYTES),
        (lambda: behind_function(applications.densenet.preprocess_input), BYTES),
        (lambda: behind(layers.Lambda(lambda images: images / 255)), BYTES),
        (lambda: behind(layers.ReLU(1.0)), UNIT),
        (Divided, BYTES),
        (behind, None),
    ],
)  # fmt: skip
def test_first_layers_tell_the_range(build, pixels):
    model = build()
    found = range_of_layers(model, SHAPE)
    assert (found and found.pixels) == pixels
    again = range_of_layers(model, SHAPE)
    assert again == found
    assert "call" not in vars(model.layers[0])


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("EfficientNetB0", BYTES),
        ("EfficientNetV2B0", BYTES),
        ("MobileNetV3Small", BYTES),
        ("MobileNetV2", None),
    ],
)
def test_networks_of_keras_applications(name, pixels):
    model = getattr(applications, name)(weights=None, input_shape=(32, 32, 3), classes=2)
    found = range_of_layers(model)
    assert (found and found.pixels) == pixels


def test_a_model_of_integers_takes_bytes():
    image = keras.Input(SHAPE, dtype="uint8")
    found = range_of_layers(keras.Model(image, behind()(image)))
    assert (found.pixels, found.source) == (BYTES, LAYERS)


def test_a_model_that_is_probed_answers_as_before():
    model = behind(layers.Rescaling(1 / 255))
    images = np.random.default_rng(0).uniform(0, 255, (3, *SHAPE)).astype(np.float32)
    before = model.predict(images, verbose=0)
    range_of_layers(model)
    np.testing.assert_array_equal(model.predict(images, verbose=0), before)
    np.testing.assert_allclose(model(images), before, rtol=1e-5)


LABELS = np.arange(60) % 2
IMAGES = np.float32(0.25 + 0.5 * LABELS[:, None, None, None] + np.zeros(SHAPE))
"""Dark and bright ones."""
ASSUMED_UNIT = PixelRange(0.0, 1.0, ASSUMED, "")


def threshold_at(value: float, width: float):
    """Scores of the class of bright images, sure so far from the threshold."""
    return lambda images: ((images.mean((1, 2, 3)) - value) / width)[:, None]


@pytest.mark.parametrize(
    ("value", "width", "pixels"),
    [(0.5, 0.1, UNIT), (127.5, 25.0, BYTES), (0.0, 0.2, SYMMETRIC)],
)
def test_answers_tell_the_range(value, width, pixels):
    found = range_of_answers(threshold_at(value, width), IMAGES, LABELS, ASSUMED_UNIT)
    assert found.pixels == pixels
    assert found.source == (ASSUMED if pixels == UNIT else ANSWERS)
    if found.source == ANSWERS:
        assert found.reason == "100 % of 60 images are told right, in 0 to 1 50 %"


def test_answers_of_equal_rank_are_told_apart_by_their_confidence():
    images = np.full((60, *SHAPE), 0.2, np.float32)
    images[LABELS == 1, :, :6] = images[LABELS == 0, :, 6:] = 0.7

    def scores(given):  # nearly alike in [0, 1], but in the right order
        return 0.1 * (given[:, :, :6] - given[:, :, 6:]).mean((1, 2, 3))[:, None]

    for by_confidence, pixels in ((False, UNIT), (True, BYTES)):
        found = range_of_answers(scores, images, LABELS, ASSUMED_UNIT, by_confidence)
        assert found.pixels == pixels


def test_numbers_are_told_better_in_one_range():
    numbers = np.float32(IMAGES.mean((1, 2, 3)))[:, None]
    found = range_of_answers(
        lambda images: images.mean((1, 2, 3)) / 255, IMAGES, numbers, ASSUMED_UNIT
    )
    assert found.pixels == BYTES and "mean error 0 of 60 images" in found.reason


def trained_at(value: float) -> keras.Model:
    """Tells dark from bright at a mean pixel, behind no layer that tells the range."""
    model = keras.Sequential([keras.Input(SHAPE), layers.GlobalAveragePooling2D(), layers.Dense(1)])
    model.layers[-1].set_weights([np.full((3, 1), 10 / 3 / value), np.full(1, -10.0)])
    return model


@pytest.mark.parametrize(
    ("value", "given", "came_in", "pixels", "source"),
    [
        (0.5, None, None, UNIT, ASSUMED),
        (127.5, None, None, BYTES, ANSWERS),
        (127.5, None, (0.0, 255.0), BYTES, DATA),
        (0.5, None, (0.0, 255.0), UNIT, ANSWERS),
        (127.5, (0, 255), None, BYTES, GIVEN),
    ],
)
def test_all_that_tells_is_weighed(value, given, came_in, pixels, source):
    found = find_pixel_range(trained_at(value), IMAGES, LABELS, given, came_in)
    assert (found.pixels, found.source) == (pixels, source)


def test_an_untrained_model_is_told_by_its_layers_or_by_its_images():
    assert find_pixel_range(behind(), IMAGES, LABELS).source == ASSUMED
    assert find_pixel_range(behind(), IMAGES, LABELS, came_in=(0.0, 255.0)).source == DATA
    assert find_pixel_range(behind(layers.Rescaling(1 / 255)), IMAGES, LABELS).source == LAYERS


@pytest.mark.parametrize(
    ("build", "given", "came_in", "told"),
    [
        (lambda: trained_at(127.5), (0, 1), None, r"=\(0, 1\), but .* takes 0 to 255 \(100 %"),
        (lambda: behind(layers.Rescaling(1 / 255)), (0, 1), None, "leave pixels out"),
        (lambda: behind(layers.Rescaling(2, -1)), (0, 255), None, r"takes 0 to 1 \(before"),
        (lambda: behind(layers.Rescaling(1 / 255)), None, (0.0, 1.0), r"give .* pixels=\(0, 255\)"),
    ],
)  # fmt: skip
def test_what_contradicts_a_model_is_refused(build, given, came_in, told):
    with pytest.raises(ValueError, match=told):
        find_pixel_range(build(), IMAGES, LABELS, given, came_in)


def test_images_are_scaled_to_the_range():
    found = PixelRange(-1.0, 1.0, GIVEN, "")
    np.testing.assert_array_equal(found.of_unit(np.float32([0, 0.5, 1])), [-1, 0, 1])
    np.testing.assert_array_equal(found.of_unit(tf.constant([0.0, 1.0])), [-1, 1])
