"""What a classifier says of each image of a source."""

import dataclasses
from collections.abc import Iterable

import keras
import numpy as np

from bginv.data.sources import Source
from bginv.evaluation.calibration import collect_all_logits, probabilities
from bginv.evaluation.confusion import Confusion, count_confusion


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The class that a classifier gives to each image.

    Attributes:
        labels: int [N].
        predicted: int [N].
        confidence: float [N], the softmax probability of the predicted class.
        num_classes: K.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    num_classes: int

    @property
    def accuracy(self) -> float:
        """Share of images whose class is predicted."""
        return float((self.labels == self.predicted).mean())

    @property
    def confusion(self) -> Confusion:
        """Images by true and predicted class."""
        return count_confusion(self.labels, self.predicted, self.num_classes)

    def mistakes(self, count: int) -> np.ndarray:
        """Rows of the most confident mistakes, the most confident first: int [at most `count`]."""
        wrong = np.flatnonzero(self.labels != self.predicted)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:count]


def predict(classifier: keras.Model, sources: Iterable[Source]) -> list[Predictions]:
    """Predictions of a classifier on each source.

    Args:
        classifier: images to logits.
        sources: labelled images.
    """
    found = []
    for logits, labels in collect_all_logits(classifier, (own.without_masks() for own in sources)):
        shares = probabilities(logits)
        found.append(
            Predictions(labels, shares.argmax(-1), shares.max(-1), num_classes=shares.shape[-1])
        )
    return found
