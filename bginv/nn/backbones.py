"""Classifiers on the networks of `keras.applications`; VGG19 as in the paper for large images."""

import contextlib
import pathlib
import sys
import warnings
from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from bginv.errors import UserError, first_line
from bginv.nn.efficientnet_lite import build_efficientnet_lite0
from bginv.nn.layers import glorot_uniform
from bginv.nn.paper_networks import build_classifier

VGG19_SIDE = 128
IMAGENET, NO_WEIGHTS = "imagenet", "none"
AUTO, SMALL, LITE0 = "auto", "small", "efficientnet_lite0"
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225])
CAFFE_MEAN = np.array([103.939, 116.779, 123.68])
"""Of blue, green and red, in [0, 255]."""

DEEPLAB_MEAN = np.array([104.00698793, 116.66876762, 122.67891434])
"""The same, to more places and over other images, as DeepLab's networks were trained."""

_SCALES = {
    "caffe": (255.0, -CAFFE_MEAN),
    "deeplab": (255.0, -DEEPLAB_MEAN),
    "torch": (1 / IMAGENET_DEVIATION, -IMAGENET_MEAN / IMAGENET_DEVIATION),
    "symmetric": (2.0, -1.0),
    "bytes": (255.0, 0.0),
}
_PREPROCESSING = {
    "convnext": "bytes",
    "densenet": "torch",
    "efficientnet": "bytes",
    "efficientnet_v2": "bytes",
    "inception_resnet_v2": "symmetric",
    "inception_v3": "symmetric",
    "mobilenet": "symmetric",
    "mobilenet_v2": "symmetric",
    "mobilenet_v3": "bytes",
    "nasnet": "symmetric",
    "resnet": "caffe",
    "resnet_v2": "symmetric",
    "vgg16": "caffe",
    "vgg19": "caffe",
    "xception": "symmetric",
}
"""What each module of `keras.applications` does to its images before its networks see them."""


def build_architecture(
    architecture: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    weights: str = IMAGENET,
    seed: int | None = None,
) -> keras.Model:
    """The classifier of this name.

    Args:
        architecture: "small", the paper's for small images; "efficientnet_lite0"; a name of
            `keras.applications` in any case; or "auto": VGG19 for images of 128 rows and more, as
            in the paper, else "small".
        image_shape: (H, W, C).
        num_classes: number of logits.
        weights: of a network of `keras.applications`: "imagenet", "none" (random), or an `.h5`
            file with the weights of the network without its top.
        seed: of the random weights; None draws one.

    Returns:
        Model from images float32 [B, H, W, C] in [0, 1] to logits float32 [B, num_classes].

    Raises:
        UserError: unknown name, images that are too small, or weights that cannot be had.
    """
    architecture = architecture.lower()
    if architecture == AUTO:
        architecture = "VGG19" if image_shape[0] >= VGG19_SIDE else SMALL
    if architecture == SMALL:
        if weights.lower() not in (IMAGENET, NO_WEIGHTS):
            raise UserError(
                f"--weights {weights} is for a network of keras.applications; name it with "
                "--architecture, or leave the weights out"
            )
        return build_classifier(image_shape, num_classes, seed)
    if architecture == LITE0:
        return build_lite0_classifier(image_shape, num_classes, weights, seed)
    return build_backbone_classifier(architecture, image_shape, num_classes, weights, seed)


def build_lite0_classifier(
    image_shape: tuple[int, int, int],
    num_classes: int,
    weights: str = IMAGENET,
    seed: int | None = None,
) -> keras.Model:
    """EfficientNet-Lite0 whose features are averaged, and new logits.

    Args: see `build_architecture`; weights may be a `.pth` file in PyTorch's names.
    """
    own = None if weights.lower() == NO_WEIGHTS else weights
    colour = (*image_shape[:2], 3)
    backbone = build_efficientnet_lite0(colour, own, seed=seed)
    image, features = backbone.input, backbone.output
    if image_shape[-1] == 1:
        image = layers.Input(image_shape, name="image")
        features = backbone(layers.Concatenate()([image] * 3))
    x = layers.GlobalAveragePooling2D(name="pool")(features)
    initializer = next(glorot_uniform(seed))
    logits = layers.Dense(num_classes, kernel_initializer=initializer, name="logits")(x)
    return keras.Model(image, logits, name=f"{LITE0}_classifier")


