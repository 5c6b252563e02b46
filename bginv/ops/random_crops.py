"""Random resized crops (Szegedy et al. 2015), as torchvision draws them."""

import math

import tensorflow as tf

from bginv.ops.crops import crop_and_resize
from bginv.ops.replicas import own_rows

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
    return tf.where(chosen, tf.reverse(images, [2]), images)


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
