"""Phase 1: the classifier."""

import keras
import tensorflow as tf

from bginv.ops.augment import Augmentation
from bginv.ops.losses import cross_entropy
from bginv.recipes import ClassifierSettings
from bginv.training.loop import Method


class ClassifierTraining(Method):
    """Cross-entropy on augmented images.

    Args:
        classifier: images to logits; it is trained in place.
        settings: learning rate and augmentation.
    """

    name = "classifier"

    def __init__(self, classifier: keras.Model, settings: ClassifierSettings):
        self.classifier = classifier
        self.optimizer = keras.optimizers.Adam(settings.learning_rate)
        self.optimizer.build(classifier.trainable_variables)
        self.augmentation = Augmentation(flip=settings.flip)

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`."""
        del seed
        variables = self.classifier.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.classifier(batch["image"], training=True)
            loss = cross_entropy(batch["label"], logits)
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}
