"""Backgrounds to put behind objects while a classifier is trained on photographs.

Each is made in graph from the backgrounds of a batch, whose objects are hidden already.
"""

import tensorflow as tf

from bginv.ops.mixing import random_order
from bginv.ops.replicas import own_rows

KINDS = ("others", "shuffled", "blurred", "noise", "black")
GRID = 4
COARSEST = 16
NOISE_CELLS = (4, 16, 56)


def others(backgrounds: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Backgrounds of other images of the batch; nobody keeps its own.

    Args:
        backgrounds: float32 [B, H, W, C], B static and at least 2.
        seed: int32 [2].
    """
    count = backgrounds.shape[0]
    circle = random_order(count, seed)
    return tf.gather(backgrounds, tf.gather(tf.roll(circle, -1, 0), tf.argsort(circle)))


def shuffled(backgrounds: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Backgrounds cut into 4 x 4 patches that change places; what does not divide by 4 repeats."""
    count, height, width, channels = backgrounds.shape
    rows, columns = -(-height // GRID), -(-width // GRID)
    padded = tf.pad(
        backgrounds,
        [[0, 0], [0, rows * GRID - height], [0, columns * GRID - width], [0, 0]],
        "SYMMETRIC",
    )
    cut = tf.reshape(padded, [count, GRID, rows, GRID, columns, channels])
    patches = tf.reshape(tf.transpose(cut, [0, 1, 3, 2, 4, 5]), [count, GRID**2, -1])
    order = own_rows(lambda n: tf.random.stateless_uniform([n, GRID**2], seed), count)
    patches = tf.gather(patches, tf.argsort(order), batch_dims=1)
    cut = tf.reshape(patches, [count, GRID, GRID, rows, columns, channels])
    whole = tf.reshape(
        tf.transpose(cut, [0, 1, 3, 2, 4, 5]), [count, rows * GRID, columns * GRID, channels]
    )
    return whole[:, :height, :width]


def blurred(backgrounds: tf.Tensor) -> tf.Tensor:
    """Backgrounds reduced to 16 x 16 pixels, and enlarged again."""
    size = backgrounds.shape[1:3]
    small = tf.image.resize(backgrounds, [min(COARSEST, side) for side in size], "area")
    return tf.image.resize(small, size, "bicubic")


def noise(shape: tuple[int, int, int, int], seed: tf.Tensor) -> tf.Tensor:
    """Uniform colours in cells of one of three sizes, with smooth borders; float32."""
    count, height, width, channels = shape
    seeds = tf.unstack(tf.random.split(seed, len(NOISE_CELLS) + 1))
    levels = []
    for cells, own in zip(NOISE_CELLS, seeds, strict=False):
        drawn = own_rows(
            lambda n, cells=cells, own=own: tf.random.stateless_uniform(
                [n, cells, cells, channels], own
            ),
            count,
        )
        levels.append(tf.image.resize(drawn, [height, width], "bilinear"))
    chosen = own_rows(
        lambda n: tf.random.stateless_uniform([n], seeds[-1], 0, len(NOISE_CELLS), tf.int32), count
    )
    return tf.gather(tf.stack(levels, 1), chosen, batch_dims=1)


def draw_backgrounds(
    backgrounds: tf.Tensor, shares: tuple[float, ...], seed: tf.Tensor
) -> tf.Tensor:
    """A background of a random kind for each image.

    Args:
        backgrounds: float32 [B, H, W, C] in [0, 1], the images without their objects; B static and
            at least 2.
        shares: probabilities of `KINDS`, which need not add up to 1.
        seed: int32 [2].

    Returns:
        float32 [B, H, W, C] in [0, 1].
    """
    seeds = tf.unstack(tf.random.split(seed, 4))
    partners = others(backgrounds, seeds[0])
    makers = {
        "others": lambda: partners,
        "shuffled": lambda: shuffled(partners, seeds[1]),
        "blurred": lambda: blurred(partners),
        "noise": lambda: noise(tuple(partners.shape), seeds[2]),
        "black": lambda: tf.zeros_like(partners),
    }
    used = [(kind, share) for kind, share in zip(KINDS, shares, strict=True) if share > 0]
    made = tf.stack([makers[kind]() for kind, _ in used], 1)
    limits = tf.cumsum(tf.constant([share for _, share in used], tf.float32))
    place = own_rows(lambda n: tf.random.stateless_uniform([n, 1], seeds[3]), partners.shape[0])
    chosen = tf.searchsorted(limits / limits[-1], tf.reshape(place, [-1]), side="right")
    chosen = tf.minimum(chosen, len(used) - 1)
    return tf.clip_by_value(tf.gather(made, chosen, batch_dims=1), 0.0, 1.0)
