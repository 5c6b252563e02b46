"""Keras layers for models of one's own: they put other backgrounds behind objects."""

from bginv.nn.background_augmentation import BackgroundAugmentation
from bginv.nn.background_mix import BackgroundMix

__all__ = ["BackgroundAugmentation", "BackgroundMix"]
