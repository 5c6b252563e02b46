"""The range of pixels that a model takes: told by its layers, else by its answers."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bginv.errors import UserError
from bginv.nn.fine_tuning import is_fresh
from bginv.nn.inference import compiled

Range = tuple[float, float]
Scores = Callable[[np.ndarray], np.ndarray]
"""Images float32 [N, H, W, C], in the range asked about, to scores [N, K] or [N, 1]."""

UNIT: Range = (0.0, 1.0)
BYTES: Range = (0.0, 255.0)
SYMMETRIC: Range = (-1.0, 1.0)
KNOWN = (UNIT, BYTES, SYMMETRIC)
DEPTHS = (255.0, 1023.0, 4095.0, 65535.0)
"""Largest values of pixels of 8, 10, 12 and 16 bits."""

LAYERS, ANSWERS, DATA, GIVEN = "layers", "answers", "data", "given"
ASSUMED = "assumed"
LARGEST_SLOPE = 0.1
"""Of layers that take bytes: a deviation of natural images is above 10 of 255."""
NEAR = 0.02
SIDE = 64
"""Of probed images, where a model takes any size."""
SURE = 3e-4
"""Largest chance at which two ranges of equal worth would differ as they do."""
LITTLE, MUCH = 0.1, 0.5
"""Of the way from guessing to certainty: no training ends with answers so little apart that are
right so often."""
SAMPLE, BATCH = 96, 32
"""Labelled images that answers are judged on."""
TELLING = 4.0
"""Ranges whose widths differ by less are taken for each other's variants."""


@dataclasses.dataclass(frozen=True)
class PixelRange:
    """The range of pixels that a model takes, and how it was found.

    Attributes:
        low: what black is.
        high: what white is.
        source: "layers", the model's first layers; "answers", what it answers on labelled images;
            "data", the range that its images came in; "given", by the caller; "assumed", where
            nothing tells.
        reason: the same in one line, for people.
    """

    low: float
    high: float
    source: str
    reason: str

    @property
    def pixels(self) -> Range:
        """Both ends."""
        return self.low, self.high

    def of_unit(self, images: Any) -> Any:
        """Images in [0, 1], an array or a tensor, in this range."""
        return images if self.pixels == UNIT else images * (self.high - self.low) + self.low

    def is_far_from(self, pixels: Range) -> bool:
        """Whether a model would take images of another range for nearly black, or for white."""
        ratio = (self.high - self.low) / (pixels[1] - pixels[0])
        return not 1 / TELLING < ratio < TELLING

    def __str__(self) -> str:
        return f"{shown(self.pixels)} ({self.reason})"


def shown(pixels: Range) -> str:
    """A range for people: "0 to 255"."""
    return f"{pixels[0]:g} to {pixels[1]:g}"


def range_of_layers(
    model: keras.Model, image_shape: Sequence[int | None] | None = None
) -> PixelRange | None:
    """The range that a model's first layers are made for; None where they do not tell.

    Plain images of the values 0, 1 and 255 go through the model, up to the first layer that
    learns. Whatever stands before that counts, on whatever depth: `Rescaling`, `Normalization`, a
    batch normalization that has seen data, operations, code in `call`.

    Args:
        model: of any kind, with one input.
        image_shape: (H, W, C) of its images; None where the model tells it.
    """
    inputs = getattr(model, "inputs", None) or ()
    if any("int" in tensor.dtype for tensor in inputs):
        return PixelRange(*BYTES, LAYERS, f"it takes {inputs[0].dtype} images")
    shape = image_shape or getattr(model, "input_shape", None)[1:]
    if len(shape) != 3:
        return None
    found = _before_learning(model, [side or SIDE for side in shape])
    return None if found is None else _made_for(*found)


def _made_for(values: np.ndarray, layer: str) -> PixelRange | None:
    """The range that is told by what images of 0, 1 and 255 become; see `range_of_layers`."""
    zero, one, white = np.median(values.astype(np.float64), axis=1)
    slope = one - zero
    if math.isclose(slope, 0, abs_tol=1e-9):
        return None
    clipped = not math.isclose((white - zero) / slope, 255, rel_tol=0.05)
    black, unit = -zero / slope, math.isclose(slope, 1, rel_tol=NEAR)
    told = f"before {layer}, pixels are multiplied by {slope:.4g}" + (
        f" and {abs(zero):.4g} is {'added' if zero > 0 else 'subtracted'}" if zero else ""
    )
    if clipped:
        return PixelRange(*UNIT, LAYERS, f"before {layer}, pixels above 1 are clipped")
    if abs(slope) < LARGEST_SLOPE or black > 2:
        needed = max(1 / abs(slope) if black < 1 else 0.0, black) * (1 - NEAR)
        high = next((depth for depth in DEPTHS if depth >= needed), DEPTHS[-1])
        return PixelRange(0.0, high, LAYERS, told)
    if abs(black + 1) < NEAR:
        return PixelRange(*SYMMETRIC, LAYERS, told)
    return None if unit and abs(black) < NEAR else PixelRange(*UNIT, LAYERS, told)


