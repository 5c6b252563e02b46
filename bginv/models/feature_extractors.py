"""The networks of the PyTorch codes, from images in [0, 1] to their last feature maps."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from bginv.models.backbones import (
    IMAGENET,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    NO_WEIGHTS,
    build_backbone,
    preprocess,
)
from bginv.models.resnet import RESNETS, build_resnet
from bginv.models.vgg import VGGS, build_vgg16

INCEPTION = "inception"
IN_KERAS = {
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
    "resnet101deeplab": "ResNet101",
    "vgg16": "VGG16",
    "deeplab_largefov": "VGG16",
}
"""Networks of `keras.applications` whose weights fit."""
STAGES_IN_KERAS = {f"conv{stage + 1}_block": f"layer{stage}." for stage in range(1, 5)}


def build_features(
    network: str,
    image_shape: tuple[int, int, int],
    weights: str = NO_WEIGHTS,
    seed: int | None = None,
) -> keras.Model:
    """Images to the features of a network, its preprocessing in front.

    Args:
        network: a key of `RESNETS` or `VGGS`, or "inception".
        image_shape: (H, W, 1 or 3).
        weights: "none", random ones; or "imagenet", those of Keras. Its ResNets take their stride
            at the first convolution of a block and its images in another scale; so does the model
            then.
        seed: of the random weights; None draws one.

    Returns:
        Model from images float32 [B, H, W, C] in [0, 1] to features [B, h, w, F].

    Raises:
        ValueError: unknown network, or ImageNet weights that are not to be had.
    """
    known = (*RESNETS, *VGGS, INCEPTION)
    if network not in known:
        raise ValueError(f"the network must be one of {', '.join(known)}; received {network!r}")
    image = layers.Input(image_shape, name="image")
    if network == INCEPTION:
        backbone = build_backbone("InceptionV3", image_shape, weights, seed)
        return keras.Model(image, backbone(preprocess(image, "symmetric")), name="features")
    if weights not in (NO_WEIGHTS, IMAGENET):
        raise ValueError(f"weights must be {NO_WEIGHTS} or {IMAGENET}; received {weights!r}")
    from_keras = weights == IMAGENET
    if from_keras and network not in IN_KERAS:
        raise ValueError(
            f"Keras has no ImageNet weights of {network}, only of {', '.join(IN_KERAS)}: instead "
            f"of {IMAGENET}, give a checkpoint of torchvision, or {NO_WEIGHTS} to start from "
            "random ones"
        )
    colour_shape = (*image_shape[:2], 3)
    if network in RESNETS:
        backbone = build_resnet(RESNETS[network], colour_shape, seed, stride_first=from_keras)
    else:
        backbone = build_vgg16(VGGS[network], colour_shape, seed)
    if from_keras:
        copy_weights(build_backbone(IN_KERAS[network], colour_shape, IMAGENET, seed), backbone)
    kind = "caffe" if from_keras else "torch"
    return keras.Model(image, backbone(preprocess(image, kind)), name="features")


def renormalized(model: keras.Model, mean: np.ndarray, deviation: np.ndarray) -> keras.Model:
    """A model whose images are clipped to [0, 1], then normalized by other statistics.

    Args:
        model: it normalizes by those of ImageNet.
        mean: float [3].
        deviation: float [3].
    """
    image = layers.Input(model.input_shape[1:], name="image")
    scale = IMAGENET_DEVIATION / deviation
    change = layers.Rescaling(scale.tolist(), (IMAGENET_MEAN - mean * scale).tolist())
    clipped = layers.ReLU(1.0, name="clipped")(image)
    return keras.Model(image, model(change(clipped)), name=model.name)


def copy_weights(theirs: keras.Model, ours: keras.Model) -> None:
    """Give a network of this package the weights of that of `keras.applications`.

    Keras' convolutions before a batch norm have a bias; it goes into the moving mean.

    Args:
        theirs: ResNet50, ResNet101, ResNet152 or VGG16 without top.
        ours: of `build_resnet` or `build_vgg16`.
    """
    if any(isinstance(layer, layers.BatchNormalization) for layer in theirs.layers):
        for layer in theirs.layers:
            if isinstance(layer, layers.BatchNormalization):
                _copy_normalized(theirs, ours, layer.name.removesuffix("_bn"))
        return
    pairs = (
        [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
        for model in (theirs, ours)
    )
    for source, target in zip(*pairs, strict=True):
        target.set_weights(source.get_weights())


def _copy_normalized(theirs: keras.Model, ours: keras.Model, name: str) -> None:
    """A convolution and the batch norm behind it."""
    kernel, bias = theirs.get_layer(f"{name}_conv").get_weights()
    gamma, beta, mean, variance = theirs.get_layer(f"{name}_bn").get_weights()
    conv, norm = _names(name)
    ours.get_layer(conv).set_weights([kernel])
    ours.get_layer(norm).set_weights([gamma, beta, mean - bias, variance])


def _names(name: str) -> Sequence[str]:
    """Ours of the convolution and the batch norm that Keras calls by such a name."""
    if name == "conv1":
        return "conv1", "bn1"
    stage, block, place = name.split("_")  # such as conv2_block1_0; 0 is the shortcut
    prefix = f"{STAGES_IN_KERAS[f'{stage}_block']}{int(block.removeprefix('block')) - 1}."
    if place == "0":
        return f"{prefix}downsample.0", f"{prefix}downsample.1"
    return f"{prefix}conv{place}", f"{prefix}bn{place}"
