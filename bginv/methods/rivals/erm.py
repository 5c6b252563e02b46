"""Empirical risk minimization: the step that every rival begins with."""

import keras
import tensorflow as tf

from bginv.data.sources import Source
from bginv.engine.method import Method, with_own_losses
from bginv.engine.optimizers import SGD, Adam, BestWeights
from bginv.methods.rivals.settings import RivalSettings
from bginv.methods.rivals.trainer import Trainer
from bginv.ops.geometry import random_resized_crops
from bginv.ops.losses import cross_entropy


class ErmTraining(Method):
    """Gradient descent on the mean cross-entropy, `1/B sum_i l(f(x_i), y_i)`.

    Others override `loss`, `views` or `state`. Instead of images, batches may hold features of a
    frozen network.

    Args:
        classifier: images, or features, to logits; what is not trainable of it stays.
        settings: see there.
        name: of the training, for reports.
        source: what batches are drawn from.

    Attributes:
        best: the weights of the best epoch, where one is chosen.
    """

    best: BestWeights | None = None

    def __init__(self, classifier: keras.Model, settings: RivalSettings, name: str, source: Source):
        super().__init__(settings)
        del source
        self.classifier, self.name = classifier, name
        if settings.optimizer == "adam":
            self.optimizer = Adam(settings.learning_rate, decay=settings.weight_decay)
        else:
            self.optimizer = SGD(settings.learning_rate, settings.momentum, settings.weight_decay)
        self.optimizer.build(classifier.trainable_variables)

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.classifier]

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        best = {"best": self.best} if self.best else {}
        return {"classifier": self.classifier, "optimizer": self.optimizer, **best}

    def finish(self) -> None:
        """See `Method.finish`; the weights of the best epoch come back, where one was chosen."""
        if self.best:
            self.best.restore()

    def augment_batch(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.augment_batch`; features stay as they are."""
        return self.views(batch, seed) if batch["image"].shape.rank == 4 else batch

    def views(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """The batch with images cut at random and mirrored."""
        return {**batch, "image": self.cut(batch["image"], seed)}

    def cut(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Random crops [B, H, W, C] of images of that shape, half of them mirrored."""
        own = self.settings
        return random_resized_crops(images, seed, images.shape[1:3], own.smallest_crop, own.flip)

    def loss(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Scalars, "loss" among them; it is called inside a tape."""
        return {"loss": cross_entropy(batch["label"], self.logits(batch["image"]))}

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """float32 [B, K]."""
        return tf.cast(self.classifier(images, training=True), tf.float32)

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`."""
        del seed
        with tf.GradientTape() as tape:
            terms = self.loss(batch)
            loss = with_own_losses(terms["loss"], self.classifier)
        self.descend(tape, loss, [(self.optimizer, self.classifier)])
        return {**terms, "loss": loss}


def train(trainer: Trainer) -> None:
    """Train on all images alike."""
    trainer.fit(ErmTraining, trainer.train)
