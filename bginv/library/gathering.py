"""All records of what gives them one by one, or in batches."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bginv.errors import UserError, first_line
from bginv.library.arrays import array_of


def records_of(data: Any, name: str) -> tuple[Any, Any]:
    """Images and labels of a split.

    Args:
        data: such a pair, a `tf.data.Dataset` of pairs, in batches or not, or a
            `keras.utils.PyDataset`.
        name: of the split, for messages.

    Raises:
        UserError: something else, no element, or no end.
    """
    if isinstance(data, tf.data.Dataset):
        return _joined(_elements_of_tf(data, name), name)
    if isinstance(data, keras.utils.PyDataset):
        return _joined(_elements_of_keras(data, name), name)
    return _pair(data, name)


def _pair(element: Any, name: str, remedy: str = "") -> tuple[Any, Any]:
    """An element's images and labels."""
    if isinstance(element, tuple | list) and len(element) == 3:
        raise UserError(
            f"data: {name} has weights, which nothing here uses: leave them out{remedy}"
        )
    if not (isinstance(element, tuple | list) and len(element) == 2):
        received = type(element).__name__
        if isinstance(element, tuple | list | Mapping):
            received += f" of {len(element)}"
        raise UserError(f"data: {name} must give (image, label) pairs; received {received}")
    return element[0], element[1]


def _elements_of_tf(data: tf.data.Dataset, name: str) -> Iterator[tuple[Any, Any]]:
    remedy = " with .map(lambda image, label, weight: (image, label))"
    _pair(data.element_spec, name, remedy)
    if data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise UserError(f"data: {name}, a tf.data.Dataset, must have an end: leave repeat() out")
    try:
        yield from data
    except tf.errors.OpError as error:
        raise UserError(
            f"data: {name}, a tf.data.Dataset, fails when it is read: {first_line(error)}"
        ) from error


def _elements_of_keras(data: keras.utils.PyDataset, name: str) -> Iterator[tuple[Any, Any]]:
    if data.num_batches is None:
        raise UserError(f"data: {name}, a PyDataset, must have an end: its num_batches is None")
    for number in range(data.num_batches):
        yield _pair(data[number], name)


def _joined(elements: Iterator[tuple[Any, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [
        (array_of(image, f"{name} images"), array_of(label, f"{name} labels"))
        for image, label in elements
    ]
    if not pairs:
        raise UserError(f"data: {name} has no element")
    join = np.concatenate if all(_is_batch(*pair) for pair in pairs) else np.stack
    images, labels = zip(*pairs, strict=True)
    try:
        return join(images), join(labels)
    except ValueError as error:
        shapes = ", ".join(sorted({str(own.shape) for pair in pairs for own in pair})[:4])
        raise UserError(
            f"{name} must give images of one size, and labels of one shape; received {shapes}"
        ) from error


def _is_batch(images: np.ndarray, labels: np.ndarray) -> bool:
    """Whether an element is a batch; grey batches have as many axes as one colour image."""
    if images.ndim != 3:
        return images.ndim == 4 and labels.ndim > 0
    one_colour_image = images.shape[-1] in (1, 3, 4) and labels.ndim < 2
    return labels.ndim > 0 and len(labels) == len(images) and not one_colour_image
