"""The fully convolutional discriminator of output-space adaptation (Tsai et al. 2018, sec. 4.1)."""

import keras
from keras import layers

from bginv.models.initializers import lecun_uniform

FILTERS = (64, 128, 256, 512)
SMALLEST_SIDE = 32
SLOPE = 0.2


def build_discriminator(channels: int, seed: int | None = None) -> keras.Model:
    """Which domain each part of a map comes from: below 0 the source, above it the target.

    Args:
        channels: of the maps, such as probabilities of classes.
        seed: of the initial weights, which are drawn as PyTorch draws them; None draws one.

    Returns:
        Model from maps [B, H, W, channels], of 32 rows and columns or more, to logits
        [B, H // 32, W // 32, 1].
    """
    initializers = lecun_uniform(seed)
    names = (*(f"conv{place + 1}" for place in range(len(FILTERS))), "classifier")
    maps = x = layers.Input((None, None, channels), name="maps")
    for name, filters in zip(names, (*FILTERS, 1), strict=True):
        kernel = next(initializers)
        x = layers.ZeroPadding2D(1)(x)
        x = layers.Conv2D(filters, 4, 2, kernel_initializer=kernel, name=name)(x)
        if name != names[-1]:
            x = layers.LeakyReLU(SLOPE)(x)
    return keras.Model(maps, x, name="discriminator")
