"""Models as an audit asks them: pictures in, classes out, whatever made the model."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from bginv.auditing.classes import Matching, match_classes, other_order
from bginv.errors import UserError, first_line
from bginv.interop.classifiers import Classifier, load_scores, of_keras
from bginv.nn.features import last_activation
from bginv.nn.pixel_range import (
    ASSUMED,
    UNIT,
    PixelRange,
    Range,
    range_of_answers,
    range_of_layers,
)

Model: TypeAlias = str | os.PathLike | keras.Model | Callable[[np.ndarray], Any]
"""A file, a Keras model, or a function from images float32 [B, H, W, C] to scores [B, K]."""
BATCH = 16
SAMPLE = 96
"""Pictures that tell the range of the pixels."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a model answers to pictures.

    Attributes:
        classes: int [B], the pictures' class that it sees, -1 for another one.
        confidence: float [B], the probability that it gives to that.
    """

    classes: np.ndarray
    confidence: np.ndarray


class AuditedModel:
    """A model whose classes and range of pixels are known.

    Args:
        name: for people.
        classifier: its function.
        num_outputs: K.
        matching: the class of each output.
        pixels: the range that it takes.
        bounded: whether its scores are probabilities.

    Attributes:
        model: the Keras model, where it is one.
    """

    def __init__(
        self,
        name: str,
        classifier: Classifier,
        num_outputs: int,
        matching: Matching,
        pixels: PixelRange,
        bounded: bool = False,
    ):
        self.name, self.matching, self.pixels = name, matching, pixels
        self.model = classifier.model
        self._classifier, self._num_outputs = classifier, num_outputs
        self._bounded = bounded

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Probabilities float64 [B, K] of uint8 images, K at least 2.

        Raises:
            UserError: what it gives is no row of numbers an image.
        """
        given = self.pixels.of_unit(images.astype(np.float32) / 255)
        found = _call(self._classifier, given, self.name, self._num_outputs)
        if found.shape[-1] == 1:
            return _of_two(found, self._bounded)
        return found if self._bounded else scipy.special.softmax(found, -1)

    def ask(self, images: np.ndarray) -> Asked:
        """Answers to uint8 images [B, H, W, C]; see `scores`."""
        return self.answer(self.scores(images))

    def answer(self, probabilities: np.ndarray) -> Asked:
        """What probabilities [B, K] of its outputs mean.

        Raises:
            UserError: they are no numbers.
        """
        if not np.isfinite(probabilities).all():
            raise UserError(f"{self.name} gives NaN or infinite scores for some of the images")
        best = probabilities.argmax(-1)
        return Asked(self.matching.classes[best], probabilities.max(-1))


def name_of(model: Model, number: int) -> str:
    """What a model is called."""
    if isinstance(model, str | os.PathLike):
        return pathlib.Path(model).name
    return str(getattr(model, "name", None) or getattr(model, "__name__", f"model {number + 1}"))


def open_model(model: Model) -> Classifier:
    """A model of any origin.

    Raises:
        FileNotFoundError: no such file.
        UserError: not a model of images.
    """
    if isinstance(model, str | os.PathLike):
        return load_scores(os.fspath(model))
    if isinstance(model, keras.Model):
        return of_keras(model, model.name)
    if callable(model):
        names = tuple(getattr(model, "class_names", ()))
        return Classifier(model, channels=None, class_names=names)
    raise UserError(
        "a model is a file, a Keras model or a function from images to scores; received "
        f"{type(model).__name__}"
    )


