"""Data as programs have it, as a `Dataset`."""

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from bginv.data.catalog import load_data, takes_any_size
from bginv.data.sources import ArraySource, Dataset, Source, split_off_test
from bginv.errors import UserError

Arrays: TypeAlias = tuple[Any, Any]
Data: TypeAlias = str | os.PathLike | Dataset | Arrays | Mapping[str, Arrays] | tf.data.Dataset
IN_MEMORY = "arrays"
TRAIN = "train"


def as_dataset(
    data: Data, image_size: int | None = None, pixels: tuple[float, float] = (0.0, 1.0)
) -> Dataset:
    """Whatever holds images and labels, as a data set.

    Images [N, H, W] or [N, H, W, C] are uint8, floats in [0, 1], which are rounded to multiples of
    1/255, or floats up to 255 where `pixels` says so or all are whole numbers. Labels are class
    numbers [N] or [N, 1], names of classes [N], one-hot rows [N, K], floats of 0 and 1 alone, or
    other floats [N] or [N, D], which a regressor is to tell.

    Args:
        data: a name or folder, see `load_data`; a `Dataset`; `(images, labels)`, of which a quarter
            becomes the test; `((images, labels), (images, labels))`, to train and to test, as
            `keras.datasets` has it; a mapping of "train" and the tests' names to such pairs; or a
            `tf.data.Dataset` of pairs, in batches or not, which is taken into memory. Two of
            these are one to train on and a test.
        image_size: of the images of a name or folder that come in any size.
        pixels: the range that the model takes; images of floats beyond 1 may have it too.

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


def _of_splits(splits: dict[str, Any], pixels: tuple[float, float]) -> Dataset:
    if TRAIN not in splits:
        raise UserError(f"data needs a split named {TRAIN!r}; received {', '.join(splits)}")
    splits = {
        name: _gathered(pair) if isinstance(pair, tf.data.Dataset) else pair
        for name, pair in splits.items()
    }
    _check_one_range({name: pair[0] for name, pair in splits.items()})
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
    return Dataset(IN_MEMORY, train, sources, class_names, train.image_shape)


def _check_one_range(images: Mapping[str, Any]) -> None:
    """Raise if floats are in [0, 1] in one split and not in another.

    Raises:
        UserError: it names both splits.
    """
    arrays = {name: np.asarray(own) for name, own in images.items()}
    floats = {name: own for name, own in arrays.items() if own.dtype.kind == "f" and own.size}
    inside = {name: bool(own.min() >= 0 and own.max() <= 1) for name, own in floats.items()}
    if len(set(inside.values())) > 1:
        one = next(name for name, own in inside.items() if own)
        other = next(name for name, own in inside.items() if not own)
        raise UserError(
            f"{one} images are floats in [0, 1], and those of {other} reach from "
            f"{floats[other].min():g} to {floats[other].max():g}: give all in one range"
        )


def pixels_of(images: Any, what: str, pixels: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """Images as uint8 [N, H, W, C]; see `as_dataset`.

    Args:
        images: anything that NumPy takes.
        what: they are, for messages.
        pixels: a range that floats may have, where they leave [0, 1].

    Raises:
        UserError: another rank or dtype, values outside [0, 1], or bytes that are 0 and 1 alone.
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
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(array * 255).astype(np.uint8)
    if 0 <= low and high <= 255 and (array.dtype.kind in "iu" or (array == np.round(array)).all()):
        return array.astype(np.uint8)
    least, most = pixels
    if array.dtype.kind == "f" and pixels != (0.0, 1.0) and least <= low and high <= most:
        return np.round((array - least) * (255 / (most - least))).astype(np.uint8)
    raise UserError(
        f"{what} images must be uint8, floats in [0, 1], or in the range that pixels=({least:g}, "
        f"{most:g}) tells; received {array.dtype} from {low:g} to {high:g}: scale them, or cast "
        "those up to 255 to uint8"
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
