"""Generators of masks and backgrounds as they are trained: the same numbers, sooner."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from bginv.ops.convolutions import upsampled_convolution


def fuse_upsampling(model: keras.Model) -> keras.Model:
    """A model of the same weights whose upsamplings are one with the 3x3 convolutions behind them.

    Args:
        model: it stays as it is, and is the one to save.

    Returns:
        A model for training steps; `model` itself where there is nothing to fuse, or no graph to
        look for it.
    """
    functional = type(model) is type(keras.Model(*[layers.Input([1])] * 2))
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
        inner, dtype = self.convolution, self.convolution.compute_dtype
        bias = inner.bias if inner.use_bias else tf.zeros([inner.filters])
        x, kernel, bias = (tf.cast(value, dtype) for value in (x, inner.kernel, bias))
        return inner.activation(upsampled_convolution(x, kernel, bias))

    def compute_output_shape(self, shape: tuple) -> tuple:
        batch, height, width, _ = shape
        doubled = [side and 2 * side for side in (height, width)]
        return batch, *doubled, self.convolution.filters
