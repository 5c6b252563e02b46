"""Averages of a model's weights over the steps of its training."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

FIRST_UPDATES = 10.0


class AveragedWeights(tf.Module):
    """The average, statistics of batch norms included; a part of a method's state.

    An exponential moving average (Polyak & Juditsky 1992) decays by (1 + n) / (10 + n) at first,
    after n updates, so that initial weights are soon forgotten.

    Args:
        model: whose weights are averaged.
        decay: of the moving average.
    """

    def __init__(self, model: keras.Model, decay: float):
        super().__init__()
        self.decay = decay
        # counters and images that layers hold have no average
        self._weights = [weight for weight in model.weights if "float" in weight.dtype]

        def variable(value) -> tf.Variable:
            first = tf.VariableAggregation.ONLY_FIRST_REPLICA
            return tf.Variable(value, trainable=False, aggregation=first)

        self.updates = variable(0.0)
        self.averages = [variable(weight.value) for weight in self._weights]

    def update(self) -> None:
        """Take the weights in as they are now; in graph, after a step."""
        early = (1 + self.updates) / (FIRST_UPDATES + self.updates)
        share = 1 - tf.minimum(self.decay, early)
        self.updates.assign_add(1.0)
        for average, weight in zip(self.averages, self._weights, strict=True):
            average.assign_add(share * (tf.convert_to_tensor(weight.value) - average))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the model the averages for as long as the context is open."""
        kept = [tf.convert_to_tensor(weight.value) for weight in self._weights]
        self.take_over()
        try:
            yield
        finally:
            self._assign(kept)

    def take_over(self) -> None:
        """Give the model the averages."""
        self._assign([tf.convert_to_tensor(average) for average in self.averages])

    def _assign(self, values: list[tf.Tensor]) -> None:
        for weight, value in zip(self._weights, values, strict=True):
            weight.assign(value)
