"""Phase 1: the classifier."""

import keras
import tensorflow as tf

from bginv.models.backbones import VGG19_SIDE, holds_backbone
from bginv.ops.augment import Augmentation
from bginv.ops.losses import cross_entropy
from bginv.recipes import ClassifierTrainingSettings
from bginv.training.method import Method


class ClassifierTraining(Method):
    """Cross-entropy on augmented images.

    Args:
        classifier: images to logits; it is trained in place.
        settings: learning rate and augmentation.
    """

    name = "classifier"

    def __init__(self, classifier: keras.Model, settings: ClassifierTrainingSettings):
        super().__init__(settings)
        self.classifier = classifier
        self.optimizer = keras.optimizers.Adam(learning_rate_of(settings, classifier))
        self.optimizer.build(classifier.trainable_variables)
        self.augmentation = Augmentation(flip=settings.flip)

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.classifier]

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        return {"classifier": self.classifier, "optimizer": self.optimizer}

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`."""
        del seed
        with tf.GradientTape() as tape:
            logits = self.classifier(batch["image"], training=True)
            loss = cross_entropy(batch["label"], logits)
        self.descend(tape, loss, [(self.optimizer, self.classifier)])
        return {"loss": loss}


def learning_rate_of(settings: ClassifierTrainingSettings, classifier: keras.Model) -> float:
    """The rate asked for, else that of the paper: 1e-3 for small networks, 1e-5 for VGG19."""
    if settings.learning_rate is not None:
        return settings.learning_rate
    side = classifier.input_shape[1] or 0  # None: any
    large = side >= VGG19_SIDE or holds_backbone(classifier)
    return 1e-5 if large else 1e-3


def decaying(
    rate: float, decay: str, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The rate, or its cosine decay to 0 (Loshchilov & Hutter 2017) for `decay` = "cosine"."""
    return keras.optimizers.schedules.CosineDecay(rate, steps) if decay == "cosine" else rate
