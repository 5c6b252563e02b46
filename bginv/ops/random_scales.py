"""Random views of images and their label maps: larger or smaller, mirrored."""

import tensorflow as tf

from bginv.ops.random_crops import mirrored
from bginv.ops.replicas import own_rows

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
