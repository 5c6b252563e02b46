"""The weights of the epoch that was best on validation images."""

from collections.abc import Sequence

import keras
import tensorflow as tf


class BestWeights(tf.Module):
    """A copy of the weights of models, and their score; a part of the method's state.

    Args:
        models: whose weights are kept.
    """

    def __init__(self, models: Sequence[keras.Model]):
        super().__init__()
        self._weights = [weight for model in models for weight in model.weights]
        self.score = tf.Variable(-1.0, trainable=False, dtype=tf.float64)
        self.kept = [tf.Variable(weight.value, trainable=False) for weight in self._weights]

    def offer(self, score: float) -> bool:
        """Keep the weights as they are now if no earlier score was as high; whether they were."""
        if score <= float(tf.convert_to_tensor(self.score)):
            return False
        self.score.assign(score)
        for kept, weight in zip(self.kept, self._weights, strict=True):
            kept.assign(tf.convert_to_tensor(weight.value))
        return True

    def restore(self) -> None:
        """Give the models the weights kept; nothing if none were offered."""
        if float(tf.convert_to_tensor(self.score)) < 0:
            return
        for kept, weight in zip(self.kept, self._weights, strict=True):
            weight.assign(tf.convert_to_tensor(kept))