def prepare_model(
    name: str,
    classifier: Classifier,
    class_names: Sequence[str],
    images: np.ndarray,
    labels: np.ndarray,
    pixels: Range | None = None,
    labels_of_model: Sequence[str] = (),
    class_map: Mapping[str, Sequence[str | int]] | None = None,
) -> AuditedModel:
    """Find out what a model's outputs stand for, and which range of pixels it takes.

    Args:
        name: for people.
        classifier: as `open_model` gives it.
        class_names: of the pictures.
        images: uint8 [N, H, W, C].
        labels: int [N].
        pixels: the range, where it is given.
        labels_of_model: names of its outputs, in place of those in its file.
        class_map: see `match_classes`.

    Raises:
        UserError: images of other channels, classes that cannot be matched, or answers that are
            none.
    """
    taken = getattr(classifier.model, "input_shape", None)
    if isinstance(taken, tuple) and len(taken) == 4 and taken[3] not in (None, images.shape[3]):
        raise UserError(
            f"{name} takes images of {taken[3]} channels, and the pictures have {images.shape[3]}: "
            "audit it with pictures like those that it was trained on"
        )
    unit = images[:SAMPLE].astype(np.float32) / 255
    num_outputs = classifier.num_classes or _call(classifier, unit[:2], name).shape[-1]
    names = labels_of_model or classifier.class_names
    matching = match_classes(class_names, num_outputs, names, class_map)

    def raw(own: np.ndarray) -> np.ndarray:
        return _call(classifier, own.astype(np.float32), name, num_outputs)

    def scores(own: np.ndarray) -> np.ndarray:
        found = raw(own)
        if num_outputs == 1:
            found = _of_two(found, _is_bounded(classifier, found))
        return _of_classes(found, matching.classes, class_names)

    found = _range(classifier, scores, unit, labels[:SAMPLE], pixels)
    bounded = _is_bounded(classifier, raw(found.of_unit(unit)))
    return AuditedModel(name, classifier, num_outputs, matching, found, bounded)


def _is_bounded(classifier: Classifier, scores: np.ndarray) -> bool:
    """Whether scores are probabilities: as the last layer tells, else as they look."""
    last = last_activation(classifier.model) if classifier.model else None
    if last in ("softmax", "sigmoid", "linear"):
        return last != "linear"
    return bool(scores.min() >= 0 and scores.max() <= 1)


def _of_two(scores: np.ndarray, bounded: bool) -> np.ndarray:
    """Probabilities [B, 2] of one score an image, [B, 1]."""
    one = scores if bounded else scipy.special.expit(scores)
    return np.concatenate([1 - one, one], -1)


def _range(
    classifier: Classifier,
    scores: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    given: Range | None,
) -> PixelRange:
    if given:
        return PixelRange(float(given[0]), float(given[1]), "given", "given as pixels")
    told = range_of_layers(classifier.model, images.shape[1:]) if classifier.model else None
    first = told or PixelRange(*UNIT, ASSUMED, "nothing tells another range")
    answers = scores(first.of_unit(images))
    if answers.shape[1] > 1 and other_order(labels, answers.argmax(-1), answers.shape[1]):
        return first  # they tell classes apart, though in another order
    return range_of_answers(scores, images, labels, first, by_confidence=True)


def _of_classes(scores: np.ndarray, classes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The largest score of each of the pictures' classes, and of all else, [N, K + 1]."""
    groups = [np.flatnonzero(classes == number) for number in (*range(len(names)), -1)]
    return np.stack([scores[:, own].max(-1) for own in groups if len(own)], -1)


def _call(
    classifier: Classifier, images: np.ndarray, name: str, num_outputs: int | None = None
) -> np.ndarray:
    """Scores float64 [N, K], in batches.

    Raises:
        UserError: the model fails, or gives something else.
    """
    parts = []
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        given = (
            part if classifier.channels is None and classifier.model is None else tf.constant(part)
        )
        try:
            found = np.asarray(classifier.call(given), np.float64)
        except UserError:
            raise
        except Exception as error:  # as many kinds as there are layers, runtimes and functions
            shape = "x".join(map(str, images.shape[1:]))
            raise UserError(f"{name} cannot take images of {shape}: {first_line(error)}") from error
        if found.ndim == 1 and len(found) == len(part):
            found = found[:, None]
        wanted = (len(part), num_outputs or "K")
        if (
            found.ndim != 2
            or len(found) != len(part)
            or found.shape[1] != (num_outputs or found.shape[1])
        ):
            raise UserError(
                f"{name} gives scores of shape {found.shape} for {len(part)} images; "
                f"[{wanted[0]}, {wanted[1]}] is needed"
            )
        if not np.isfinite(found).all():
            wrong = int((~np.isfinite(found)).any(-1).sum())
            raise UserError(
                f"{name} gives NaN or infinite scores for {wrong} of {len(part)} images"
            )
        parts.append(found)
    return np.concatenate(parts)
