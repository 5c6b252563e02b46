"""Batch normalization with PyTorch's statistics."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("bginv")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization (Ioffe & Szegedy 2015) over all axes but the last, of 4.

    As in PyTorch, the moving variance takes that of a sample (n / (n - 1)); Keras takes the biased
    one. TensorFlow's fused kernel gives it, and is faster.

    Args:
        momentum: of the moving mean and variance.
        epsilon: added to the variance.
        fixed_affine: scale and shift are not trained, though the statistics are those of a batch.
    """

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        fixed_affine: bool = False,
        **keywords,
    ):
        super().__init__(momentum=momentum, epsilon=epsilon, **keywords)
        self.fixed_affine = fixed_affine

    def add_weight(self, *arguments, **keywords):
        """See Keras; all of them come without `trainable`, or with False."""
        trainable = keywords.pop("trainable", True) and not self.fixed_affine
        return super().add_weight(*arguments, trainable=trainable, **keywords)

    def get_config(self):
        """See Keras."""
        return {**super().get_config(), "fixed_affine": self.fixed_affine}

    def call(self, inputs, training=False, mask=None):
        """See Keras."""
        del mask
        training = bool(training and self.trainable)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            *(tf.convert_to_tensor(weight) for weight in (self.gamma, self.beta)),
            mean=None if training else tf.convert_to_tensor(self.moving_mean),
            variance=None if training else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            for moving, latest in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + latest * (1.0 - self.momentum))
        return outputs
