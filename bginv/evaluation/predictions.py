"""What a classifier says of each image of a source."""

import dataclasses

import keras
import numpy as np

from bginv.data.sources import Source
from bginv.evaluation.calibration import collect_logits, probabilities
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


def predict(classifier: keras.Model, source: Source) -> Predictions:
    """Predictions of a classifier.

    Args:
        classifier: images to logits.
        source: labelled images.
    """
    logits, labels = collect_logits(classifier, source.without_masks())
    shares = probabilities(logits)
    return Predictions(labels, shares.argmax(-1), shares.max(-1), shares.shape[-1])
