"""The paper's classifier of small images, and its mask generator (Cruz et al. 2020)."""

import math

import keras
from keras import layers

from bginv.nn.layers import glorot_uniform

SMALLEST_SIDE = 8


def num_levels(height: int) -> int:
    """Halvings that leave about 4 rows: `int(log2(H / 4))`."""
    return int(math.log2(height / 4))


def build_classifier(
    image_shape: tuple[int, int, int], num_classes: int, seed: int | None = None
) -> keras.Model:
    """Convolutions of 32, 64, ... filters with max pooling, then two dense layers.

    Args:
        image_shape: (H, W, C), H and W at least 8.
        num_classes: number of logits.
        seed: of the initial weights; None draws one.

    Returns:
        Model from images float32 [B, H, W, C] in [0, 1] to logits float32 [B, num_classes].

    Raises:
        ValueError: images too small.
    """
    if min(image_shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"the classifier needs images of at least {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels; "
            f"received {image_shape[0]}x{image_shape[1]}"
        )
    initializers = glorot_uniform(seed)
    x = inputs = layers.Input(image_shape, name="image")
    for level in range(num_levels(image_shape[0])):
        x = layers.Conv2D(
            2 ** (level + 5),
            3,
            padding="same",
            activation="relu",
            kernel_initializer=next(initializers),
        )(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu", kernel_initializer=next(initializers))(x)
    logits = layers.Dense(num_classes, kernel_initializer=next(initializers), name="logits")(x)
    return keras.Model(inputs, logits, name="classifier")


def build_mask_unet(image_shape: tuple[int, int, int], seed: int | None = None) -> keras.Model:
    """U-Net with as many levels as the classifier has.

    Args:
        image_shape: (H, W, C); H and W are multiples of 2 ** int(log2(H / 4)), H at least 8.
        seed: of the initial weights; None draws one.

    Returns:
        Model from images float32 [B, H, W, C] in [0, 1] to masks float32 [B, H, W, 1] in (0, 1).

    Raises:
        ValueError: a size that cannot be halved that often.
    """
    levels = _checked_levels(image_shape)
    initializers = glorot_uniform(seed)

    def convolution(filters: int) -> layers.Layer:
        return layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer=next(initializers)
        )

    x = inputs = layers.Input(image_shape, name="image")
    skips = []
    for level in range(levels):
        x = convolution(2 ** (level + 5))(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = convolution(2 ** (levels + 4))(x)
    for level in reversed(range(levels)):
        x = layers.UpSampling2D()(x)
        x = convolution(2 ** (level + 5))(x)
        x = layers.Concatenate()([x, skips[level]])
    masks = layers.Conv2D(
        1, 1, activation="sigmoid", kernel_initializer=next(initializers), name="mask"
    )(x)
    return keras.Model(inputs, masks, name="mask_unet")


def _checked_levels(image_shape: tuple[int, int, int]) -> int:
    height, width, _ = image_shape
    levels = num_levels(height) if height >= 8 else 0
    multiple = 2**levels
    if levels < 1 or height % multiple or width % multiple:
        raise ValueError(
            f"the mask U-Net needs a height of at least 8 and sides that are multiples of "
            f"{max(multiple, 2)}; received {height}x{width}: resize or pad the images"
        )
    return levels
