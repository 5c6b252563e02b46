"""How segmentations of several classes agree with true ones: counts first, ratios second."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from bginv.data.sources import Source
from bginv.evaluation.segmentation import maps_at
from bginv.ops.cams import segmentation_maps

IGNORED = 255
TINY = 1e-10


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """Pixels of each class, background first, over any number of images; int64 [K + 1].

    Attributes:
        intersection: predicted and true.
        predicted: predicted, where the truth is not ignored.
        true: true.
    """

    intersection: np.ndarray
    predicted: np.ndarray
    true: np.ndarray

    @property
    def union(self) -> np.ndarray:
        """Predicted or true, int64 [K + 1]."""
        return self.predicted + self.true - self.intersection

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class, float64 [K + 1]; 0 for one that is nowhere."""
        return self.intersection / (self.union + TINY)

    @property
    def precision(self) -> np.ndarray:
        """Share of what is predicted that is true, float64 [K + 1]."""
        return self.intersection / (self.predicted + TINY)

    @property
    def recall(self) -> np.ndarray:
        """Share of what is true that is predicted, float64 [K + 1]."""
        return self.intersection / (self.true + TINY)

    def __add__(self, other: "ClassCounts") -> "ClassCounts":
        return ClassCounts(
            *(
                getattr(self, field.name) + getattr(other, field.name)
                for field in dataclasses.fields(self)
            )
        )


def count_classes(
    true: np.ndarray, predicted: np.ndarray, num_classes: int, ignored: int = IGNORED
) -> ClassCounts:
    """Count the pixels of each class.

    Args:
        true: int [...], 0 for background, k + 1 for class k; pixels of the value `ignored` do not
            count.
        predicted: the same shape.
        num_classes: K, without background.
        ignored: the value of pixels that have no truth.

    Raises:
        ValueError: shapes that differ.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.shape != predicted.shape:
        raise ValueError(
            f"true and predicted maps need one shape; received {true.shape} and {predicted.shape}"
        )
    known = true != ignored
    true, predicted = true[known].astype(np.int64), predicted[known].astype(np.int64)

    def count(values: np.ndarray) -> np.ndarray:
        return np.bincount(values, minlength=num_classes + 1)[: num_classes + 1]

    return ClassCounts(count(true[predicted == true]), count(predicted), count(true))


def evaluate_label_maps(localizer: keras.Model, source: Source, threshold: float) -> ClassCounts:
    """Counts over a source, as EADER evaluates: the classes of an image are known.

    Args:
        localizer: images to a dict with `maps`, see `bginv.methods.erasing.model`.
        source: images with label maps and with labels [N, K].
        threshold: maps below it are background.
    """

    @tf.function(reduce_retracing=True)
    def predict(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        maps = localizer(batch["image"], training=False)["maps"][..., :num_classes]
        maps = maps_at(maps, batch["image"].shape[1:3])
        return segmentation_maps(maps, batch["label"], threshold)

    num_classes = source.labels.shape[1]
    total = None
    for batch in source.batches(source.pass_batch):
        counts = count_classes(batch["label_map"].numpy(), predict(batch).numpy(), num_classes)
        total = counts if total is None else total + counts
    return total
