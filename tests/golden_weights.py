"""The weights that the golden numbers were made with, drawn by name."""

import math
import zlib

import keras
import numpy as np

BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An entry of a state dict, in PyTorch's shape."""
    normal = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        normal = 1 + 0.1 * np.abs(normal)
    elif leaf in ("running_mean", "bias"):
        normal = 0.1 * normal
    elif len(shape) == 1:
        normal = 1 + 0.1 * normal
    else:
        normal = normal * math.sqrt(2 / math.prod(shape[1:]))
    return normal.astype(np.float32)


def fill(layer: keras.Layer, name: str) -> None:
    """Give a layer of Keras the weights of the layer of this name."""
    if isinstance(layer, keras.layers.BatchNormalization):
        shape = layer.gamma.shape
        layer.set_weights([draw(f"{name}.{leaf}", shape) for leaf in BATCH_NORM])
        return
    *kernel, channels, filters = layer.kernel.shape
    drawn = draw(f"{name}.weight", (filters, channels, *kernel))
    weights = [drawn.transpose(2, 3, 1, 0) if kernel else drawn.T]
    if layer.use_bias:
        weights.append(draw(f"{name}.bias", (filters,)))
    layer.set_weights(weights)


def fill_densenet121(model: keras.Model, prefix: str) -> None:
    """Give a DenseNet-121 of Keras, without its top, the weights of torchvision's names."""
    for layer in model.layers:
        if layer.weights:
            fill(layer, f"{prefix}features.{_densenet_name(layer.name)}")


def _densenet_name(name: str) -> str:
    stems = {"conv1_conv": "conv0", "conv1_bn": "norm0", "bn": "norm5"}
    if name in stems:
        return stems[name]
    stage, *rest = name.split("_")
    block = int(stage.removeprefix("conv").removeprefix("pool")) - 1
    if stage.startswith("pool"):
        return f"transition{block}.{'norm' if rest == ['bn'] else 'conv'}"
    part = {"0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"}
    return f"denseblock{block}.denselayer{rest[0].removeprefix('block')}.{part['_'.join(rest[1:])]}"
