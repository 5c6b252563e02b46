"""How a segmentation network agrees with label maps: a confusion matrix first, ratios second."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from bginv.data.sources import Source


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Pixels by true class (rows) and predicted class (columns).

    Attributes:
        counts: int64 [K, K].
    """

    counts: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class, float64 [K]; NaN for one that is nowhere."""
        right = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - right
        return np.divide(right, union, out=np.full(len(right), np.nan), where=union > 0)

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that are somewhere; NaN without any pixel."""
        iou = self.iou
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of pixels whose class is predicted; NaN without any pixel."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(self.counts + other.counts)


def count_confusion(true: np.ndarray, predicted: np.ndarray, num_classes: int) -> Confusion:
    """Count the pixels of each pair of classes.

    Args:
        true: int [...]; pixels with other numbers than those of classes do not count.
        predicted: the same shape, class numbers.
        num_classes: K.

    Raises:
        ValueError: shapes that differ, or a prediction that is no class.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.shape != predicted.shape:
        raise ValueError(
            f"true and predicted maps need one shape; received {true.shape} and {predicted.shape}"
        )
    known = (true >= 0) & (true < num_classes)
    true, predicted = true[known].astype(np.int64), predicted[known].astype(np.int64)
    if predicted.size and not 0 <= predicted.min() <= predicted.max() < num_classes:
        raise ValueError(
            f"predictions must be 0 to {num_classes - 1}; received {predicted.min()} to "
            f"{predicted.max()}"
        )
    pairs = np.bincount(num_classes * true + predicted, minlength=num_classes**2)
    return Confusion(pairs.reshape(num_classes, num_classes))


def segmentation_evaluator(segmenter: keras.Model) -> Callable[[Source], Confusion]:
    """What evaluates a segmentation network, with its weights at that time, on labelled images.

    Args:
        segmenter: images to logits [B, H, W, K].
    """

    @tf.function(reduce_retracing=True)
    def predict(images: tf.Tensor) -> tf.Tensor:
        return tf.argmax(segmenter(images, training=False), -1, tf.int32)

    num_classes = segmenter.output_shape[-1]

    def evaluate(source: Source) -> Confusion:
        total = Confusion(np.zeros((num_classes, num_classes), np.int64))
        for batch in source.batches(source.pass_batch):
            predicted = predict(batch["image"]).numpy()
            total += count_confusion(batch["label_map"].numpy(), predicted, num_classes)
        return total

    return evaluate
