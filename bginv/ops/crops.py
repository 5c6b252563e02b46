"""Crops of a batch, each with a box of its own."""

import tensorflow as tf


def crop_and_resize(
    images: tf.Tensor, boxes: tf.Tensor, size: tuple[int, int], margin: float = 0.0
) -> tf.Tensor:
    """Cut a box from each image and resize it, bilinear with antialias; nothing outside counts.

    Two products of matrices do it, so batches of different boxes need no loop and XLA compiles it.

    Args:
        images: float32 [B, H, W, C].
        boxes: float32 [B, 4], see `boxes_of`.
        size: (h, w) of the result.
        margin: share of the resized crop to leave out again at each edge.

    Returns:
        float32 [B, h, w, C].
    """
    height, width = images.shape[1:3]
    rows = _resampling(boxes[:, 0], boxes[:, 2], height, size[0], margin)
    columns = _resampling(boxes[:, 1], boxes[:, 3], width, size[1], margin)
    return tf.einsum("bip,bjq,bpqc->bijc", rows, columns, images, optimize="greedy")


def _resampling(
    start: tf.Tensor, end: tf.Tensor, length: int, size: int, margin: float
) -> tf.Tensor:
    """Weights [B, size, length] of pixels along one side; start and end [B] are shares of it."""
    first, last = tf.round(start * length), tf.round(end * length)
    resized = size / (1 - 2 * margin)
    scale = ((last - first) / resized)[:, None]
    offset = (resized - size) / 2
    centres = first[:, None] + (tf.range(size, dtype=tf.float32) + 0.5 + offset) * scale
    places = tf.range(length, dtype=tf.float32) + 0.5
    distance = tf.abs(places - centres[..., None]) / tf.maximum(scale, 1.0)[..., None]
    inside = (places > first[:, None, None]) & (places < last[:, None, None])
    weights = tf.nn.relu(1 - distance) * tf.cast(inside, tf.float32)
    return weights / tf.reduce_sum(weights, -1, keepdims=True)
