"""What a classifier makes of the parts of pictures: the foreground alone, the background alone."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from bginv.data.variations import inpainted_background

Predict = Callable[[np.ndarray], np.ndarray]
"""From images, float32 [B, H, W, C] in [0, 1], to logits or probabilities [B, K]."""


def unit(mask: np.ndarray) -> np.ndarray:
    """A mask [h, w] or [h, w, 1], floats or uint8 with 255 for foreground, as float32 [h, w]."""
    flat = mask[..., 0] if mask.ndim == 3 else mask
    return flat / np.float32(255) if flat.dtype == np.uint8 else flat.astype(np.float32)


def part_accuracies(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    rows: np.ndarray,
    labels: np.ndarray,
    predict: Predict,
    batch_size: int = 16,
) -> tuple[float, float, float]:
    """Accuracy on pictures, on their foregrounds and on their backgrounds.

    Args:
        images: uint8 [h, w, C], all of one size.
        masks: of each, as `unit` takes it.
        rows: which count, int [M].
        labels: int [N].
        predict: the classifier.
        batch_size: images at once.
    """
    right = np.zeros(3)
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        whole = np.stack([images[row] for row in part])
        soft = np.stack([unit(masks[row]) for row in part])
        behind = np.stack([_background(*pair) for pair in zip(whole, soft, strict=True)])
        whole, behind = whole / np.float32(255), behind / np.float32(255)
        for kind, shown in enumerate((whole, whole * soft[..., None], behind)):
            right[kind] += np.sum(np.argmax(predict(shown), -1) == labels[part])
    return tuple((right / len(rows)).tolist())


def _background(image: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """The picture without its object; of one colour where nothing is left."""
    hole = cv2.dilate((soft >= 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if hole.all():
        return np.broadcast_to(image.mean((0, 1)).astype(np.uint8), image.shape)
    filled = inpainted_background(image, hole, shrink=2)
    return filled.reshape(image.shape)
