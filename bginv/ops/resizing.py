"""Bilinear resizing with aligned corners, as the segmentation networks in PyTorch have it."""

from collections.abc import Sequence

import tensorflow as tf


def resize_aligned(maps: tf.Tensor, size: Sequence[int] | tf.Tensor) -> tf.Tensor:
    """Resize so that the centres of the corner pixels stay where they are; differentiable.

    `align_corners=True` in PyTorch; `tf.image.resize` and Keras keep the corners of the image.

    Args:
        maps: float [B, h, w, C].
        size: (H, W).

    Returns:
        float32 [B, H, W, C].
    """
    return tf.raw_ops.ResizeBilinear(
        images=tf.cast(maps, tf.float32), size=size, align_corners=True, half_pixel_centers=False
    )
