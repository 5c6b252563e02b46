"""Which weights moved."""

import keras
import numpy as np


def snapshot(*models: keras.Model) -> list[list[np.ndarray]]:
    """The weights of each model."""
    return [model.get_weights() for model in models]


def moved(before: list[np.ndarray], after: list[np.ndarray]) -> list[bool]:
    """For each array, whether it changed."""
    return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