class _Reached(BaseException):
    """Ends a probe where the first layer that learns is called; no handler of errors sees it."""


def _before_learning(model: keras.Model, shape: list[int]) -> tuple[np.ndarray, str] | None:
    """What images of 0, 1 and 255 become before the first layer that learns, [3, N]; its name."""
    values = np.reshape(np.float32([0, 1, 255]), (3, 1, 1, 1))
    images = tf.constant(np.broadcast_to(values, (3, *shape)))
    reached: list[tuple[np.ndarray, str]] = []
    if not model.built:
        model(images, training=False)
    layers = [own for own in model._flatten_layers(include_self=False) if own is not model]
    calls = {id(own): own.call for own in layers}
    try:
        for layer in layers:
            vars(layer)["call"] = _watched(layer, layer.call, reached)
        model(images, training=False)
    except _Reached:
        pass
    finally:
        for layer in layers:
            del vars(layer)["call"]
            if layer.call != calls[id(layer)]:  # it was the layer's own, not its class's
                vars(layer)["call"] = calls[id(layer)]
    return reached[0] if reached else None


def _watched(layer: keras.layers.Layer, call: Callable, reached: list) -> Callable:
    """A layer's `call` that notes its input and ends there, if the layer learns from images."""

    @functools.wraps(call)
    def watched(*arguments, **named):
        if not _learns(layer):
            return call(*arguments, **named)
        if arguments and isinstance(arguments[0], tf.Tensor) and hasattr(arguments[0], "numpy"):
            reached.append((arguments[0].numpy().reshape(3, -1), layer.name))
        raise _Reached

    return watched


def _learns(layer: keras.layers.Layer) -> bool:
    """Whether a layer has weights of its own, other than statistics of its images."""
    statistics = (keras.layers.Normalization, keras.layers.BatchNormalization)
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    return bool(own) and not isinstance(layer, statistics)


@dataclasses.dataclass(frozen=True)
class _Answers:
    """What a model answers on images of a range.

    Attributes:
        worth: of each answer, [N]: 1 for a right class, minus the error of numbers.
        constant: the same of the best answer that is the same for all images.
        confidence: mean probability of the classes answered; NaN of numbers.
        guess: what it is where all classes are alike.
    """

    worth: np.ndarray
    constant: np.ndarray
    confidence: float = math.nan
    guess: float = math.nan

    @property
    def hardly_differ(self) -> bool:
        """Whether answers are right, though all classes get nearly the same probability."""
        right, sure = (
            (value - self.guess) / (1 - self.guess)
            for value in (float(self.worth.mean()), self.confidence)
        )
        return sure < LITTLE and right > MUCH

    def may_be_bettered(self) -> bool:
        """Whether enough of them are wrong for another range to be better by more than chance."""
        numbers = math.isnan(self.confidence)
        return numbers or 0.5 ** int((self.worth < 1).sum()) < SURE

    @property
    def know(self) -> bool:
        """Whether they are better than one answer for all."""
        return _is_above(self.worth, self.constant)

    def better_than(self, other: "_Answers") -> bool:
        """Whether they know something, and more of them are better than worse."""
        return self.know and _is_above(self.worth, other.worth)


