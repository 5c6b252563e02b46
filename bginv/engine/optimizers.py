"""PyTorch's optimizers; averaged weights, and those of the best epoch."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("bginv")
class SGD(keras.optimizers.SGD):
    """Momentum whose velocity does not hold the rate, and a decay that is part of the gradient.

    `v = momentum v + (g + decay w)`, `w -= rate v`. Keras' velocity keeps the rates of earlier
    steps, and its decay bypasses it.

    Args:
        learning_rate: a number or a schedule.
        momentum: of the velocity.
        decay: weight of the L2 penalty, of every weight.
    """

    def __init__(self, learning_rate=0.001, momentum=0.9, decay=0.0, **keywords):
        super().__init__(learning_rate, momentum, **keywords)
        self.decay = decay

    def update_step(self, gradient, variable, learning_rate):
        """See Keras."""
        dtype = variable.dtype
        step = ops.cast(gradient, dtype) + self.decay * variable
        if self.momentum:  # Keras keeps no velocity without
            velocity = self.momentums[self._get_variable_index(variable)]
            step = self.momentum * velocity + step
            self.assign(velocity, step)
        self.assign_sub(variable, ops.cast(learning_rate, dtype) * step)

    def get_config(self):
        """See Keras."""
        return {**super().get_config(), "decay": self.decay}


@keras.saving.register_keras_serializable("bginv")
class RepeatedSGD(SGD):
    """`SGD` where a weight is listed several times, as in the published code of AdaptSegNet.

    A listed weight takes a step for each place in the list, all along one gradient. At the first
    step each of these steps begins with a velocity of 0.

    Args:
        times: how often each weight is listed, in their order.
    """

    def __init__(self, learning_rate=0.001, momentum=0.9, decay=0.0, times=(), **keywords):
        super().__init__(learning_rate, momentum, decay, **keywords)
        self.times = tuple(times)

    def update_step(self, gradient, variable, learning_rate):
        """See Keras."""
        dtype, index = variable.dtype, self._get_variable_index(variable)
        gradient, rate = ops.cast(gradient, dtype), ops.cast(learning_rate, dtype)
        kept = ops.where(self.iterations == 0, 0.0, self.momentum)
        velocity, weight = 0.0, variable + 0
        if self.momentum:  # Keras keeps no velocity without
            velocity = ops.convert_to_tensor(self.momentums[index])
        for _ in range(self.times[index]):
            velocity = kept * velocity + gradient + self.decay * weight
            weight = weight - rate * velocity
        if self.momentum:
            self.assign(self.momentums[index], velocity)
        self.assign(variable, weight)

    def get_config(self):
        """See Keras."""
        return {**super().get_config(), "times": self.times}


@keras.saving.register_keras_serializable("bginv")
class Adam(keras.optimizers.Adam):
    """Adam whose epsilon is added to the corrected root (Kingma & Ba 2015, algorithm 1).

    Args:
        learning_rate: a number or a schedule.
        beta_1: decay of the gradients' mean.
        beta_2: and of that of their squares.
        epsilon: see above.
        decay: weight of the L2 penalty, whose gradient is part of the gradient.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        decay=0.0,
        **keywords,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **keywords)
        self.decay = decay

    def update_step(self, gradient, variable, learning_rate):
        """See Keras."""
        dtype, index = variable.dtype, self._get_variable_index(variable)
        gradient, step = ops.cast(gradient, dtype), ops.cast(self.iterations + 1, dtype)
        if self.decay:
            gradient += self.decay * variable
        first, second = self._momentums[index], self._velocities[index]
        self.assign_add(first, (gradient - first) * (1 - self.beta_1))
        self.assign_add(second, (ops.square(gradient) - second) * (1 - self.beta_2))
        root = ops.sqrt(second / (1 - ops.power(ops.cast(self.beta_2, dtype), step)))
        rate = ops.cast(learning_rate, dtype) / (1 - ops.power(ops.cast(self.beta_1, dtype), step))
        self.assign_sub(variable, rate * first / (root + self.epsilon))

    def get_config(self):
        """See Keras."""
        return {**super().get_config(), "decay": self.decay}


@keras.saving.register_keras_serializable("bginv")
class RMSprop(keras.optimizers.RMSprop):
    """RMSprop whose epsilon is added to the root, not under it."""

    def __init__(self, learning_rate=0.01, rho=0.99, epsilon=1e-8, **keywords):
        super().__init__(learning_rate, rho, epsilon=epsilon, **keywords)

    def update_step(self, gradient, variable, learning_rate):
        """See Keras."""
        dtype = variable.dtype
        gradient = ops.cast(gradient, dtype)
        mean_square = self._velocities[self._get_variable_index(variable)]
        self.assign_add(mean_square, (ops.square(gradient) - mean_square) * (1 - self.rho))
        step = ops.cast(learning_rate, dtype) * gradient
        self.assign_sub(variable, step / (ops.sqrt(mean_square) + self.epsilon))


@contextlib.contextmanager
def weights_kept(weights: Sequence[keras.Variable]) -> Iterator[None]:
    """Whatever weights are while the context is open, they are as before in the end."""
    kept = [tf.convert_to_tensor(weight.value) for weight in weights]
    try:
        yield
    finally:
        for weight, value in zip(weights, kept, strict=True):
            weight.assign(value)


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
        with weights_kept(self._weights):
            self.take_over()
            yield

    def take_over(self) -> None:
        """Give the model the averages."""
        for weight, average in zip(self._weights, self.averages, strict=True):
            weight.assign(tf.convert_to_tensor(average))


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
