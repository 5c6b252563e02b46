"""Area under the receiver operating characteristic, class by class."""

from collections.abc import Sequence

import keras
import numpy as np
import sklearn.metrics
import tensorflow as tf

from bginv.data.sources import Source
from bginv.evaluation.accuracy import EVALUATION_BATCH


def auroc_per_class(targets: np.ndarray, scores: np.ndarray) -> list[float | None]:
    """AUROC of each class in [0, 1]; None for a class that is always or never there.

    Args:
        targets: [N, K], 0 or 1.
        scores: [N, K], larger where the class is likelier.
    """
    return [
        float(sklearn.metrics.roc_auc_score(column, score)) if 0 < column.mean() < 1 else None
        for column, score in zip(np.asarray(targets).T, np.asarray(scores).T, strict=True)
    ]


def evaluate_auroc(
    model: keras.Model, source: Source, outputs: Sequence[str]
) -> dict[str, list[float | None]]:
    """AUROC of each class, for several outputs of a model; one class against the others.

    Args:
        model: images to a dict of logits [B, K].
        source: images with a label each, or with a 0 or 1 for each class.
        outputs: names in the dict.
    """

    @tf.function(reduce_retracing=True)
    def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
        predicted = model(images, training=False)
        return {name: predicted[name] for name in outputs}

    batches = source.without_masks().batches(EVALUATION_BATCH)
    predicted = [predict(batch["image"]) for batch in batches]
    scores = {name: np.concatenate([part[name] for part in predicted]) for name in outputs}
    labels = source.labels
    num_classes = next(iter(scores.values())).shape[1]
    targets = np.eye(num_classes)[labels] if labels.ndim == 1 else labels
    return {name: auroc_per_class(targets, own) for name, own in scores.items()}
