"""Data as programs have it, as a `Dataset`."""

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.catalog import load_data, takes_any_size
from bginv.data.sources import ArraySource, Dataset, Source, split_off_test
from bginv.errors import UserError
from bginv.library.arrays import array_of, labels_of, pixels_of, range_of, range_of_floats
from bginv.library.gathering import records_of
from bginv.library.tables import frames_of, hugging_face_records, is_frame, is_hugging_face
from bginv.nn.pixel_range import Range

Arrays: TypeAlias = tuple[Any, Any]
Split: TypeAlias = Arrays | tf.data.Dataset | keras.utils.PyDataset
Data: TypeAlias = str | os.PathLike | Dataset | Split | tuple[Split, Split] | Mapping[str, Split]
IN_MEMORY = "arrays"
TRAIN = "train"


def as_dataset(
    data: Data,
    image_size: int | None = None,
    pixels: Range | None = None,
    groups: str | os.PathLike | None = None,
) -> Dataset:
    """Whatever holds images and labels, as a data set.

    Images [N, H, W] or [N, H, W, C] are uint8, or floats in [0, 1], up to 255, in [-1, 1] or in the
    range that `pixels` tells; they are rounded to 256 steps of it. Labels are class
    numbers [N] or [N, 1], names of classes [N], one-hot rows [N, K], floats of 0 and 1 alone, or
    other floats [N] or [N, D], which a regressor is to tell.

    Args:
        data: a name or folder, see `load_data`; a `Dataset`; a pandas DataFrame of paths and
            classes, see `load_table`, or one for each split; `(images, labels)`, of which a quarter
            becomes the test; `((images, labels), (images, labels))`, to train and to test, as
            `keras.datasets` has it; a mapping of "train" and the tests' names to such pairs; or, in
            the place of any pair, a `tf.data.Dataset` of pairs, in batches or not, a
            `keras.utils.PyDataset`, or a split of Hugging Face's `datasets`, which are taken into
            memory. Names of the classes are those that `image_dataset_from_directory` gives.
        image_size: of the images of a name, a folder or a list that come in any size.
        pixels: the range that the model takes; images of floats outside of [0, 1] have it too.
            None takes that of `KNOWN` in which they are.
        groups: places of a folder's images, see `load_data`.

    Raises:
        UserError: something else, or see `load_data`.
    """
    pixels = range_of(pixels)
    if groups is not None and not isinstance(data, str | os.PathLike):
        raise UserError(
            f"groups are for the folder of a data set; received a {type(data).__name__}: in "
            "Python, give its sources places (`Source.with_places`)"
        )
    match data:
        case Dataset():
            return data
        case str() | os.PathLike():
            name = os.fspath(data)
            side = image_size if takes_any_size(name) else None
            return load_data(name, image_size=side, groups=groups)
    splits = _splits(data)
    if any(map(is_frame, splits.values())):
        if not all(map(is_frame, splits.values())):
            raise UserError("data: give every split as a data frame, or none")
        return frames_of(splits, image_size)
    return _of_splits(splits, pixels, image_size)


def is_split(data: Data) -> bool:
    """Whether data comes with a test, or `as_dataset` has to split one off."""
    own = isinstance(data, Dataset | str | os.PathLike) or is_frame(data)
    return own or len(_splits(data)) > 1


def _splits(data: Any) -> dict[str, Any]:
    """The training split and the tests, by name.

    Raises:
        UserError: no form of data.
    """
    match data:
        case Mapping():
            if TRAIN not in data or not all(isinstance(name, str) and name for name in data):
                raise UserError(
                    f"data needs a split named {TRAIN!r}, and names of tests; received "
                    f"{', '.join(map(str, data)) or 'none'}"
                )
            return dict(data)
        case _ if _is_one_object(data):
            return {TRAIN: data}
        case (train, test) if _is_split_itself(train) and _is_split_itself(test):
            return {TRAIN: train, "clean": test}
        case (_, _) | (_, _, _):
            return {TRAIN: data}
    raise UserError(
        "data must be a name, a folder, (images, labels), a pair of such pairs, a mapping of split "
        "names to them, a tf.data.Dataset, a keras.utils.PyDataset, a pandas DataFrame or a "
        "datasets.Dataset; received "
        f"{type(data).__name__}"
    )


