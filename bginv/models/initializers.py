"""Initial weights that are a function of one seed."""

import random
from collections.abc import Iterator

import keras


def glorot_uniform(seed: int | None) -> Iterator[keras.initializers.Initializer]:
    """Yield Keras' default kernel initializer again and again, each time with a seed of its own.

    Keras gives two layers of one shape the same weights if they share an integer seed.

    Args:
        seed: the one seed; None leaves every draw to Keras' global generator.
    """
    draws = random.Random(seed)
    while True:
        yield keras.initializers.GlorotUniform(None if seed is None else draws.getrandbits(31))
