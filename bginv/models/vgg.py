"""VGG-16 (Simonyan & Zisserman 2015) and its large-field-of-view form, under PyTorch's names."""

import dataclasses

import keras
from keras import layers

from bginv.models.initializers import he_normal


@dataclasses.dataclass(frozen=True)
class VGG16:
    """What distinguishes the two.

    Attributes:
        pool_size: of the max pools; 3 means with a padding of 1.
        strides: of the five pools.
        last_dilation: of the last three convolutions.
    """

    pool_size: int = 2
    strides: tuple[int, ...] = (2, 2, 2, 2, 2)
    last_dilation: int = 1


STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Filters and number of convolutions."""
VGGS = {
    "vgg16": VGG16(),
    "deeplab_largefov": VGG16(pool_size=3, strides=(2, 2, 2, 1, 1), last_dilation=2),
}


def build_vgg16(
    kind: VGG16, image_shape: tuple[int | None, int | None, int], seed: int | None = None
) -> keras.Model:
    """The convolutions and pools of VGG-16.

    Args:
        kind: see `VGGS`.
        image_shape: (H, W, 3); None for any height or width.
        seed: of the initial weights, which are drawn as torchvision draws them; None draws one.

    Returns:
        Model from preprocessed images float32 [B, H, W, 3] to features [B, h, w, 512].
    """
    initializers = he_normal(seed)
    image = x = layers.Input(image_shape, name="preprocessed")
    place = 0  # in PyTorch's sequence, where ReLUs and pools count
    for stage, ((filters, count), stride) in enumerate(zip(STAGES, kind.strides, strict=True)):
        for _ in range(count):
            x = layers.Conv2D(
                filters,
                3,
                padding="same",
                dilation_rate=kind.last_dilation if stage == len(STAGES) - 1 else 1,
                activation="relu",
                kernel_initializer=next(initializers),
                name=f"features.{place}",
            )(x)
            place += 2
        if kind.pool_size == 3:
            x = layers.ZeroPadding2D(1)(x)  # nothing is smaller after a ReLU
        x = layers.MaxPooling2D(kind.pool_size, stride)(x)
        place += 1
    return keras.Model(image, x, name="vgg16")
