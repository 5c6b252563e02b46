"""Group DRO: the classifier of the least loss of the worst group (Sagawa et al. 2020)."""

import keras
import numpy as np
import tensorflow as tf

from bginv.data.sources import Source
from bginv.methods.rivals.balanced import equally_often
from bginv.methods.rivals.erm import ErmTraining
from bginv.methods.rivals.settings import GroupDroSettings
from bginv.methods.rivals.trainer import Trainer
from bginv.ops.replicas import mean_over_replicas


class GroupDroTraining(ErmTraining):
    """Online optimization of a weighted mean over groups (algorithm 1).

    With l_g, the mean loss of the batch's records of group g (0 without any), and n_g, its training
    records:

        q_g <- q_g exp(rate (l_g + C / sqrt(n_g))),  q <- q / sum(q),  loss = sum_g q_g l_g

    The algorithm takes one group a step; its published code, and this, all those of a batch. The
    code adds the adjustment to the loss too, which changes no gradient.

    Args:
        classifier: see `ErmTraining`.
        settings: see there.
        name: see there.
        source: see there.
        groups: int [N], the group of each of its records.
    """

    def __init__(
        self,
        classifier: keras.Model,
        settings: GroupDroSettings,
        name: str,
        source: Source,
        groups: np.ndarray,
    ):
        super().__init__(classifier, settings, name, source)
        found, numbers, counts = np.unique(groups, return_inverse=True, return_counts=True)
        self._groups = tf.constant(numbers, tf.int32)
        self._adjustments = tf.constant(settings.group_adjustment / np.sqrt(counts), tf.float32)
        self.weights = tf.Variable(
            np.full(len(found), 1 / len(found), np.float32),
            trainable=False,
            aggregation=tf.VariableAggregation.MEAN,
        )

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        return {**super().state(), "group_weights": self.weights}

    def loss(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """See `ErmTraining.loss`."""
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            batch["label"], self.logits(batch["image"])
        )
        inside = tf.one_hot(tf.gather(self._groups, batch["index"]), len(self._adjustments), axis=0)
        counts = mean_over_replicas(tf.reduce_sum(inside, 1))
        of_groups = tf.math.divide_no_nan(tf.linalg.matvec(inside, losses), counts)
        told = tf.stop_gradient(mean_over_replicas(of_groups)) + self._adjustments
        grown = self.weights * tf.exp(self.settings.group_rate * told)
        self.weights.assign(grown / tf.reduce_sum(grown))
        return {"loss": tf.reduce_sum(self.weights * of_groups), "worst_group": tf.reduce_max(told)}


def train(trainer: Trainer) -> None:
    """Train on batches of which each group makes the same share, as the published code does."""
    groups = trainer.groups(trainer.train)
    trainer.fit(GroupDroTraining, equally_often(trainer, groups), groups=groups)
