"""Crops and resizing, in graph."""

import math
from collections.abc import Sequence

import tensorflow as tf

from bginv.ops.compositing import either
from bginv.ops.replicas import own_rows


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


RATIOS = (3 / 4, 4 / 3)
ATTEMPTS = 10


def random_resized_crops(
    images: tf.Tensor, seed: tf.Tensor, size: tuple[int, int], smallest: float, flip: bool
) -> tf.Tensor:
    """Cut a random box from each image, resize it, and mirror half of them.

    Args:
        images: float32 [B, H, W, C], static shape.
        seed: int32 [2].
        size: (h, w) of the result.
        smallest: least area of a crop, as a share of the image; the largest is 1.
        flip: whether to mirror.

    Returns:
        float32 [B, h, w, C].
    """
    count, height, width, _ = images.shape
    box_seed, flip_seed = tf.unstack(tf.random.split(seed, 2))
    crops = crop_and_resize(images, random_boxes(count, height, width, smallest, box_seed), size)
    return mirrored(crops, flip_seed) if flip else crops


def mirrored(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Images [B, H, W, C], half of them mirrored, the same ones for the same seed."""
    chosen = own_rows(
        lambda n: tf.random.stateless_uniform([n, 1, 1, 1], seed) < 0.5, images.shape[0]
    )
    return either(chosen, tf.reverse(images, [2]), images)


def random_boxes(
    count: int, height: int, width: int, smallest: float, seed: tf.Tensor
) -> tf.Tensor:
    """Boxes of whole pixels, of random area and aspect ratio, anywhere in the image.

    The area is uniform, the ratio log-uniform between 3/4 and 4/3. The first of ten draws that
    fits is taken; where none does, the whole image.

    Args:
        count: number of boxes.
        height: of the images, in pixels.
        width: of the images, in pixels.
        smallest: least area, as a share of the image.
        seed: int32 [2].

    Returns:
        float32 [count, 4]: top, left, bottom and right edge as shares of the image.
    """
    drawn = own_rows(lambda n: tf.random.stateless_uniform([4, n, ATTEMPTS], seed), count, axis=1)
    areas, ratios, *places = tf.unstack(drawn)
    area = height * width * (smallest + areas * (1 - smallest))
    low, high = (math.log(ratio) for ratio in RATIOS)
    ratio = tf.exp(low + ratios * (high - low))
    sides = [tf.round(tf.sqrt(area / ratio)), tf.round(tf.sqrt(area * ratio))]
    fits = (sides[0] > 0) & (sides[1] > 0) & (sides[0] <= height) & (sides[1] <= width)
    chosen = tf.argmax(fits, 1)
    found = tf.reduce_any(fits, 1)
    starts, ends = [], []
    for own_sides, draw, length in zip(sides, places, (height, width), strict=True):
        side, place = (tf.gather(values, chosen, batch_dims=1) for values in (own_sides, draw))
        start = tf.floor(place * (length - side + 1))
        starts.append(tf.where(found, start / length, 0.0))
        ends.append(tf.where(found, (start + side) / length, 1.0))
    return tf.stack(starts + ends, 1)


SCALES = 0.5, 1.5
IGNORED = 255


def random_views(
    images: tf.Tensor, label_maps: tf.Tensor, seed: tf.Tensor, scale: bool, flip: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """The same views of images and label maps, of their size.

    Args:
        images: float32 [B, H, W, C], static shape.
        label_maps: int32 [B, H, W].
        seed: int32 [2].
        scale: enlarge by a factor between 0.5 and 1.5 around a random place; beyond the edge
            images are black and maps 255.
        flip: mirror half of them.

    Returns:
        The same shapes and dtypes.
    """
    count, height, width, _ = images.shape
    scale_seed, flip_seed = tf.unstack(tf.random.split(seed, 2))
    maps = tf.cast(label_maps[..., None], tf.float32)
    if scale:
        drawn = own_rows(lambda n: tf.random.stateless_uniform([n, 3], scale_seed), count)
        low, high = SCALES
        side = 1 / (low + (high - low) * drawn[:, :1])
        start = drawn[:, 1:] * (1 - side)
        boxes, rows = tf.concat([start, start + side], 1), tf.range(count)
        cut = tf.image.crop_and_resize
        images = cut(images, boxes, rows, (height, width))
        maps = cut(maps, boxes, rows, (height, width), "nearest", extrapolation_value=IGNORED)
    if flip:
        images, maps = mirrored(images, flip_seed), mirrored(maps, flip_seed)
    return images, tf.cast(maps[..., 0], tf.int32)


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
