"""Right for the right reasons: no gradient on the background (Ross et al. 2017)."""

import tensorflow as tf

from bginv.methods.rivals.erm import ErmTraining
from bginv.methods.rivals.swap import objects_in
from bginv.methods.rivals.trainer import Trainer
from bginv.ops.losses import cross_entropy


class GradientPenaltyTraining(ErmTraining):
    """Cross-entropy and the squared gradient of what is told, on pixels of the background (eq. 1).

        loss = mean_i [ l_i + lambda sum_d ((1 - m_id) d/dx_id s_i)^2 ]

    m is the mask. The term s_i is the log-probability of the label here, and the sum of those of
    all classes in `RightReasonsTraining`, as in the paper.
    """

    def views(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `ErmTraining.views`; masks are cut as their images are."""
        both = self.cut(tf.concat([batch["image"], objects_in(batch["mask"])], -1), seed)
        return {**batch, "image": both[..., :-1], "mask": both[..., -1:]}

    def told(self, log_shares: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The term s, float32 [B], from log-probabilities [B, K]."""
        return tf.gather(log_shares, labels, batch_dims=1)

    def loss(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """See `ErmTraining.loss`."""
        images, labels = batch["image"], batch["label"]
        with tf.GradientTape() as inner:
            inner.watch(images)
            logits = self.logits(images)
            told = self.told(tf.nn.log_softmax(logits), labels)
        outside = inner.gradient(told, images) * (1.0 - batch["mask"])
        penalty = tf.reduce_mean(tf.reduce_sum(outside**2, [1, 2, 3]))
        entropy = cross_entropy(labels, logits)
        loss = entropy + self.settings.gradient_weight * penalty
        return {"loss": loss, "cross_entropy": entropy, "gradient": penalty}


class RightReasonsTraining(GradientPenaltyTraining):
    """The same of all classes' log-probabilities."""

    def told(self, log_shares: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See `GradientPenaltyTraining.told`."""
        del labels
        return tf.reduce_sum(log_shares, -1)


def train_by_label(trainer: Trainer) -> None:
    """Train with the gradient of the label's log-probability."""
    trainer.fit(GradientPenaltyTraining, trainer.masked())


def train_by_all(trainer: Trainer) -> None:
    """Train with the gradient of all classes' log-probabilities."""
    trainer.fit(RightReasonsTraining, trainer.masked())
