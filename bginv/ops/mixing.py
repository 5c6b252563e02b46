"""Objects on the backgrounds of other images."""

import tensorflow as tf

from bginv.ops.compositing import composite
from bginv.ops.replicas import own_rows

MIRRORS = ((2,), (1,), (1, 2))
"""Axes: left-right, up-down, both."""


def random_order(count: int, seed: tf.Tensor) -> tf.Tensor:
    """The numbers below `count` in random order, int32 [count]; XLA has no kernel for shuffling."""
    return tf.argsort(tf.random.stateless_uniform([count], seed))


def without_objects(images: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
    """Images whose objects are hidden behind more of their background.

    An object's pixels become those of the mirrored image, if these show no object: mirrored left to
    right, else upside down, else both; what is left gets the mean colour of the background.

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        masks: float32 [B, H, W, 1] in [0, 1].

    Returns:
        float32 [B, H, W, C].
    """
    shown = 1 - masks
    background = images * shown
    mean = tf.math.divide_no_nan(
        tf.reduce_sum(background, [1, 2], keepdims=True),
        tf.reduce_sum(shown, [1, 2], keepdims=True),
    )
    filled, left = background, masks
    for axes in MIRRORS:
        share = left * tf.reverse(shown, axes)
        filled += share * tf.reverse(images, axes)
        left -= share
    return filled + left * mean


def mix_backgrounds(
    images: tf.Tensor, masks: tf.Tensor, seed: tf.Tensor, share: float
) -> tf.Tensor:
    """Put objects on the backgrounds of other images of the batch.

    What Mixed-Rand is to evaluation (Xiao et al. 2021) this is to training. Nobody
    keeps a background by chance; each replica mixes its own share of the batch.

    Args:
        images: float32 [B, H, W, C] in [0, 1], B static, at least 2.
        masks: float32 [B, H, W, 1] in [0, 1].
        seed: int32 [2].
        share: probability that an image gets another background.

    Returns:
        float32 [B, H, W, C].
    """
    order_seed, choice_seed = tf.unstack(tf.random.split(seed, 2))
    count = images.shape[0]
    # in a random circle everybody takes the next one's
    circle = random_order(count, order_seed)
    partners = tf.gather(tf.roll(circle, -1, 0), tf.argsort(circle))
    mixed = composite(images, masks, tf.gather(without_objects(images, masks), partners))
    chosen = own_rows(lambda n: tf.random.stateless_uniform([n, 1, 1, 1], choice_seed), count)
    return tf.where(chosen < share, mixed, images)
