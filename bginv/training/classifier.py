"""Phase 1: the classifier."""

import keras
import tensorflow as tf

from bginv.ops.augment import Augmentation
from bginv.ops.losses import cross_entropy
from bginv.recipes import ClassifierSettings
from bginv.training.method import Method


class ClassifierTraining(Method):
    """Cross-entropy on augmented images.

    Args:
        classifier: images to logits; it is trained in place.
        settings: learning rate and augmentation.
    """

    name = "classifier"

    def __init__(self, classifier: keras.Model, settings: ClassifierSettings):
        super().__init__(settings)
        self.classifier = classifier
        self.optimizer = keras.optimizers.Adam(settings.learning_rate)
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
