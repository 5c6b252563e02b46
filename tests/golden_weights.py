"""The weights that the golden numbers were made with, drawn by name."""

import math
import zlib

import keras
import numpy as np

from bginv.interop.torch_weights import from_torch, named_weights, to_torch_shape

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


def state_of(model: keras.Model, prefix: str = "", last_norm: str | None = None) -> dict:
    """A state dict by the recipe for a model whose layers bear PyTorch's names.

    Args:
        model: its names and shapes are taken.
        prefix: of the names that the numbers are drawn by.
        last_norm: such as "bn2", the batch norm that ends a residual branch; its scale is small.
    """
    state = {}
    for name, weight in named_weights(model):
        array = draw(prefix + name, to_torch_shape(tuple(weight.shape)))
        small = last_norm is not None and name.endswith(f".{last_norm}.weight")
        state[name] = array * np.float32(0.2) if small else array
    return state


def fill_named(model: keras.Model, prefix: str = "", last_norm: str | None = None) -> None:
    """Give a model the weights of `state_of`."""
    state = state_of(model, prefix, last_norm)
    for name, weight in named_weights(model):
        weight.assign(from_torch(state[name]))


def blocky(seed: int, shape: tuple[int, ...], block: int = 16) -> np.ndarray:
    """Images [N, H, W, C], as if normalised; the recipe draws them channels first."""
    count, channels, height, width = shape
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((count, channels, -(-height // block), -(-width // block)))
    images = coarse.repeat(block, 2).repeat(block, 3)[:, :, :height, :width]
    images = images + 0.3 * rng.standard_normal(shape)
    return images.astype(np.float32).transpose(0, 2, 3, 1)


def block_labels(seed: int, shape: tuple[int, ...], num_classes: int, block: int = 8) -> np.ndarray:
    """Label maps int32 [N, H, W] of square patches; 255 where nothing is known."""
    count, height, width = shape
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, num_classes + 1, (count, -(-height // block), -(-width // block)))
    maps = coarse.repeat(block, 1).repeat(block, 2)[:, :height, :width]
    return np.where(maps == num_classes, 255, maps).astype(np.int32)


def normal(seed: int, shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
    """Normal numbers [N, H, W, C]; the recipe draws them channels first."""
    drawn = scale * np.random.default_rng(seed).standard_normal(shape)
    return drawn.astype(np.float32).transpose(0, 2, 3, 1)


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
