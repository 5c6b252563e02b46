"""Data as programs have it, as a `Dataset`."""

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from bginv.data.catalog import load_data, takes_any_size
from bginv.data.sources import ArraySource, Dataset, Source, split_off_test
from bginv.errors import UserError
from bginv.nn.pixel_range import BYTES, SYMMETRIC, UNIT, Range

Arrays: TypeAlias = tuple[Any, Any]
Data: TypeAlias = str | os.PathLike | Dataset | Arrays | Mapping[str, Arrays] | tf.data.Dataset
IN_MEMORY = "arrays"
TRAIN = "train"
LEAST_WHITE = 32.0
"""Of floats up to 255: what is less bright might as well be [0, 1] that left it a little."""


def as_dataset(data: Data, image_size: int | None = None, pixels: Range | None = None) -> Dataset:
    """Whatever holds images and labels, as a data set.

    Images [N, H, W] or [N, H, W, C] are uint8, or floats in [0, 1], up to 255, in [-1, 1] or in the
    range that `pixels` tells; they are rounded to 256 steps of it. Labels are class
    numbers [N] or [N, 1], names of classes [N], one-hot rows [N, K], floats of 0 and 1 alone, or
    other floats [N] or [N, D], which a regressor is to tell.

    Args:
        data: a name or folder, see `load_data`; a `Dataset`; `(images, labels)`, of which a quarter
            becomes the test; `((images, labels), (images, labels))`, to train and to test, as
            `keras.datasets` has it; a mapping of "train" and the tests' names to such pairs; or a
            `tf.data.Dataset` of pairs, in batches or not, which is taken into memory. Two of
            these are one to train on and a test.
        image_size: of the images of a name or folder that come in any size.
        pixels: the range that the model takes; images of floats outside of [0, 1] have it too.
            None takes that of `KNOWN` in which they are.

    Raises:
        UserError: something else, or see `load_data`.
    """
    match data:
        case Dataset():
            return data
        case str() | os.PathLike():
            name = os.fspath(data)
            return load_data(name, image_size=image_size if takes_any_size(name) else None)
        case Mapping():
            return _of_splits(dict(data), pixels)
        case tf.data.Dataset():
            return _of_splits({TRAIN: data}, pixels)
        case (tf.data.Dataset() as train, tf.data.Dataset() as test):
            return _of_splits({TRAIN: train, "clean": test}, pixels)
        case ((_, _) as train, (_, _) as test):
            return _of_splits({TRAIN: train, "clean": test}, pixels)
        case (images, labels):
            return _of_splits({TRAIN: (images, labels)}, pixels)
    raise UserError(
        "data must be a name, a folder, (images, labels), a pair of such pairs, a mapping of split "
        f"names to them, or a tf.data.Dataset; received {type(data).__name__}"
    )


def is_split(data: Data) -> bool:
    """Whether data comes with a test, or `as_dataset` has to split one off."""
    match data:
        case tf.data.Dataset():
            return False
        case Mapping():
            return len(data) > 1
        case (tf.data.Dataset(), tf.data.Dataset()) | ((_, _), (_, _)):
            return True
        case (_, _):
            return False
    return True


def _of_splits(splits: dict[str, Any], pixels: Range | None) -> Dataset:
    if TRAIN not in splits:
        raise UserError(f"data needs a split named {TRAIN!r}; received {', '.join(splits)}")
    splits = {
        name: _gathered(pair) if isinstance(pair, tf.data.Dataset) else pair
        for name, pair in splits.items()
    }
    came_in = _range_of_floats({name: pair[0] for name, pair in splits.items()}, pixels)
    labels, class_names = _labels({name: pair[1] for name, pair in splits.items()})
    sources: dict[str, Source] = {
        name: ArraySource(pixels_of(images, name, pixels), labels[name])
        for name, (images, _) in splits.items()
    }
    train = sources.pop(TRAIN)
    if not sources:
        train, sources["clean"] = split_off_test(train)
    for name, source in sources.items():
        if source.image_shape != train.image_shape:
            raise UserError(
                f"images of {name} are {source.image_shape}, those to train on {train.image_shape}"
            )
    shape = train.image_shape
    return Dataset(IN_MEMORY, train, sources, class_names, shape, came_in=came_in)


def _range_of_floats(images: Mapping[str, Any], pixels: Range | None) -> Range | None:
    """The range that splits of floats have; None where no split is of floats.

    Raises:
        UserError: splits of several ranges; it names both.
    """
    arrays = {name: np.asarray(own) for name, own in images.items()}
    floats = {name: own for name, own in arrays.items() if own.dtype.kind == "f" and own.size}
    found = {name: _told_by(own, name, pixels) for name, own in floats.items()}
    if len(set(found.values())) > 1:
        (one, first), (other, second) = list({own: name for name, own in found.items()}.items())[:2]
        raise UserError(
            f"{first} images are floats in [{one[0]:g}, {one[1]:g}], and those of {second} in "
            f"[{other[0]:g}, {other[1]:g}], as they reach from {floats[second].min():g} to "
            f"{floats[second].max():g}: give all in one range"
        )
    return next(iter(found.values()), None)


