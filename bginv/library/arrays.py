"""Images and labels of programs, as arrays; what cannot be one is told in a sentence."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from bginv.errors import UserError
from bginv.nn.pixel_range import BYTES, SYMMETRIC, UNIT, Range

LEAST_WHITE = 32.0
"""Of floats up to 255: what is less bright might as well be [0, 1] that left it a little."""
MOST_CLASSES = 100_000
"""Larger numbers are no class numbers, but something like the numbers of records."""

SHOWN_LETTERS = 80
TEXT, ONE_HOT, CLASSES = "text", "one-hot rows", "class numbers"
BITS, NUMBERS = "floats of 0 and 1", "floats"
"""What labels may be."""


def array_of(values: Any, what: str) -> np.ndarray:
    """Anything that NumPy takes, as an array of booleans, numbers or text.

    Args:
        values: an array or tensor, a list, a column of a data frame, or a dict of one of them.
        what: they are, for messages.

    Raises:
        UserError: something else, such as items of several shapes, or what is missing.
    """
    if isinstance(values, Mapping):
        if len(values) != 1:
            raise UserError(
                f"{what} must be one tensor; received a dict of "
                f"{', '.join(map(str, values)) or 'none'}: leave one"
            )
        (values,) = values.values()
    try:
        array = np.asarray(values)
        if array.dtype == object:  # of equal arrays, or of what was missing somewhere
            array = np.array(array.tolist())
    except Exception as error:  # as many kinds as there are packages of arrays
        raise UserError(
            f"{what} must be one array, its items of one shape and kind; received "
            f"{type(values).__name__} that makes none: stack them"
        ) from error
    if array.dtype == tf.bfloat16.as_numpy_dtype:
        return array.astype(np.float32)
    if array.dtype.kind not in "biufUS":
        raise UserError(
            f"{what} must be numbers or text, none of them missing; received {array.dtype} of "
            f"shape {array.shape}"
        )
    return array


def range_of(pixels: Any) -> Range | None:
    """The argument `pixels`, checked; None stays.

    Raises:
        UserError: no two finite numbers, of which the second is larger.
    """
    if pixels is None:
        return None
    pixels = getattr(pixels, "pixels", pixels)  # a `PixelRange`, as results have it
    try:
        low, high = map(float, pixels)
    except (TypeError, ValueError, OverflowError):
        low = high = math.nan
    if not (math.isfinite(high - low) and low < high):
        raise UserError(
            "pixels must be the least and the largest value that the model takes, such as "
            f"(0, 255); received {_short(pixels)}"
        )
    return low, high


def pixels_of(images: Any, what: str, pixels: Range | None = None) -> np.ndarray:
    """Images as uint8 [N, H, W, C]; see `as_dataset`.

    Args:
        images: see `array_of`.
        what: they are, for messages.
        pixels: a range that floats may have, where they leave [0, 1].

    Raises:
        UserError: another rank or dtype, none at all, values outside of the range, or bytes that
            are 0 and 1 alone.
    """
    array = array_of(images, f"{what} images")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.dtype.kind in "US":
        raise UserError(
            f"{what} images must be [N, H, W, C]; received {array.shape} of {array.dtype}"
        )
    if not array.size:
        raise UserError(f"{what} images are none: received {array.shape}")
    low, high = array.min(), array.max()
    if not np.isfinite([low, high]).all():
        raise UserError(f"{what} images hold NaN or infinity: leave those images out")
    if array.dtype.kind in "iu" and high == 1:
        raise UserError(
            f"{what} images are {array.dtype} of 0 and 1, where 255 is white: give booleans or "
            "floats"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "f":
        least, most = _told_by(array, what, pixels)
        return np.round((array.astype(np.float64) - least) * (255 / (most - least))).astype(
            np.uint8
        )
    if 0 <= low and high <= 255:
        return array.astype(np.uint8)
    raise UserError(
        f"{what} images must be uint8, or other numbers from 0 to 255; received {array.dtype} "
        f"from {low:g} to {high:g}: scale them, or cast them"
    )


def range_of_floats(images: Mapping[str, np.ndarray], pixels: Range | None) -> Range | None:
    """The range that splits of floats have; None where no split is of floats.

    Raises:
        UserError: splits of several ranges; it names both.
    """
    floats = {name: own for name, own in images.items() if own.dtype.kind == "f" and own.size}
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


def labels_of(
    splits: Mapping[str, Any], train: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels of each split, and names of the classes; none of numbers to tell.

    Args:
        splits: see `as_dataset`, by name.
        train: the name of the split whose classes count.

    Raises:
        UserError: another shape, two kinds, or what stands for no class.
    """
    arrays = {name: _label_array(own, f"{name} labels") for name, own in splits.items()}
    kind = _kind_of_all(arrays, train)
    if kind == TEXT:
        return _numbered(arrays, train)
    if kind == ONE_HOT:
        width = arrays[train].shape[1]
        for name, own in arrays.items():
            if own.shape[1] != width:
                raise UserError(
                    f"{name} labels have {own.shape[1]} columns, those of {train} {width}"
                )
        return {name: own.argmax(1) for name, own in arrays.items()}, _digits(width)
    if kind == NUMBERS:
        return {name: _rows(own, f"{name} labels") for name, own in arrays.items()}, ()
    numbers = {name: _column(own, f"{name} labels") for name, own in arrays.items()}
    for name, own in numbers.items():
        if own.min(initial=0) < 0 or own.max(initial=0) >= MOST_CLASSES:
            raise UserError(
                f"{name} labels must be class numbers from 0 on; received {own.min()} to "
                f"{own.max()}: give 0 to K-1, or the classes' names as text"
            )
    least = 2 if kind == BITS else 1
    count = max(least, *(int(own.max(initial=0)) + 1 for own in numbers.values()))
    return {name: own.astype(np.int64) for name, own in numbers.items()}, _digits(count)


