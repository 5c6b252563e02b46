"""The paper's mask generator, a small U-Net (Ronneberger et al. 2015; Cruz et al. 2020)."""

import keras
from keras import layers

from bginv.models.classifier import num_levels
from bginv.models.initializers import glorot_uniform


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