def _told_by(array: np.ndarray, what: str, pixels: Range | None) -> Range:
    """The range that floats have: [0, 1], bytes, or what `pixels` says; see `as_dataset`."""
    low, high = float(array.min()), float(array.max())
    if low >= 0 and high <= 1:
        return UNIT
    whole = 0 <= low and high <= 255 and (array == np.round(array)).all()
    if whole and pixels in (None, UNIT):
        return BYTES
    if pixels is None and low >= 0 and LEAST_WHITE <= high <= 255:
        return BYTES
    if pixels is None and low >= -1 and high <= 1:
        return SYMMETRIC
    if pixels not in (None, UNIT) and pixels[0] <= low and high <= pixels[1]:
        return pixels
    asked = "[-1, 1] or [0, 255]" if pixels is None else f"pixels=({pixels[0]:g}, {pixels[1]:g})"
    raise UserError(
        f"{what} images must be uint8, floats in [0, 1], or in the range of {asked}; received "
        f"{array.dtype} from {low:g} to {high:g}: scale them, or give the range that they and the "
        "model have as pixels=(low, high)"
    )


def pixels_of(images: Any, what: str, pixels: Range | None = None) -> np.ndarray:
    """Images as uint8 [N, H, W, C]; see `as_dataset`.

    Args:
        images: anything that NumPy takes.
        what: they are, for messages.
        pixels: a range that floats may have, where they leave [0, 1].

    Raises:
        UserError: another rank or dtype, values outside of the range, or bytes that are 0 and 1
            alone.
    """
    array = np.asarray(images)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4:
        raise UserError(f"{what} images must be [N, H, W, C]; received {array.shape}")
    if array.dtype.kind in "iu" and array.max(initial=0) == 1:
        raise UserError(
            f"{what} images are {array.dtype} of 0 and 1, where 255 is white: give booleans or "
            "floats"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "f" and array.size:
        low, high = _told_by(array, what, pixels)
        return np.round((array - low) * (255 / (high - low))).astype(np.uint8)
    if array.dtype.kind in "iu" and 0 <= array.min(initial=0) and array.max(initial=0) <= 255:
        return array.astype(np.uint8)
    raise UserError(
        f"{what} images must be uint8, or other numbers from 0 to 255; received {array.dtype}"
        + (f" from {array.min():g} to {array.max():g}" if array.dtype.kind in "iu" else "")
        + ": scale them, or cast them"
    )


def _labels(splits: dict[str, Any]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels of each split, and names of the classes; none of numbers to tell."""
    arrays = {name: _plain(np.asarray(labels)) for name, labels in splits.items()}
    train = arrays[TRAIN]
    if train.dtype.kind in "US":
        words = sorted(set(np.concatenate([own.ravel() for own in arrays.values()]).tolist()))
        number = {name: i for i, name in enumerate(words)}
        found = {
            split: np.array([number[name] for name in own.ravel().tolist()])
            for split, own in arrays.items()
        }
        return found, tuple(map(str, words))
    if all(_is_one_hot(own) for own in arrays.values()):
        names = tuple(map(str, range(train.shape[1])))
        return {split: own.argmax(1) for split, own in arrays.items()}, names
    if all(own.dtype.kind == "f" and np.isin(own, (0, 1)).all() for own in arrays.values()):
        bits = {split: own.reshape(-1).astype(np.int64) for split, own in arrays.items()}
        return bits, ("0", "1")
    if train.dtype.kind == "f":
        return {split: own.reshape(len(own), -1) for split, own in arrays.items()}, ()
    found = {split: own.reshape(-1).astype(np.int64) for split, own in arrays.items()}
    count = int(max(own.max() for own in found.values())) + 1
    return found, tuple(map(str, range(count)))


def _plain(labels: np.ndarray) -> np.ndarray:
    """Names as text, whatever held them."""
    if labels.dtype.kind not in "OS":
        return labels
    words = [own.decode() if isinstance(own, bytes) else own for own in labels.ravel().tolist()]
    return np.asarray(words)


def _is_one_hot(labels: np.ndarray) -> bool:
    if labels.ndim != 2 or labels.shape[1] < 2:
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all())


def _gathered(data: tf.data.Dataset) -> Arrays:
    """All images and labels of a `tf.data.Dataset` of pairs."""
    spec = data.element_spec
    if isinstance(spec, tuple) and len(spec) == 3:
        raise UserError(
            "a tf.data.Dataset of (image, label, weight) has weights, which nothing here uses: "
            "leave them out with .map(lambda image, label, weight: (image, label))"
        )
    if not (isinstance(spec, tuple) and len(spec) == 2):
        raise UserError(f"a tf.data.Dataset must give (image, label) pairs; received {spec}")
    if data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise UserError("a tf.data.Dataset must have an end: leave repeat() out")
    pairs = [(_only(image), np.asarray(label)) for image, label in data.as_numpy_iterator()]
    if not pairs:
        raise UserError("a tf.data.Dataset has no element")
    join = np.concatenate if all(_is_batch(*pair) for pair in pairs) else np.stack
    return join([image for image, _ in pairs]), join([label for _, label in pairs])


def _only(images: Any) -> np.ndarray:
    """The images of an element, which may be the one value of a dict."""
    if isinstance(images, Mapping):
        if len(images) != 1:
            raise UserError(
                f"images must be one tensor; received a dict of {', '.join(images)}: leave one"
            )
        (images,) = images.values()
    return np.asarray(images)


def _is_batch(images: np.ndarray, labels: np.ndarray) -> bool:
    """Whether an element is a batch; grey batches have as many axes as one colour image."""
    if images.ndim != 3:
        return images.ndim == 4
    one_colour_image = images.shape[-1] in (1, 3, 4) and labels.ndim < 2
    return labels.ndim > 0 and len(labels) == len(images) and not one_colour_image
