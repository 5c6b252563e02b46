"""Layers, initial weights and faster forms of layers that several networks share."""

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import layers


@contextlib.contextmanager
def in_float32() -> Iterator[None]:
    """Layers made here compute in float32, whatever Keras' global policy is."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


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


Initializer = keras.initializers.Initializer


def glorot_uniform(seed: int | None) -> Iterator[Initializer]:
    """Yield Keras' default kernel initializer again and again, each time with a seed of its own.

    Keras gives two layers of one shape the same weights if they share an integer seed.

    Args:
        seed: the one seed; None leaves every draw to Keras' global generator.
    """
    return _seeded(keras.initializers.GlorotUniform, seed)


def he_normal(seed: int | None) -> Iterator[Initializer]:
    """The same for the normal distribution of variance 2 / fan-out (He et al. 2015)."""
    return _seeded(
        lambda own: keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", own),
        seed,
    )


def lecun_uniform(seed: int | None) -> Iterator[Initializer]:
    """The same for the uniform distribution on +-1 / sqrt(fan-in), PyTorch's of dense layers."""
    return _seeded(
        lambda own: keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", own), seed
    )


def small_normal(seed: int | None) -> Iterator[Initializer]:
    """The same for the normal distribution of deviation 0.01, that of DeepLab's heads."""
    return _seeded(lambda own: keras.initializers.RandomNormal(0.0, 0.01, own), seed)


def _seeded(make: Callable[[int | None], Initializer], seed: int | None) -> Iterator[Initializer]:
    draws = random.Random(seed)
    while True:
        yield make(None if seed is None else draws.getrandbits(31))


def fuse_upsampling(model: keras.Model) -> keras.Model:
    """A model of the same weights whose upsamplings are one with the 3x3 convolutions behind them.

    Args:
        model: it stays as it is, and is the one to save.

    Returns:
        A model for training steps; `model` itself where there is nothing to fuse, or no graph to
        look for it.
    """
    one = layers.Input([1])
    functional = type(model) is type(keras.Model(one, layers.Identity()(one)))
    if not (functional and any(isinstance(own, layers.UpSampling2D) for own in model.layers)):
        return model
    before: dict[int, Any] = {}

    def call(layer: layers.Layer, *arguments: Any, **more: Any) -> Any:
        if isinstance(layer, layers.Conv2D) and id(arguments[0]) in before and _is_plain(layer):
            return _UpsampledConvolution(layer)(before[id(arguments[0])])
        outputs = layer(*arguments, **more)
        if isinstance(layer, layers.UpSampling2D) and _doubles(layer):
            before[id(outputs)] = arguments[0]
        return outputs

    return keras.models.clone_model(model, clone_function=lambda own: own, call_function=call)


def _doubles(layer: layers.UpSampling2D) -> bool:
    wanted = ((2, 2), "nearest", "channels_last")
    return (tuple(layer.size), layer.interpolation, layer.data_format) == wanted


def _is_plain(layer: layers.Conv2D) -> bool:
    found = (layer.kernel_size, layer.strides, layer.dilation_rate, layer.groups, layer.padding)
    return type(layer) is layers.Conv2D and found == ((3, 3), (1, 1), (1, 1), 1, "same")


class _UpsampledConvolution(layers.Layer):
    """`UpSampling2D` before a convolution that keeps its weights and its precision."""

    def __init__(self, convolution: layers.Conv2D):
        super().__init__(autocast=False)
        self.convolution = convolution

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """See Keras."""
        inner, dtype = self.convolution, self.convolution.compute_dtype
        bias = inner.bias if inner.use_bias else tf.zeros([inner.filters])
        x, kernel, bias = (tf.cast(value, dtype) for value in (x, inner.kernel, bias))
        return inner.activation(upsampled_convolution(x, kernel, bias))

    def compute_output_shape(self, shape: tuple) -> tuple:
        """See Keras."""
        batch, height, width, _ = shape
        doubled = [side and 2 * side for side in (height, width)]
        return batch, *doubled, self.convolution.filters


def upsampled_convolution(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Nearest upsampling by 2, then a 3x3 convolution with zeros around, in 16/36 of the products.

    Each output pixel sees 2x2 input pixels, some of them under several weights. Added up, these
    weights make a 4x4 kernel, and the whole a transposed convolution of stride 2.

    Args:
        x: float [B, H, W, C].
        kernel: [3, 3, C, D], dtype of `x`.
        bias: [D], dtype of `x`.

    Returns:
        [B, 2H, 2W, D], dtype of `x`.
    """
    batch, height, width, _ = tf.unstack(tf.shape(x))
    rows = tf.pad(kernel, [[1, 0], [0, 0], [0, 0], [0, 0]])
    rows += tf.pad(kernel, [[0, 1], [0, 0], [0, 0], [0, 0]])
    summed = tf.pad(rows, [[0, 0], [1, 0], [0, 0], [0, 0]])
    summed += tf.pad(rows, [[0, 0], [0, 1], [0, 0], [0, 0]])
    transposed = tf.transpose(tf.reverse(summed, [0, 1]), [0, 1, 3, 2])
    shape = [batch, 2 * height, 2 * width, kernel.shape[-1]]
    convolved = tf.nn.conv2d_transpose(x, transposed, shape, 2, "SAME")
    if None not in x.shape[1:3]:
        convolved.set_shape([x.shape[0], 2 * x.shape[1], 2 * x.shape[2], kernel.shape[-1]])
    return tf.nn.bias_add(convolved, bias)
