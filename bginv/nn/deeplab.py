"""DeepLab-v2 (Chen et al. 2018), as output-space adaptation trains it (Tsai et al. 2018)."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from bginv.errors import UserError
from bginv.nn.backbones import preprocess
from bginv.nn.layers import small_normal
from bginv.nn.torchvision_networks import VGG16, ResNet, build_resnet, build_vgg16
from bginv.ops.geometry import resize_aligned

DEEPLABS: dict[str, ResNet | VGG16] = {
    "DeepLab": ResNet((3, 4, 23, 3), dilated=(False, True, True), deeplab=True, fixed_affine=True),
    "DeeplabVGG": VGG16(strides=(2, 2, 2, 0, 0), last_dilation=2, large_field=2),
    "light": ResNet(
        (2, 2, 2, 2), bottleneck=False, dilated=(False, True, True), channels=16, deeplab=True
    ),
}
"""By the reference's names; "light" is a ResNet-18 of a quarter of the width."""
DILATIONS = (6, 12, 18, 24)
ASPPS = {"reference": DILATIONS[:2], "paper": DILATIONS}
"""Dilations of a head; the published code returns before it has added the last two."""
LAST_HEAD, AUXILIARY_HEAD, VGG_HEAD = "layer6", "layer5", "classifier"
BRANCHES = "conv2d_list"


def build_deeplab(
    name: str,
    num_classes: int,
    image_shape: tuple[int | None, int | None, int] = (None, None, 3),
    aspp: str = "reference",
    auxiliary: bool = True,
    seed: int | None = None,
) -> keras.Model:
    """A segmentation network, its preprocessing in front, with scores at an eighth of the size.

    Args:
        name: a key of `DEEPLABS`.
        num_classes: K.
        image_shape: (H, W, C); None for any height or width.
        aspp: a key of `ASPPS`.
        auxiliary: with a second head, behind the last stage but one; a VGG has none.
        seed: of the initial weights; None draws one.

    Returns:
        Model from images float32 [B, H, W, C] in [0, 1] to a dict: `logits` [B, h, w, K];
        `features` [B, h, w, F], what they are made of; and `auxiliary` [B, h, w, K].

    Raises:
        UserError: unknown name or kind of head.
    """
    for value, known, what in ((name, DEEPLABS, "network"), (aspp, ASPPS, "ASPP")):
        if value not in known:
            raise UserError(f"{what} must be one of {', '.join(known)}; received {value!r}")
    kind, initializers = DEEPLABS[name], small_normal(seed)
    colour_shape = (*image_shape[:2], 3)

    def head(features, prefix: str, name: str):
        branches = [
            layers.Conv2D(
                num_classes,
                3,
                padding="same",
                dilation_rate=dilation,
                kernel_initializer=next(initializers),
                name=f"{prefix}.{BRANCHES}.{place}",
            )(features)
            for place, dilation in enumerate(ASPPS[aspp])
        ]
        return layers.Add(name=name)(branches)

    image = layers.Input(image_shape, name="image")
    shown = preprocess(image, "deeplab")
    if isinstance(kind, VGG16):
        features = build_vgg16(kind, colour_shape, seed)(shown)
        outputs = {"logits": head(features, VGG_HEAD, "logits"), "features": features}
        return keras.Model(image, outputs, name=name)
    backbone = build_resnet(kind, colour_shape, seed, stride_first=True)
    stages = [backbone.get_layer(f"layer{stage}").output for stage in (3, 4)]
    before, features = keras.Model(backbone.input, stages, name=backbone.name)(shown)
    outputs = {"logits": head(features, LAST_HEAD, "logits"), "features": features}
    if auxiliary:
        outputs["auxiliary"] = head(before, AUXILIARY_HEAD, "auxiliary")
    return keras.Model(image, outputs, name=name)


def is_head(name: str) -> bool:
    """Whether a layer of this name belongs to a head, whose learning rate is ten times higher."""
    return name.startswith((f"{LAST_HEAD}.", f"{AUXILIARY_HEAD}."))


def with_last_head(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights of PyTorch, where the only head of a single-level network is called the last one."""
    heads = {name.split(".")[0] for name in state if f".{BRANCHES}." in name}
    if heads != {AUXILIARY_HEAD}:
        return state
    return {name.replace(f"{AUXILIARY_HEAD}.", f"{LAST_HEAD}."): own for name, own in state.items()}


@keras.saving.register_keras_serializable("bginv")
class ResizeToImage(layers.Layer):
    """Scores [B, h, w, K] at the size of an image [B, H, W, C]; see `resize_aligned`."""

    def call(self, inputs):
        """See the class."""
        scores, image = inputs
        return resize_aligned(scores, tf.shape(image)[1:3])

    def compute_output_shape(self, input_shape):
        """See Keras."""
        scores, image = input_shape
        return (scores[0], *image[1:3], scores[-1])


def build_segmenter(deeplab: keras.Model) -> keras.Model:
    """The model to ship: images to logits [B, H, W, K] of their size; weights are shared."""
    image = layers.Input(deeplab.input_shape[1:], name="image")
    logits = ResizeToImage(name="resized")([deeplab(image)["logits"], image])
    return keras.Model(image, logits, name="segmenter")
