"""VGG-16 (Simonyan & Zisserman 2015) and its forms for dense outputs, under PyTorch's names."""

import dataclasses

import keras
from keras import layers

from bginv.models.initializers import he_normal


@dataclasses.dataclass(frozen=True)
class VGG16:
    """What distinguishes one of the family.

    Attributes:
        pool_size: of the max pools; 3 means with a padding of 1.
        strides: of the pools after the five stages; 0 for none.
        last_dilation: of the last three convolutions.
        large_field: convolutions of 1024 filters, dilated by 4, after the last stage.
    """

    pool_size: int = 2
    strides: tuple[int, ...] = (2, 2, 2, 2, 2)
    last_dilation: int = 1
    large_field: int = 0


STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Filters and number of convolutions."""
VGGS = {
    "vgg16": VGG16(),
    "deeplab_largefov": VGG16(pool_size=3, strides=(2, 2, 2, 1, 1), last_dilation=2),
}
LARGE_FIELD_FILTERS, LARGE_FIELD_DILATION = 1024, 4


def build_vgg16(
    kind: VGG16, image_shape: tuple[int | None, int | None, int], seed: int | None = None
) -> keras.Model:
    """The convolutions and pools of VGG-16.

    Args:
        kind: see `VGGS`.
        image_shape: (H, W, 3); None for any height or width.
        seed: of the initial weights, which are drawn as torchvision draws them; None draws one.

    Returns:
        Model from preprocessed images float32 [B, H, W, 3] to features [B, h, w, 512], or 1024
        with a large field.
    """
    initializers = he_normal(seed)
    image = x = layers.Input(image_shape, name="preprocessed")
    place = 0  # in PyTorch's sequence, where ReLUs and pools count

    def convolved(x, filters: int, dilation: int):
        return layers.Conv2D(
            filters,
            3,
            padding="same",
            dilation_rate=dilation,
            activation="relu",
            kernel_initializer=next(initializers),
            name=f"features.{place}",
        )(x)

    for stage, ((filters, count), stride) in enumerate(zip(STAGES, kind.strides, strict=True)):
        for _ in range(count):
            x = convolved(x, filters, kind.last_dilation if stage == len(STAGES) - 1 else 1)
            place += 2
        if stride:
            if kind.pool_size == 3:
                x = layers.ZeroPadding2D(1)(x)  # nothing is smaller after a ReLU
            x = layers.MaxPooling2D(kind.pool_size, stride)(x)
            place += 1
    for _ in range(kind.large_field):
        x = convolved(x, LARGE_FIELD_FILTERS, LARGE_FIELD_DILATION)
        place += 2
    return keras.Model(image, x, name="vgg16")
