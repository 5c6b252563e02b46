"""The paper's classifier for small images (Cruz et al. 2020, section IV)."""

import math

import keras
from keras import layers

from bginv.models.initializers import glorot_uniform

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
