"""What the attention-guided baseline looks at."""

import dataclasses
from collections.abc import Iterable

import keras
import tensorflow as tf

from bginv.data.sources import Source


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
