"""Data as programs have it, as a `Dataset`."""

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from bginv.data.catalog import load_data, takes_any_size
from bginv.data.sources import ArraySource, Dataset, Source, split_off_test

Arrays: TypeAlias = tuple[Any, Any]
Data: TypeAlias = str | os.PathLike | Dataset | Arrays | Mapping[str, Arrays] | tf.data.Dataset
IN_MEMORY = "arrays"
TRAIN = "train"


def as_dataset(data: Data, image_size: int | None = None) -> Dataset:
    """Whatever holds images and labels, as a data set.

    Images are uint8, or floats in [0, 1], which are rounded to multiples of 1/255:
    [N, H, W] or [N, H, W, C]. Labels are class numbers [N] or [N, 1], names of classes [N], one-hot
    rows [N, K], floats of 0 and 1 alone, or other floats [N] or [N, D], which a regressor is to
    tell.

    Args:
        data: a name or folder, see `load_data`; a `Dataset`; `(images, labels)`, of which a quarter
            becomes the test; `((images, labels), (images, labels))`, to train and to test, as
            `keras.datasets` has it; a mapping of "train" and the tests' names to such pairs; or a
            `tf.data.Dataset` of pairs, in batches or not, which is taken into memory.
        image_size: of the images of a name or folder that come in any size.

    Raises:
        ValueError: something else, or see `load_data`.
    """
    match data:
        case Dataset():
            return data
        case str() | os.PathLike():
            name = os.fspath(data)
            return load_data(name, image_size=image_size if takes_any_size(name) else None)
        case Mapping():
            return _of_splits(dict(data))
        case tf.data.Dataset():
            return _of_splits({TRAIN: _gathered(data)})
        case ((_, _) as train, (_, _) as test):
            return _of_splits({TRAIN: train, "clean": test})
        case (images, labels):
            return _of_splits({TRAIN: (images, labels)})
    raise ValueError(
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
        case ((_, _), (_, _)):
            return True
        case (_, _):
            return False
    return True


def _of_splits(splits: dict[str, Arrays]) -> Dataset:
    if TRAIN not in splits:
        raise ValueError(f"data needs a split named {TRAIN!r}; received {', '.join(splits)}")
    splits = {
        name: _gathered(pair) if isinstance(pair, tf.data.Dataset) else pair
        for name, pair in splits.items()
    }
    labels, class_names = _labels({name: pair[1] for name, pair in splits.items()})
    sources: dict[str, Source] = {
        name: ArraySource(pixels_of(images, name), labels[name])
        for name, (images, _) in splits.items()
    }
    train = sources.pop(TRAIN)
    if not sources:
        train, sources["clean"] = split_off_test(train)
    for name, source in sources.items():
        if source.image_shape != train.image_shape:
            raise ValueError(
                f"images of {name} are {source.image_shape}, those to train on {train.image_shape}"
            )
    return Dataset(IN_MEMORY, train, sources, class_names, train.image_shape)


def pixels_of(images: Any, what: str) -> np.ndarray:
    """Images as uint8 [N, H, W, C]; see `as_dataset`.

    Args:
        images: anything that NumPy takes.
        what: they are, for messages.

    Raises:
        ValueError: another rank or dtype, values outside [0, 1], or bytes that are 0 and 1 alone.
    """
    array = np.asarray(images)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4:
        raise ValueError(f"{what} images must be [N, H, W, C]; received {array.shape}")
    if array.dtype == np.uint8:
        if array.max(initial=0) == 1:
            raise ValueError(
                f"{what} images are uint8 of 0 and 1, where 255 is white: give booleans or floats"
            )
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind != "f" or not (low >= 0 and high <= 1):
        raise ValueError(
            f"{what} images must be uint8, or floats in [0, 1]; received {array.dtype} from "
            f"{low:g} to {high:g}: scale them"
        )
    return np.round(array * 255).astype(np.uint8)


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
    if not (isinstance(spec, tuple) and len(spec) == 2):
        raise ValueError(f"a tf.data.Dataset must give (image, label) pairs; received {spec}")
    if data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("a tf.data.Dataset must have an end: leave repeat() out")
    pairs = list(data.as_numpy_iterator())
    shape, label_rank = spec[0].shape, spec[1].shape.rank
    # batches of grey images without a channel have rank 3, as single colour images do
    batched = shape.rank == 4 or (label_rank == 1 and shape[0] is None)
    join = np.concatenate if batched else np.stack
    return join([image for image, _ in pairs]), join([label for _, label in pairs])
