"""Masks of a mask generator."""

from collections.abc import Iterator

import keras
import numpy as np

from bginv.data.sources import Source

SEGMENTATION_BATCH = 256


def predict_masks(unet: keras.Model, source: Source) -> Iterator[np.ndarray]:
    """Soft masks in the source's order, one by one.

    Args:
        unet: images to masks.
        source: images.

    Yields:
        float32 [H, W, 1] in [0, 1].
    """
    for batch in source.batches(SEGMENTATION_BATCH):
        yield from unet.predict_on_batch(batch["image"])
