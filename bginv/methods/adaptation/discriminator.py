"""The fully convolutional discriminator of output-space adaptation (Tsai et al. 2018, sec. 4.1)."""

import keras
from keras import layers

from bginv.models.initializers import lecun_uniform

WIDTH, HIDDEN = 64, 4
SMALLEST_SIDE = 32
SLOPE = 0.2


def build_discriminator(channels: int, seed: int | None = None, width: int = WIDTH) -> keras.Model:
    """Which domain each part of a map comes from: below 0 the source, above it the target.

    Args:
        channels: of the maps, such as probabilities of classes.
        seed: of the initial weights, which are drawn as PyTorch draws them; None draws one.
        width: filters of the first convolution; each hidden one after it has twice as many.

    Returns:
        Model from maps [B, H, W, channels], of 32 rows and columns or more, to logits
        [B, H // 32, W // 32, 1].
    """
    initializers = lecun_uniform(seed)
    filters = {f"conv{place + 1}": width * 2**place for place in range(HIDDEN)}
    maps = x = layers.Input((None, None, channels), name="maps")
    for name, count in {**filters, "classifier": 1}.items():
        x = layers.ZeroPadding2D(1)(x)
        x = layers.Conv2D(count, 4, 2, kernel_initializer=next(initializers), name=name)(x)
        if name in filters:
            x = layers.LeakyReLU(SLOPE)(x)
    return keras.Model(maps, x, name="discriminator")
