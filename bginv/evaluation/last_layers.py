"""Several last layers of one network, judged on features that are computed once."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from bginv.data.sources import LARGEST_PASS_BATCH, Source
from bginv.data.wrapped import WrappedSource
from bginv.errors import UserError
from bginv.evaluation.calibration import collect_all_logits
from bginv.nn.features import weights_digest
from bginv.nn.fine_tuning import split_head

MOST_BYTES = 2**28
"""Of features that are held in memory."""


class FeatureSource(WrappedSource):
    """Records whose `image` is a vector of features.

    Args:
        source: the same records as images.
        features: float32 [N, D].

    Raises:
        UserError: another number of features.
    """

    def __init__(self, source: Source, features: np.ndarray):
        super().__init__(source.without_masks())
        if len(features) != len(source):
            raise UserError(f"{len(source)} records need as many features: {len(features)}")
        self.image_shape = features.shape[1:]
        # graphs that gather capture a tensor; an array would be copied into each as a constant
        with tf.device("CPU"):
            self._tensors = {"image": tf.constant(features), "label": tf.constant(self.labels)}
        self.features = np.asarray(self._tensors["image"])  # held once

    @property
    def pass_batch(self) -> int:
        """See `Source.pass_batch`."""
        return LARGEST_PASS_BATCH

    def around(self, source: Source) -> "FeatureSource":
        """See `WrappedSource.around`."""
        return FeatureSource(source, self.features)

    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "FeatureSource":
        """See `Source.take`."""
        return FeatureSource(self.source.take(rows, labels), self.features[rows])

    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Source.gather`."""
        records = {name: tf.gather(values, indices) for name, values in self._tensors.items()}
        return {**records, "index": indices}


class LastLayers:
    """Splits as the last layer of a classifier takes them, for as long as the rest stays.

    Args:
        splits: images, by name.
    """

    def __init__(self, splits: Mapping[str, Source]):
        self._splits = dict(splits)
        self._digest, self._features = "", self._splits

    def of(self, classifier: keras.Model) -> tuple[keras.Model, dict[str, Source]]:
        """A model of that layer alone, giving logits, and the features that it takes.

        Those are the classifier itself and the images where its last layer cannot be told, see
        `split_head`, or where features would need too much memory.
        """
        split = split_head(classifier)
        if split is None or self._bytes(split[0]) > MOST_BYTES:
            return classifier, dict(self._splits)
        network, head = split
        digest = weights_digest(network)
        if digest != self._digest:
            found = collect_all_logits(network, self._splits.values(), np.float32)
            self._features = {
                name: FeatureSource(own, features)
                for (name, own), (features, _) in zip(self._splits.items(), found, strict=True)
            }
            self._digest = digest
        layer = keras.layers.Dense(head.units, use_bias=head.use_bias, dtype="float32")
        alone = keras.Sequential([keras.Input(network.output_shape[1:]), layer])
        layer.set_weights(head.get_weights())
        return alone, dict(self._features)

    def _bytes(self, network: keras.Model) -> int:
        return 4 * network.output_shape[-1] * sum(map(len, self._splits.values()))
