"""What the attention-guided baseline looks at."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

import keras
import numpy as np
import sklearn.metrics
import tensorflow as tf

from bginv.data.sources import Source
from bginv.nn.inference import compiled


@dataclasses.dataclass(frozen=True)
class CropStatistics:
    """Crops of a split.

    Attributes:
        height: mean height, as a share of the image's.
        width: mean width, as a share of the image's.
        degenerate: number of images whose heat map shows nothing, so that all of them is used.
    """

    height: float
    width: float
    degenerate: int


def crop_statistics(model: keras.Model, sources: Iterable[Source]) -> list[CropStatistics]:
    """Sizes of the crops of each source.

    Args:
        model: images to a dict with `box` and `degenerate`, see `bginv.methods.attention.model`.
        sources: images.
    """

    @tf.function(reduce_retracing=True)
    def sums(images: tf.Tensor) -> tf.Tensor:
        found = model(images, training=False)
        box = tf.reduce_sum(found["box"], 0)
        return tf.stack([box[2] - box[0], box[3] - box[1], tf.reduce_sum(found["degenerate"])])

    statistics = []
    for source in sources:
        batches = source.without_masks().batches(source.pass_batch)
        height, width, degenerate = sum(sums(batch["image"]).numpy() for batch in batches)
        count = len(source)
        statistics.append(CropStatistics(height / count, width / count, round(degenerate)))
    return statistics


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


def mean_auroc(classifier: keras.Model, sources: Iterable[Source]) -> list[float]:
    """For each source, the mean over the classes that have an AUROC; NaN where there is none.

    Args:
        classifier: images to logits.
        sources: see `evaluate_auroc`.
    """
    named = keras.Model(classifier.input, {"logits": classifier.output})
    means = []
    for found in evaluate_auroc(named, sources, ("logits",)):
        known = [value for value in found["logits"] if value is not None]
        means.append(statistics.fmean(known) if known else math.nan)
    return means


def evaluate_auroc(
    model: keras.Model, sources: Iterable[Source], outputs: Sequence[str]
) -> list[dict[str, list[float | None]]]:
    """For each source, the AUROC of each class, for several outputs of a model.

    Args:
        model: images to a dict of logits [B, K].
        sources: images with a label each, which is compared with the others, or with a 0 or 1 for
            each class.
        outputs: names in the dict.
    """
    found = []
    for source in sources:
        batches = source.without_masks().batches(source.pass_batch)
        run = compiled(model, source.image_shape)
        predicted = [run(batch["image"]) for batch in batches]
        scores = {name: np.concatenate([part[name] for part in predicted]) for name in outputs}
        num_outputs = scores[outputs[0]].shape[1]
        labels = source.labels
        targets = np.eye(num_outputs)[labels] if labels.ndim == 1 else labels
        # a model may know more classes than the data has
        scores = {name: own[:, : targets.shape[1]] for name, own in scores.items()}
        found.append({name: auroc_per_class(targets, own) for name, own in scores.items()})
    return found