def build_backbone_classifier(
    architecture: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    weights: str = IMAGENET,
    seed: int | None = None,
) -> keras.Model:
    """A network of `keras.applications` without its top, its preprocessing in front of it.

    VGG19 and VGG16 get two dense layers of 4096 and the logits, as in Cruz et al. 2020; the others
    average their features and get the logits alone. See `build_architecture`.
    """
    canonical = canonical_name(architecture)
    initializers = glorot_uniform(seed)
    image = layers.Input(image_shape, name="image")
    backbone = build_backbone(canonical, image_shape, weights, seed)
    x = backbone(preprocess(image, preprocessing_of(canonical)))
    if canonical.startswith("VGG"):
        x = layers.Flatten()(x)
        for _ in range(2):
            x = layers.Dense(4096, activation="relu", kernel_initializer=next(initializers))(x)
    else:
        x = layers.GlobalAveragePooling2D()(x)
    logits = layers.Dense(num_classes, kernel_initializer=next(initializers), name="logits")(x)
    return keras.Model(image, logits, name=f"{canonical.lower()}_classifier")


def build_backbone(
    architecture: str, image_shape: tuple[int, int, int], weights: str, seed: int | None
) -> keras.Model:
    """A network of `keras.applications` without its top, on preprocessed colour images.

    Args: see `build_architecture`.

    Raises:
        UserError: images that are too small, or weights that cannot be had.
    """
    build = getattr(keras.applications, canonical_name(architecture))
    arguments = {"include_top": False, "input_shape": (*image_shape[:2], 3)}
    try:
        backbone = build(weights=None, **arguments)
    except ValueError as error:
        raise UserError(f"{architecture}: {first_line(error)}") from error
    if weights.lower() == IMAGENET:
        return _with_imagenet(build, arguments, backbone.name)
    if weights.lower() != NO_WEIGHTS:
        return _with_file(build, arguments, backbone.name, weights)
    initializers = glorot_uniform(seed)
    for weight in backbone.trainable_weights:
        if len(weight.shape) > 1:
            weight.assign(next(initializers)(weight.shape))
    return backbone


def _with_imagenet(build: Callable[..., keras.Model], arguments: dict, name: str) -> keras.Model:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras tells there what it downloads
            return build(weights=IMAGENET, **arguments)
    except Exception as error:  # Keras has no error of its own for a download
        raise UserError(
            f"the ImageNet weights of {name} cannot be downloaded ({first_line(error)}): "
            f"instead of {IMAGENET}, give a file that holds them, or {NO_WEIGHTS} to start from "
            "random ones"
        ) from error


def _with_file(
    build: Callable[..., keras.Model], arguments: dict, name: str, path: str
) -> keras.Model:
    if not pathlib.Path(path).is_file():
        raise UserError(
            f"--weights {path}: there is no such file; give imagenet, none or an .h5 file with "
            f"the weights of {name} without top"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one for each layer that does not fit
            return build(weights=path, **arguments)
    except Exception as error:  # as many kinds as there are broken files
        raise UserError(
            f"--weights {path} does not hold {name} without top: {first_line(error)}"
        ) from error


def preprocess(image: keras.KerasTensor, kind: str, name: str = "preprocess") -> keras.KerasTensor:
    """Images in [0, 1], grey or colour, as a backbone wants them; by layers that are saved.

    Args:
        image: [B, H, W, 1 or 3] in [0, 1].
        kind: "caffe" or "deeplab" (BGR minus a mean), "torch" (ImageNet's mean and deviation),
            "symmetric" ([-1, 1]) or "bytes" ([0, 255]).
        name: of the last layer.
    """
    if image.shape[-1] == 1:
        image = layers.Concatenate()([image] * 3)
    if kind in ("caffe", "deeplab"):
        image = keras.ops.flip(image, axis=-1)
    scale, offset = (np.asarray(value).tolist() for value in _SCALES[kind])
    return layers.Rescaling(scale, offset, name=name)(image)


def canonical_name(architecture: str) -> str:
    """The name in `keras.applications`, from one in any case.

    Raises:
        UserError: there is none; it lists them.
    """
    known = {name.lower(): name for name in vars(keras.applications) if name[0].isupper()}
    if architecture.lower() not in known:
        raise UserError(
            f"--architecture must be {AUTO}, {SMALL}, {LITE0} or one of "
            f"{', '.join(known.values())}; received {architecture!r}"
        )
    return known[architecture.lower()]


def preprocessing_of(architecture: str) -> str:
    """How a network wants its images; see `preprocess`."""
    network = getattr(keras.applications, canonical_name(architecture))
    return _PREPROCESSING[network.__module__.rsplit(".", 1)[-1]]
