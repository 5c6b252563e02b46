"""PyTorch's optimizers, where Keras' of the same name take other steps."""

import keras
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
    """Adam whose epsilon is added to the corrected root (Kingma & Ba 2015, algorithm 1)."""

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8, **keywords):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **keywords)

    def update_step(self, gradient, variable, learning_rate):
        """See Keras."""
        dtype, index = variable.dtype, self._get_variable_index(variable)
        gradient, step = ops.cast(gradient, dtype), ops.cast(self.iterations + 1, dtype)
        first, second = self._momentums[index], self._velocities[index]
        self.assign_add(first, (gradient - first) * (1 - self.beta_1))
        self.assign_add(second, (ops.square(gradient) - second) * (1 - self.beta_2))
        root = ops.sqrt(second / (1 - ops.power(ops.cast(self.beta_2, dtype), step)))
        rate = ops.cast(learning_rate, dtype) / (1 - ops.power(ops.cast(self.beta_1, dtype), step))
        self.assign_sub(variable, rate * first / (root + self.epsilon))


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
