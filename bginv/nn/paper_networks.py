"""The paper's classifier of small images, and its mask generator (Cruz et al. 2020)."""

import math

import keras
from keras import layers

from bginv.errors import UserError
from bginv.nn.layers import glorot_uniform, in_float32

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
        UserError: images too small.
    """
    if min(image_shape[:2]) < SMALLEST_SIDE:
        raise UserError(
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


@in_float32()
def build_mask_unet(image_shape: tuple[int, int, int], seed: int | None = None) -> keras.Model:
    """U-Net with as many levels as the classifier has.

    Args:
        image_shape: (H, W, C), H at least 8; inside, sides are padded with black to multiples of
            2 ** int(log2(H / 4)).
        seed: of the initial weights; None draws one.

    Returns:
        Model from images float32 [B, H, W, C] in [0, 1] to masks float32 [B, H, W, 1] in (0, 1).

    Raises:
        UserError: a size that is too small.
    """
    levels = _checked_levels(image_shape)
    missing = [-side % 2**levels for side in image_shape[:2]]
    initializers = glorot_uniform(seed)

    def convolution(filters: int) -> layers.Layer:
        return layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer=next(initializers)
        )

    x = inputs = layers.Input(image_shape, name="image")
    if any(missing):
        x = layers.ZeroPadding2D([(0, side) for side in missing])(x)
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
    if any(missing):
        masks = layers.Cropping2D([(0, side) for side in missing])(masks)
    return keras.Model(inputs, masks, name="mask_unet")


def _checked_levels(image_shape: tuple[int, int, int]) -> int:
    height, width, _ = image_shape
    if min(height, width) < SMALLEST_SIDE:
        raise UserError(
            f"the mask U-Net needs sides of at least {SMALLEST_SIDE}; received {height}x{width}: "
            "resize the images"
        )
    return num_levels(height)
