"""Whether backgrounds alone tell the class: the trap that a data set may hold."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import cv2
import keras
import numpy as np
import sklearn.linear_model
import sklearn.metrics
import sklearn.model_selection
import sklearn.pipeline
import sklearn.preprocessing
import tensorflow as tf

from bginv.auditing.intervals import Answers, share_of
from bginv.auditing.variants import CutPictures
from bginv.data.variations import box_of
from bginv.evaluation.intervals import UNKNOWN, Interval, Z
from bginv.nn.efficientnet_lite import build_efficientnet_lite0
from bginv.nn.weights_package import is_installed

SIDE, BATCH, FOLDS = 128, 32, 5
SMALLEST = 64
"""Side of pictures that a network of photographs can tell apart."""
MOST_SQUARES, LEAST_SQUARE = 3, 0.1
"""Squares of background that are cut out of a picture, and the least side as a share of it."""
BINS = 4
"""Of each channel of the histogram that stands for features where there is no network."""
TELLING = 0.8
"""Area under the curve above which a class's backgrounds tell it."""
MARGIN = 0.1
"""Over guessing, that the probe has to reach."""


@dataclasses.dataclass(frozen=True)
class Trap:
    """How well the class of a picture is told from its background.

    Attributes:
        accuracy: of a linear classifier on features of the backgrounds, by cross-validation.
        chance: share of the largest class.
        areas: by class: area under its curve against all others, lower end, NaN where unknown.
        features: what they are, in words.
        where: whose backgrounds, in words.
    """

    accuracy: Interval
    chance: float
    areas: tuple[float, ...] = ()
    features: str = ""
    where: str = "these pictures"

    @property
    def tells(self) -> bool:
        """Whether backgrounds tell the class beyond doubt."""
        return self.accuracy.low > self.chance + MARGIN

    @property
    def classes(self) -> list[int]:
        """Those that their backgrounds tell, the most certain first."""
        known = [number for number, area in enumerate(self.areas) if area > TELLING]
        return sorted(known, key=lambda number: -self.areas[number])


def probe(pictures: CutPictures, num_classes: int, seed: int = 0) -> Trap:
    """Tell classes from backgrounds alone.

    What is looked at are squares beside the object's box: the outline of an object that was filled
    would tell its class. Pictures whose object leaves no room for one are left out.

    Args:
        pictures: with masks.
        num_classes: K.
        seed: of the folds.
    """
    squares = {
        int(row): found
        for row in np.flatnonzero(pictures.has_object)
        if (found := _squares(pictures.images[row], pictures.masks[row]))
    }
    rows = np.array(list(squares), int)
    known, counts = np.unique(pictures.labels[rows], return_counts=True)
    rows = rows[np.isin(pictures.labels[rows], known[counts >= 2])]
    labels = pictures.labels[rows]
    if len(np.unique(labels)) < 2:
        return Trap(UNKNOWN, math.nan)
    folds = int(min(FOLDS, np.bincount(labels)[np.unique(labels)].min()))
    _, side, _, channels = pictures.images.shape
    by_network = is_installed() and channels == 3 and side >= SMALLEST
    features, what = _features([squares[row] for row in rows], by_network)
    model = sklearn.pipeline.make_pipeline(
        sklearn.preprocessing.StandardScaler(),
        sklearn.linear_model.RidgeClassifier(features.shape[1], class_weight="balanced"),
    )
    split = sklearn.model_selection.StratifiedKFold(folds, shuffle=True, random_state=seed)
    scores = sklearn.model_selection.cross_val_predict(
        model, features, labels, cv=split, method="decision_function"
    )
    if scores.ndim == 1:  # of the second of two classes
        scores = np.stack([-scores, scores], -1)
    classes = np.unique(labels)
    right = classes[scores.argmax(1)] == labels
    areas = [
        _lower_area(labels == number, scores[:, list(classes).index(number)])
        if number in classes
        else math.nan
        for number in range(num_classes)
    ]
    accuracy = share_of(Answers(right[:, None].astype(np.float64), rows))
    chance = float(np.bincount(labels).max() / len(labels))
    return Trap(accuracy, chance, tuple(areas), what)


def _lower_area(positive: np.ndarray, scores: np.ndarray) -> float:
    """Lower end of the 95 % interval of an area under the curve (Hanley and McNeil 1982)."""
    area = float(sklearn.metrics.roc_auc_score(positive, scores))
    ones, zeros = int(positive.sum()), int((~positive).sum())
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (ones - 1) * (first - area**2) + (zeros - 1) * (second - area**2)
    return area - Z * math.sqrt(max(spread, 0.0) / (ones * zeros))


def _squares(image: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Squares of an image, along the largest strip beside its object's box."""
    top, left, bottom, right = box_of(mask)
    strips = (image[:top], image[bottom:], image[:, :left], image[:, right:])
    strip = max(strips, key=lambda own: min(own.shape[:2]) * own.size)
    side = min(strip.shape[:2])
    if side < LEAST_SQUARE * len(image):
        return []
    long = int(strip.shape[1] > strip.shape[0])
    count = min(MOST_SQUARES, strip.shape[long] // side)
    places = np.linspace(0, strip.shape[long] - side, count).astype(int)
    return [strip.take(range(place, place + side), axis=long) for place in places]


def _features(squares: Sequence[Sequence[np.ndarray]], by_network: bool) -> tuple[np.ndarray, str]:
    """Features float32 [M, D] of the squares of each picture, and what they are."""
    if not by_network:
        return np.stack([np.mean(list(map(_colours, own)), 0) for own in squares]), "colours"
    flat = [square for own in squares for square in own]
    size, call = (SIDE, SIDE), _network()
    found = []
    for start in range(0, len(flat), BATCH):
        part = [cv2.resize(own, size) for own in flat[start : start + BATCH]]
        found.append(call(np.stack(part).astype(np.float32) / 255))
    ends = np.cumsum([len(own) for own in squares])[:-1]
    means = [own.mean(0) for own in np.split(np.concatenate(found), ends)]
    return np.stack(means), "features of EfficientNet-Lite0"


def _colours(image: np.ndarray) -> np.ndarray:
    """Shares of colours, float32 [BINS ** C]."""
    ranges = [(0, 256)] * image.shape[-1]
    counts, _ = np.histogramdd(image.reshape(-1, len(ranges)), [BINS] * len(ranges), ranges)
    return np.sqrt(counts.ravel() / counts.sum()).astype(np.float32)


@functools.cache
def _network() -> Callable[[np.ndarray], np.ndarray]:
    network: keras.Model = build_efficientnet_lite0((SIDE, SIDE, 3), "imagenet")

    @tf.function(reduce_retracing=True, autograph=False)
    def call(images: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(network(images, training=False), (1, 2))

    return lambda images: call(tf.constant(images)).numpy()
