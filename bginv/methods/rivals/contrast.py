"""Contrast of foregrounds and backgrounds, after CLAD (Wang et al. 2022)."""

import keras
import tensorflow as tf

from bginv.data.sources import Source
from bginv.errors import UserError
from bginv.methods.rivals.erm import ErmTraining
from bginv.methods.rivals.settings import ContrastSettings
from bginv.methods.rivals.swap import on_others
from bginv.methods.rivals.trainer import Trainer
from bginv.nn.fine_tuning import split_head
from bginv.ops.losses import cross_entropy


class ContrastTraining(ErmTraining):
    """Cross-entropy, and features that an object keeps on another background (section 3).

    With z_i, the features of image i, and z'_i, those of its object on another image's background:

        loss = mean_i l_i + lambda mean_i -log(e(z_i, z'_i) / (e(z_i, z'_i) + sum_j e(z_i, z'_j)))

    where e is exp(cosine / tau), and j are composites whose background is of the class of i and
    whose object is not. Those of the paper come from a memory of 32 a class; these, from the batch.

    Args:
        classifier: see `ErmTraining`; its last layer is a Dense one.
        settings: see there.
        name: see there.
        source: see there; with masks and backgrounds.
    """

    def __init__(
        self, classifier: keras.Model, settings: ContrastSettings, name: str, source: Source
    ):
        super().__init__(classifier, settings, name, source)
        split = split_head(classifier)
        if split is None:
            raise UserError(
                f"{classifier.name} has no Dense last layer, so contrast has no features"
            )
        self._network, self._head = split

    def views(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `ErmTraining.views`; `composite` has the objects on other backgrounds."""
        order, first, second = tf.unstack(tf.random.split(seed, 3))
        composites, donors = on_others(batch, order)
        return {
            **batch,
            "image": self.cut(batch["image"], first),
            "composite": self.cut(composites, second),
            "donor_label": tf.gather(batch["label"], donors),
        }

    def loss(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """See `ErmTraining.loss`."""
        own, labels = self.settings, batch["label"]
        features = self._network(batch["image"], training=True)
        others = self._network(batch["composite"], training=True)
        entropy = cross_entropy(labels, self._head(features))
        if own.classify_composites:
            entropy += cross_entropy(labels, self._head(others))
        contrast = contrastive_loss(features, others, labels, batch["donor_label"], own.temperature)
        loss = entropy + own.contrast_weight * contrast
        return {"loss": loss, "cross_entropy": entropy, "contrast": contrast}


def contrastive_loss(
    features: tf.Tensor,
    composites: tf.Tensor,
    labels: tf.Tensor,
    donors: tf.Tensor,
    temperature: float,
) -> tf.Tensor:
    """The second term of `ContrastTraining`, without lambda; scalar float32.

    Args:
        features: float [B, D], z.
        composites: float [B, D], z'; those of others are constants, as in the published code.
        labels: int [B], classes of the objects.
        donors: int [B], classes of the composites' backgrounds.
        temperature: tau.
    """
    one, other = (
        tf.math.l2_normalize(tf.cast(own, tf.float32), -1) for own in (features, composites)
    )
    own = tf.reduce_sum(one * other, -1) / temperature
    against = tf.matmul(one, tf.stop_gradient(other), transpose_b=True) / temperature
    is_negative = (donors[None] == labels[:, None]) & (labels[None] != labels[:, None])
    negatives = tf.where(is_negative, against, -1e9)
    return tf.reduce_mean(tf.reduce_logsumexp(tf.concat([own[:, None], negatives], 1), 1) - own)


def train(trainer: Trainer) -> None:
    """Train on images and on composites of them."""
    trainer.fit(ContrastTraining, trainer.masked())
