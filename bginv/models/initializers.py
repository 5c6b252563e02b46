"""Initial weights that are a function of one seed."""

import random
from collections.abc import Callable, Iterator

import keras

Initializer = keras.initializers.Initializer


def glorot_uniform(seed: int | None) -> Iterator[Initializer]:
    """Yield Keras' default kernel initializer again and again, each time with a seed of its own.

    Keras gives two layers of one shape the same weights if they share an integer seed.

    Args:
        seed: the one seed; None leaves every draw to Keras' global generator.
    """
    return _seeded(keras.initializers.GlorotUniform, seed)


def he_normal(seed: int | None) -> Iterator[Initializer]:
    """The same for the normal distribution of variance 2 / fan-out (He et al. 2015)."""
    return _seeded(
        lambda own: keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", own),
        seed,
    )


def lecun_uniform(seed: int | None) -> Iterator[Initializer]:
    """The same for the uniform distribution on +-1 / sqrt(fan-in), PyTorch's of dense layers."""
    return _seeded(
        lambda own: keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", own), seed
    )


def small_normal(seed: int | None) -> Iterator[Initializer]:
    """The same for the normal distribution of deviation 0.01, that of DeepLab's heads."""
    return _seeded(lambda own: keras.initializers.RandomNormal(0.0, 0.01, own), seed)


def _seeded(make: Callable[[int | None], Initializer], seed: int | None) -> Iterator[Initializer]:
    draws = random.Random(seed)
    while True:
        yield make(None if seed is None else draws.getrandbits(31))
