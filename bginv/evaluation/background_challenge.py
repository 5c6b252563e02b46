"""The Backgrounds Challenge (Xiao et al. 2021): is there a background that deceives a classifier?

A foreground is vulnerable if on any background of the challenge the classifier takes it for another
class. Every pair is tried until one deceives; those backgrounds that deceived most so far come
first, so that a vulnerable foreground is found out early. The verdicts are those of all pairs.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from bginv.data.sources import ArraySource, Source

Predict = Callable[[tf.Tensor], tf.Tensor]
"""Images float32 [B, H, W, 3] in [0, 1] to class numbers int32 [B], -1 for none."""
RESAMPLES, INTERVAL = 1000, (2.5, 97.5)
BATCHES_BETWEEN_CALLS = 50
ROTATION, TIE = 7, 1e-6
CAUTION = 4
"""Tries of a foreground for each background more that is tried at once."""


def predictor(logits: Callable[[tf.Tensor], tf.Tensor], class_map: np.ndarray | None) -> Predict:
    """What gives the class of the largest logit.

    Args:
        logits: images to logits [B, K].
        class_map: int32 [K], the class that each logit stands for, -1 for none; None means itself.
    """

    @tf.function(reduce_retracing=True)
    def predict(images: tf.Tensor) -> tf.Tensor:
        found = tf.argmax(logits(images), -1, tf.int32)
        return found if class_map is None else tf.gather(tf.constant(class_map), found)

    return predict


def correct_on(predict: Predict, source: Source) -> np.ndarray:
    """Which images of a source are taken for their class, bool [N]."""
    parts = [
        (predict(batch["image"]) == batch["label"]).numpy()
        for batch in source.batches(source.pass_batch)
    ]
    return np.concatenate(parts)


def bootstrap(statistic: Callable, *samples: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a statistic by resampling (Efron 1979), each sample on its own.

    Args:
        statistic: from samples, each [..., N], to [...].
        samples: [N].
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    drawn = [own[rng.integers(len(own), size=(RESAMPLES, len(own)))] for own in samples]
    low, high = np.percentile(statistic(*drawn), INTERVAL)
    return float(low), float(high)


@dataclasses.dataclass(frozen=True)
class Verdicts:
    """What the challenge found.

    Attributes:
        vulnerable: bool [F], for each foreground.
        deceived_by: int [F], a background that deceived, or -1.
        passes: images that the classifier has seen.
    """

    vulnerable: np.ndarray
    deceived_by: np.ndarray
    passes: int

    @property
    def challenge_accuracy(self) -> float:
        """1 minus the share of vulnerable foregrounds."""
        return 1 - float(self.vulnerable.mean())


class Challenge:
    """All foregrounds against all backgrounds.

    Args:
        predict: see `predictor`.
        foregrounds: images with masks.
        backgrounds: uint8 [N, H, W, 3].
        batch_size: pairs at once.
    """

    def __init__(
        self,
        predict: Predict,
        foregrounds: ArraySource,
        backgrounds: np.ndarray,
        batch_size: int = 256,
    ):
        self.labels, self.batch_size = foregrounds.labels, batch_size
        self.tried = np.zeros((len(foregrounds), len(backgrounds)), bool)
        self.deceived_by = np.full(len(foregrounds), -1)
        self.deceived = np.zeros(len(backgrounds), np.int64)
        self._count()
        with tf.device("CPU"):
            held = [tf.constant(array) for array in (foregrounds.images, foregrounds.masks)]
            others = tf.constant(backgrounds)

        @tf.function(reduce_retracing=True)
        def classify(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
            images, masks = (tf.cast(tf.gather(own, rows), tf.float32) / 255 for own in held)
            behind = tf.cast(tf.gather(others, columns), tf.float32) / 255
            return predict(behind * (1 - masks) + masks * images)

        self._classify = classify

    def run(self, now_and_then: Callable[[], None] = lambda: None) -> Verdicts:
        """Try pairs until every foreground has its verdict.

        Args:
            now_and_then: called between batches.
        """
        batches = 0
        while True:
            rows, columns = self._next_pairs()
            if not len(rows):
                now_and_then()
                passes = int(self.trials.sum())
                return Verdicts(self.deceived_by >= 0, self.deceived_by.copy(), passes)
            found = self._classify(tf.constant(rows), tf.constant(columns)).numpy()
            self.tried[rows, columns] = True
            self.trials += np.bincount(rows, minlength=len(self.trials))
            self.tries += np.bincount(columns, minlength=len(self.tries))
            wrong = found != self.labels[rows]
            np.add.at(self.deceived, columns[wrong], 1)
            self.deceived_by[rows[wrong]] = columns[wrong]
            batches += 1
            if batches % BATCHES_BETWEEN_CALLS == 0:
                now_and_then()

    def _next_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Up to a batch of pairs not tried yet, for each foreground its most promising ones."""
        count = self.tried.shape[1]
        rows = np.flatnonzero((self.deceived_by < 0) & (self.trials < count))
        if not len(rows):
            return rows, rows
        # the fewest trials first, so that all learn from the early ones
        rows = rows[np.argsort(self.trials[rows], kind="stable")][: self.batch_size]
        # a background that was never tried counts as one that deceives every second foreground
        promise = (self.deceived + 1) / (self.tries + 2)
        # of equal promise, another one for each foreground
        turned = (np.arange(count) + ROTATION * rows[:, None]) % count
        scores = np.where(self.tried[rows], -1.0, promise - TIE * turned / count)
        # many at once only after many tries: until then the next one may deceive
        each = min(self.batch_size // len(rows), 1 + self.trials[rows[0]] // CAUTION, count)
        if each == 1:
            best = scores.argmax(1)[:, None]
        else:
            best = np.argsort(-scores, axis=1, kind="stable")[:, :each]
        pairs = np.repeat(rows, each), best.ravel()
        fresh = ~self.tried[pairs]
        return pairs[0][fresh], pairs[1][fresh]

    def _count(self) -> None:
        """How often each foreground and each background was tried."""
        self.trials, self.tries = self.tried.sum(1), self.tried.sum(0)

    def progress(self) -> str:
        """How far it is."""
        vulnerable = self.deceived_by >= 0
        settled = vulnerable | (self.trials == self.tried.shape[1])
        return (
            f"{settled.sum()} of {len(settled)} foregrounds settled, {vulnerable.sum()} "
            f"vulnerable, {self.trials.sum()} pairs tried"
        )

    def state(self) -> dict[str, np.ndarray]:
        """What was tried and found, for `restore`."""
        return {
            "tried": np.packbits(self.tried, axis=1),
            "deceived_by": self.deceived_by,
            "deceived": self.deceived,
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from where another challenge of the same images was."""
        count = self.tried.shape[1]
        self.tried = np.unpackbits(state["tried"], axis=1, count=count).astype(bool)
        self.deceived_by = state["deceived_by"].copy()
        self.deceived = state["deceived"].copy()
        self._count()