def _label_array(labels: Any, what: str) -> np.ndarray:
    """Labels as an array, names of classes as str."""
    array = array_of(labels, what)
    if not array.size:
        raise UserError(f"{what} are none: received {array.shape}")
    if array.dtype.kind == "f" and not (np.abs(array) <= np.finfo(np.float32).max).all():
        raise UserError(f"{what} hold NaN, infinity or more than float32 can: leave those out")
    if array.dtype.kind not in "US":
        return array
    words = np.asarray(labels, object).ravel().tolist()
    if not all(isinstance(own, str | bytes) for own in words):  # NumPy makes text of them
        raise UserError(f"{what} must be all text or all numbers; received both")
    text = [own if isinstance(own, str) else own.decode(errors="backslashreplace") for own in words]
    return np.array(text).reshape(array.shape)


def _kind_of_all(arrays: Mapping[str, np.ndarray], train: str) -> str:
    """What labels are; floats of 0 and 1 are what other splits' labels are."""
    kinds = {name: _kind(own) for name, own in arrays.items()}
    found = set(kinds.values())
    if len(found) == 1:
        return kinds[train]
    if all(own.dtype.kind == "f" for own in arrays.values()):
        return NUMBERS
    if found == {CLASSES, BITS}:
        return BITS
    other = next(name for name, kind in kinds.items() if kind != kinds[train])
    raise UserError(
        f"{other} labels are {kinds[other]} {arrays[other].shape}, those of {train} are "
        f"{kinds[train]} {arrays[train].shape}: give all in one form"
    )


def _kind(labels: np.ndarray) -> str:
    if labels.dtype.kind == "U":
        return TEXT
    if _is_one_hot(labels):
        return ONE_HOT
    if labels.dtype.kind != "f":
        return CLASSES
    return BITS if np.isin(labels, (0, 1)).all() else NUMBERS


def _is_one_hot(labels: np.ndarray) -> bool:
    if labels.ndim != 2 or labels.shape[1] < 2:
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all())


def _column(labels: np.ndarray, what: str) -> np.ndarray:
    """Labels [N] of labels [N] or [N, 1]."""
    if labels.ndim == 1 or labels.ndim == 2 and labels.shape[1] == 1:
        return labels.reshape(-1)
    raise UserError(
        f"{what} must be [N], [N, 1] or one-hot rows [N, K]; received {labels.dtype} {labels.shape}"
    )


def _rows(labels: np.ndarray, what: str) -> np.ndarray:
    """Numbers [N, D] of numbers [N] or [N, D]."""
    if labels.ndim in (1, 2):
        return labels.reshape(len(labels), -1)
    raise UserError(f"{what} must be [N] or [N, D]; received {labels.dtype} {labels.shape}")


def _numbered(
    arrays: Mapping[str, np.ndarray], train: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Numbers of the training split's classes, in the order of their names."""
    held = {name: _column(own, f"{name} labels").tolist() for name, own in arrays.items()}
    names = sorted(set(held[train]))
    for name, own in held.items():
        if more := sorted(set(own) - set(names)):
            raise UserError(
                f"{name} labels hold {_short(more[0])}, a class that {train} does not have; it has "
                f"{_short(names)}"
            )
    number = {name: place for place, name in enumerate(names)}
    found = {name: np.array([number[own] for own in words]) for name, words in held.items()}
    return found, tuple(names)


def _digits(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _short(value: Any) -> str:
    """What was received, on one line and not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}..."