def _is_above(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether more numbers are larger than smaller, by more than chance (a sign test)."""
    wins = int((one > other).sum())
    total = wins + int((one < other).sum())
    return sum(math.comb(total, k) for k in range(wins, total + 1)) / 2**total < SURE


def range_of_answers(
    scores: Scores,
    images: np.ndarray,
    labels: np.ndarray,
    first: PixelRange,
    by_confidence: bool = False,
) -> PixelRange:
    """The range in which a model answers best on labelled images, `first` where none is better.

    Args:
        scores: a model of any origin.
        images: float32 [N, H, W, C] in [0, 1], some hundred, about as many of each class.
        labels: int [N]; int [N, K], 1 for each class shown; or float [N, D], numbers to tell.
        first: the range that is likely without looking; another one has to be better by more than
            chance.
        by_confidence: another range that is as good is taken too, where in `first` all classes get
            nearly the same probability: the order of classes is that of smaller pixels too, where
            layers are rectified.
    """
    own = _judged(scores, images, labels, first.pixels)
    if not (own.may_be_bettered() or by_confidence and own.hardly_differ):
        return first
    rivals = [pixels for pixels in KNOWN if pixels != first.pixels]
    found = {pixels: _judged(scores, images, labels, pixels) for pixels in rivals}
    for pixels, other in sorted(found.items(), key=lambda item: -item[1].worth.mean()):
        sure = other.confidence - own.confidence > MUCH * (1 - own.guess)
        flat = by_confidence and own.hardly_differ and sure and not own.better_than(other)
        if other.better_than(own) or flat:
            reason = _compared({pixels: other, first.pixels: own}, flat)
            return PixelRange(*pixels, ANSWERS, reason)
    return first


def _judged(scores: Scores, images: np.ndarray, labels: np.ndarray, pixels: Range) -> _Answers:
    found = np.asarray(scores(PixelRange(*pixels, GIVEN, "").of_unit(images)), np.float32)
    if labels.dtype.kind == "f":
        middle = np.median(labels, 0)
        errors = (np.abs(own - labels).mean(1) for own in (found.reshape(labels.shape), middle))
        return _Answers(*(-own for own in errors))
    found = found.reshape(len(found), -1)
    probable = bool(found.min() >= 0 and found.max() <= 1)
    if found.shape[1] == 1:
        one = found if probable else tf.sigmoid(found).numpy()
        found, probable = np.concatenate([1 - one, one], 1), True
    shares = found / np.maximum(found.sum(1, keepdims=True), 1e-9)
    if not probable:
        shares = tf.nn.softmax(found).numpy()
    predicted, rows = found.argmax(1), np.arange(len(labels))
    true = (labels if labels.ndim == 2 else np.eye(found.shape[1])[labels]).astype(float)
    sure, guess = float(shares.max(1).mean()), 1 / shares.shape[1]
    return _Answers(true[rows, predicted], true[:, true.sum(0).argmax()], sure, guess)


def _compared(found: dict[Range, _Answers], flat: bool) -> str:
    """Both ranges in one line, the better one first."""
    (best, other), count = found.values(), len(next(iter(found.values())).worth)
    elsewhere = f"in {shown(list(found)[1])}"
    if math.isnan(best.confidence):
        errors = abs(best.worth.mean()), abs(other.worth.mean())
        return f"mean error {errors[0]:.3g} of {count} images, {elsewhere} {errors[1]:.3g}"
    if flat:
        sure = 100 * best.confidence, 100 * other.confidence
        return f"answers on {count} images are {sure[0]:.0f} % sure, {elsewhere} {sure[1]:.0f} %"
    right = 100 * best.worth.mean(), 100 * other.worth.mean()
    return f"{right[0]:.0f} % of {count} images are told right, {elsewhere} {right[1]:.0f} %"


def find_pixel_range(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    given: Range | None = None,
    came_in: Range | None = None,
    by_confidence: bool = False,
) -> PixelRange:
    """The range of pixels that a model takes, from all that tells.

    What it answers counts most, as it may have been trained on something else than its layers are
    made for; then the layers; then the range of the images.

    Args:
        model: of any kind, that gives scores [N, K] or [N, 1], or numbers [N, D].
        images: see `range_of_answers`.
        labels: see `range_of_answers`.
        given: the range that the caller asks for.
        came_in: that of the images that the model is used on, if it is known.
        by_confidence: see `range_of_answers`.

    Raises:
        UserError: what is given, or the range of the images, contradicts what the model tells.
    """
    told = range_of_layers(model, images.shape[1:])
    assumed = PixelRange(*UNIT, ASSUMED, "nothing tells another range: pixels=(low, high) does")
    first = told or assumed
    if came_in and not told:
        first = PixelRange(*came_in, DATA, "the range of the images given")
    if given:
        first = PixelRange(float(given[0]), float(given[1]), GIVEN, "given as pixels")

    def scores(own: np.ndarray) -> np.ndarray:
        run = compiled(model, own.shape[1:])
        starts = range(0, len(own), BATCH)
        return np.concatenate([run(tf.constant(own[start : start + BATCH])) for start in starts])

    found = first
    if not is_fresh(model):
        found = range_of_answers(scores, images, labels, first, by_confidence)
    if found.source == ANSWERS:
        if given and found.is_far_from(first.pixels):
            _refuse(f"pixels={_pair(first.pixels)}", model, found, "leave pixels out")
        return found
    if told and given and told.is_far_from(first.pixels):
        _refuse(f"pixels={_pair(first.pixels)}", model, told, "leave pixels out")
    if told and not given and came_in and told.is_far_from(came_in):
        inside, outside = (_judged(scores, images, labels, own) for own in (told.pixels, came_in))
        if not (inside.better_than(outside) or outside.hardly_differ):
            remedy = f"give images of that range, or pixels={_pair(told.pixels)}"
            _refuse(f"images are floats in {shown(came_in)}", model, told, remedy)
    return first


def _refuse(what: str, model: keras.Model, found: PixelRange, remedy: str) -> None:
    raise UserError(f"{what}, but {model.name} takes {found}: {remedy}")


def _pair(pixels: Range) -> str:
    return f"({pixels[0]:g}, {pixels[1]:g})"
