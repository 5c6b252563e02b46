"""A user's model, of any range of pixels, as one of images in [0, 1]."""

import keras
import tensorflow as tf
from absl import logging

from bginv.data.sources import Dataset, sample_rows
from bginv.errors import UserError, first_line
from bginv.nn.pixel_range import (
    ASSUMED,
    GIVEN,
    SAMPLE,
    UNIT,
    PixelRange,
    Range,
    find_pixel_range,
    range_of_layers,
)


def pixels_of_model(
    model: keras.Model,
    dataset: Dataset,
    given: Range | None = None,
    by_confidence: bool = False,
) -> PixelRange:
    """The range of pixels that a model takes, found out once and said; see `find_pixel_range`.

    Args:
        model: of any kind; a subclassed one is built by it.
        dataset: some of its training images are looked at.
        given: the range that the caller asks for.
        by_confidence: see `range_of_answers`.

    Raises:
        UserError: a model for other images, or a range that contradicts it.
    """
    if given and not given[0] < given[1]:
        raise UserError(f"pixels must be a range such as (0, 255); received {given}")
    if not _answers(on_images(model, dataset.image_shape).output_shape, dataset):
        told = range_of_layers(model, dataset.image_shape)
        return told or PixelRange(*(given or UNIT), ASSUMED, "its outputs do not fit the labels")
    source = dataset.train.without_masks()
    records = source.gather(tf.constant(sample_rows(source, SAMPLE)))
    images, labels = records["image"].numpy(), records["label"].numpy()
    found = find_pixel_range(model, images, labels, given, dataset.came_in, by_confidence)
    say = logging.info if found.pixels == UNIT or found.source == GIVEN else logging.warning
    say("%s takes pixels of %s", model.name, found)
    return found


def _answers(output_shape: object, dataset: Dataset) -> bool:
    """Whether a model of these outputs answers what the labels of a data set are."""
    if not isinstance(output_shape, tuple) or len(output_shape) != 2:
        return False
    if dataset.regression:
        return output_shape[1] == dataset.train.labels.shape[1]
    return max(output_shape[1], 1 if dataset.multi_label else 2) >= dataset.num_classes


def on_unit_images(
    model: keras.Model, image_shape: tuple[int, int, int], pixels: Range, name: str = "classifier"
) -> keras.Model:
    """The model on images in [0, 1]; the weights are its own.

    Args:
        model: of any kind; a subclassed one is built by it.
        image_shape: (H, W, C).
        pixels: the range of the images that the model takes.
        name: of the new model.

    Raises:
        UserError: the model cannot take such images, or takes integers, as which all images in
            [0, 1] are black.
    """
    low, high = pixels
    if takes_integers(model) and high - low <= 1:
        raise UserError(
            f"{model.name} takes {model.inputs[0].dtype} images: give pixels=(0, 255), or whatever "
            "their range is"
        )
    return on_images(model, image_shape, pixels, name)


def on_images(
    model: keras.Model,
    image_shape: tuple[int, int, int],
    pixels: Range = UNIT,
    name: str = "classifier",
) -> keras.Model:
    """A model as a graph of images of one shape; see `on_unit_images`."""
    low, high = pixels
    _check_shape(model, image_shape)
    image = x = keras.Input(image_shape, name="image")
    if pixels != UNIT:
        x = keras.layers.Rescaling(high - low, low, name="pixels")(x)
    try:
        outputs = model(x)
    except Exception as error:  # as many kinds as there are layers
        height, width, channels = image_shape
        raise UserError(
            f"{model.name} cannot take images of {height}x{width}x{channels}: {first_line(error)}"
        ) from error
    return keras.Model(image, outputs, name=name)


def _check_shape(model: keras.Model, image_shape: tuple[int, int, int]) -> None:
    """Raise if a model tells that it takes other images.

    Raises:
        UserError: it names both shapes, and what to do.
    """
    taken = getattr(model, "input_shape", None)
    if not isinstance(taken, tuple) or len(taken) != 4:
        return
    if all(own in (None, given) for own, given in zip(taken[1:], image_shape, strict=True)):
        return
    wanted, given = (
        "x".join("any" if side is None else str(side) for side in shape)
        for shape in (taken[1:], image_shape)
    )
    remedy = "resize them, or build the model for these"
    if taken[3] != image_shape[2]:
        remedy = f"give images of {taken[3]} channel{'s' * (taken[3] != 1)} as an array"
    elif taken[1] != taken[2]:
        remedy = "images of a folder become squares: give an array [N, H, W, C] of this size"
    raise UserError(f"{model.name} takes images of {wanted}, and these are {given}: {remedy}")


def takes_integers(model: keras.Model) -> bool:
    """Whether a model rounds its images, so that it has no gradient by them."""
    inputs = getattr(model, "inputs", None) or ()
    return any("int" in tensor.dtype for tensor in inputs)