def _is_one_object(data: Any) -> bool:
    """Whether an object alone holds images and labels of a split."""
    kinds = tf.data.Dataset | keras.utils.PyDataset
    return isinstance(data, kinds) or is_frame(data) or is_hugging_face(data)


def _is_split_itself(member: Any) -> bool:
    """Whether a member of a pair is a split, and not the images or labels of one."""
    match member:
        case _ if _is_one_object(member):
            return True
        case (images, _) | (images, _, _):
            return _num_axes(images) >= 3 or isinstance(member, tuple) and _num_axes(images) > 0
    return False


def _num_axes(values: Any) -> int:
    """Axes of an array, or of lists in lists, by their first items."""
    if hasattr(values, "shape"):
        return len(values.shape)
    if isinstance(values, list | tuple):
        return 1 + (_num_axes(values[0]) if values else 0)
    return 0


def _of_splits(splits: Mapping[str, Any], pixels: Range | None, image_size: int | None) -> Dataset:
    pairs, told = {}, {}
    for name, own in splits.items():
        if is_hugging_face(own):
            images, labels, told[name] = hugging_face_records(own, name, image_size)
            pairs[name] = images, labels
        else:
            pairs[name], told[name] = records_of(own, name), getattr(own, "class_names", None)
    arrays = {name: array_of(own, f"{name} images") for name, (own, _) in pairs.items()}
    held = {name: pixels_of(own, name, pixels) for name, own in arrays.items()}
    came_in = range_of_floats(arrays, pixels)
    labels, class_names = labels_of({name: own for name, (_, own) in pairs.items()}, TRAIN)
    class_names = _told_names(told, class_names)
    for name, own in held.items():
        if len(own) != len(labels[name]):
            raise UserError(f"{name} has {len(own)} images and {len(labels[name])} labels")
        if own.shape[1:] != held[TRAIN].shape[1:]:
            raise UserError(
                f"images of {name} are {own.shape[1:]}, those to train on {held[TRAIN].shape[1:]}"
            )
    widths = {own.shape[1:] for own in labels.values()}
    if len(widths) > 1:
        raise UserError(f"labels of all splits need one shape; received {sorted(widths)}")
    sources: dict[str, Source] = {
        name: ArraySource(own, labels[name]) for name, own in held.items()
    }
    train = sources.pop(TRAIN)
    if not sources:
        train, sources["clean"] = split_off_test(train)
    shape = train.image_shape
    dataset = Dataset(IN_MEMORY, train, sources, class_names, shape, came_in=came_in)
    _warn_of_unseen_classes(dataset)
    return dataset


def _told_names(told: Mapping[str, Any], class_names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that the training split tells of its classes, where they are as many or more.

    Raises:
        UserError: another split tells others.
    """
    own = told[TRAIN]
    for name, others in told.items():
        if own and others and list(others) != list(own):
            raise UserError(
                f"data: {name} has the classes {', '.join(map(str, others))[:80]}, and {TRAIN} "
                f"{', '.join(map(str, own))[:80]}: give both the same class_names"
            )
    fits = own and class_names and len(class_names) <= len(own)
    return tuple(map(str, own)) if fits else class_names


def _warn_of_unseen_classes(dataset: Dataset) -> None:
    """Warn of classes that a test has and the training images do not show."""
    if dataset.regression:
        return
    seen = np.unique(dataset.train.labels)
    for name, source in dataset.tests.items():
        unseen = np.setdiff1d(source.labels, seen)
        if len(unseen):
            logging.warning(
                "data: %s has images of class %s, which no training image shows",
                *(name, dataset.class_names[unseen[0]]),
            )
