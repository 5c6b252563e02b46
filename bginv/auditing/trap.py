"""Whether backgrounds alone tell the class: the trap that a data set may hold."""

import dataclasses
import functools
import math
from collections.abc import Callable

import cv2
import keras
import numpy as np
import sklearn.linear_model
import sklearn.metrics
import sklearn.model_selection
import sklearn.pipeline
import sklearn.preprocessing
import tensorflow as tf

from bginv.auditing.intervals import UNKNOWN, Answers, Interval, Z, share_of
from bginv.auditing.variants import CutPictures
from bginv.nn.efficientnet_lite import build_efficientnet_lite0
from bginv.nn.weights_package import is_installed

SIDE, BATCH, FOLDS = 160, 32, 5
SMALLEST = 64
"""Side of pictures that a network of photographs can tell apart."""
COLOURS = 4
"""Cells a side of the small picture that stands for features where there is no network."""
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
    """

    accuracy: Interval
    chance: float
    areas: tuple[float, ...] = ()
    features: str = ""

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

    Features are averaged over the places that the object does not take, so that the shape of the
    filled hole tells little.

    Args:
        pictures: with masks.
        num_classes: K.
        seed: of the folds.
    """
    rows = np.flatnonzero(pictures.has_object)
    labels = pictures.labels[rows]
    known, counts = np.unique(labels, return_counts=True)
    fitting = np.isin(labels, known[counts >= 2])
    rows, labels = rows[fitting], labels[fitting]
    if len(np.unique(labels)) < 2:
        return Trap(UNKNOWN, math.nan)
    folds = int(min(FOLDS, np.bincount(labels)[np.unique(labels)].min()))
    features, what = _features(pictures, rows)
    model = sklearn.pipeline.make_pipeline(
        sklearn.preprocessing.StandardScaler(),
        sklearn.linear_model.LogisticRegression(C=0.01, max_iter=300, class_weight="balanced"),
    )
    split = sklearn.model_selection.StratifiedKFold(folds, shuffle=True, random_state=seed)
    shares = sklearn.model_selection.cross_val_predict(
        model, features, labels, cv=split, method="predict_proba"
    )
    classes = np.unique(labels)
    right = classes[shares.argmax(1)] == labels
    areas = [
        _lower_area(labels == number, shares[:, list(classes).index(number)])
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


def _features(pictures: CutPictures, rows: np.ndarray) -> tuple[np.ndarray, str]:
    """Features float32 [M, D] of backgrounds, and what they are."""
    if is_installed() and pictures.images.shape[-1] == 3 and pictures.images.shape[1] >= SMALLEST:
        call = _network()
        parts = [
            _of_network(call, pictures, rows[start : start + BATCH])
            for start in range(0, len(rows), BATCH)
        ]
        return np.concatenate(parts), "features of EfficientNet-Lite0 outside the object"
    found = [
        cv2.resize(pictures.emptied[row], (COLOURS, COLOURS), interpolation=cv2.INTER_AREA).ravel()
        for row in rows
    ]
    return np.stack(found).astype(np.float32), "colours of the background"


@functools.cache
def _network() -> Callable[[np.ndarray], np.ndarray]:
    network: keras.Model = build_efficientnet_lite0((SIDE, SIDE, 3), "imagenet")
    call = tf.function(lambda images: network(images, training=False), reduce_retracing=True)
    return lambda images: call(tf.constant(images)).numpy()


def _of_network(call: Callable, pictures: CutPictures, rows: np.ndarray) -> np.ndarray:
    size = (SIDE, SIDE)
    images = [cv2.resize(own, size, interpolation=cv2.INTER_AREA) for own in pictures.emptied[rows]]
    maps = call(np.stack(images).astype(np.float32) / 255)
    cells = maps.shape[1:3][::-1]
    weights = np.stack(
        [
            cv2.resize(1 - mask.astype(np.float32), cells, interpolation=cv2.INTER_AREA)
            for mask in pictures.masks[rows]
        ]
    )[..., None]
    weights += 1e-3  # of an object that takes everything
    return (maps * weights).sum((1, 2)) / weights.sum((1, 2))
