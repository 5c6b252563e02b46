"""Class activation maps and heat maps: computing, normalising, thresholds, and the largest
component with its box; batched, in graph.
"""

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from bginv.ops.binarize import otsu_level

BYTE, RESIZE_LEVELS = 255.0, 2048
BACKGROUND_LEVEL = 1e-5
MOST_CONNECTED = 16 * 16
MOST_UNROLLED = 64


def normalize_maps(maps: tf.Tensor, divides: bool = True) -> tf.Tensor:
    """Each map from 0 (its minimum) to 1 (its maximum); a flat one becomes 0 everywhere.

    Args:
        maps: float [B, h, w].
        divides: exactly, by a division; else to within rounding, by logarithms, for models that run
            in 8 bits too, where LiteRT refuses to divide by a range that it has rounded to 0.

    Returns:
        Same shape and dtype, in [0, 1].
    """
    low = tf.reduce_min(maps, [1, 2], keepdims=True)
    span = tf.reduce_max(maps, [1, 2], keepdims=True) - low
    if divides:
        return tf.math.divide_no_nan(maps - low, span)
    some = span > 0
    inverse = tf.exp(-tf.math.log(tf.where(some, span, tf.ones_like(span))))
    return tf.where(some, (maps - low) * inverse, tf.zeros_like(maps))


def class_activation_maps(features: tf.Tensor, kernel: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """CAM: features weighted as the label's logit weighs their averages (Zhou et al. 2016, eq. 2).

    Differentiable in features and kernel.

    Args:
        features: float [B, h, w, C].
        kernel: float [C, K], of a dense layer behind global average pooling.
        labels: int [B], class numbers.

    Returns:
        float32 [B, h, w], of any sign.
    """
    weights = tf.gather(tf.cast(kernel, tf.float32), labels, axis=1)
    return tf.einsum("bhwc,cb->bhw", tf.cast(features, tf.float32), weights)


def grad_cams(
    head: Callable[[tf.Tensor], tf.Tensor], features: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2).

    Differentiable in the features; the gradients that weigh them are constants, as in EADER.

    Args:
        head: features to logits [B, K]; each row on its own.
        features: float [B, h, w, C].
        labels: int [B], class numbers.

    Returns:
        float32 [B, h, w], at least 0.
    """
    with tf.GradientTape() as tape:
        tape.watch(features)
        score = tf.reduce_sum(tf.gather(head(features), labels, batch_dims=1))
    gradients = tf.cast(tape.gradient(score, features), tf.float32)
    weights = tf.stop_gradient(tf.reduce_mean(gradients, [1, 2], keepdims=True))
    return tf.nn.relu(tf.reduce_sum(tf.cast(features, tf.float32) * weights, -1))


def enlarge_maps(maps: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Maps resized, bilinear between pixel centres, then each from 0 to 1.

    Args:
        maps: float [B, h, w].
        size: (H, W).

    Returns:
        float32 [B, H, W] in [0, 1]; a flat map becomes 0 everywhere.
    """
    resized = tf.image.resize(maps[..., None], size, "bilinear")[..., 0]
    return normalize_maps(resized)


def soft_masks(maps: tf.Tensor, omega: float = 100.0, sigma: float = 0.5) -> tf.Tensor:
    """`sigmoid(omega (map - sigma))` (Stammes et al. 2020, eq. 3).

    Args:
        maps: float [...] in [0, 1].
        omega: slope.
        sigma: the value that becomes 0.5.

    Returns:
        Same shape, in (0, 1).
    """
    return tf.sigmoid(omega * (maps - sigma))


def segmentation_maps(maps: tf.Tensor, present: tf.Tensor, threshold: float) -> tf.Tensor:
    """The class with the strongest map at each pixel, among those that are present, as in EADER.

    Args:
        maps: float32 [B, H, W, K] in [0, 1].
        present: [B, K], above 0 for each class that the image shows.
        threshold: maps below it are background.

    Returns:
        int32 [B, H, W]: 0 for background, k + 1 for class k; of equal maps the first counts.
    """
    shown = tf.cast(present > 0, maps.dtype)[:, None, None]
    strong = tf.where(maps < threshold, 0.0, maps) * shown
    background = tf.fill(tf.shape(maps[..., :1]), BACKGROUND_LEVEL)
    return tf.argmax(tf.concat([background, strong], -1), -1, tf.int32)


def strongest_channel(features: tf.Tensor) -> tf.Tensor:
    """Heat map of the largest absolute value over channels, as in Cruz et al. 2020, normalised.

    Args:
        features: float [B, h, w, C].

    Returns:
        float [B, h, w] in [0, 1].
    """
    return normalize_maps(tf.reduce_max(tf.abs(features), -1))


def channel_sum(features: tf.Tensor, side: int) -> tf.Tensor:
    """Heat map of the sum over channels, as in the published AG-CNN: enlarged, in 256 levels.

    Args:
        features: float [B, h, w, C].
        side: height and width of the result.

    Returns:
        float [B, side, side] in [0, 1], multiples of 1/255.
    """
    levels = tf.cast(normalize_maps(tf.reduce_sum(features, -1)) * BYTE, tf.int32)
    return tf.cast(_enlarge(levels, side), tf.float32) / BYTE


def above_otsu(maps: tf.Tensor) -> tf.Tensor:
    """Where maps of 256 levels lie above their Otsu threshold (Otsu, 1979).

    Args:
        maps: float [B, h, w], multiples of 1/255 in [0, 1].

    Returns:
        bool [B, h, w].
    """
    levels = tf.cast(tf.round(maps * BYTE), tf.int32)
    return levels > otsu_level(levels)[:, None, None]


def largest_component(masks: tf.Tensor) -> tf.Tensor:
    """Keep the largest component of each mask; neighbours by a corner are connected.

    Of equal ones, the first in reading order. A mask without foreground stays empty.

    Args:
        masks: bool [B, h, w].

    Returns:
        bool [B, h, w].
    """
    height, width = masks.shape[1:]
    if height * width <= MOST_CONNECTED:
        return _largest_of_few_pixels(masks)
    return _largest_by_names(masks)


def _largest_of_few_pixels(masks: tf.Tensor) -> tf.Tensor:
    """Squares the matrix of neighbours until it tells which pixels are connected.

    Without a loop, which models in 8 bits cannot have.
    """
    height, width = masks.shape[1:]
    size = height * width
    row, column = np.divmod(np.arange(size), width)
    near = np.maximum(*(abs(place[:, None] - place) for place in (row, column))) <= 1
    inside = tf.cast(tf.reshape(masks, [-1, size]), tf.float32)
    connected = near.astype(np.float32) * inside[:, :, None] * inside[:, None]
    for _ in range(math.ceil(math.log2(size))):
        connected = tf.minimum(tf.matmul(connected, connected), 1.0)
    largest = tf.argmax(tf.reduce_sum(connected, 2), 1, tf.int32)
    return tf.reshape(tf.gather(connected, largest, batch_dims=1) > 0, tf.shape(masks))


def _largest_by_names(masks: tf.Tensor) -> tf.Tensor:
    """Lets every pixel learn the lowest index of its component from its neighbours."""
    height, width = masks.shape[1:]
    size = height * width
    index = tf.cast(tf.reshape(tf.range(size), [1, height, width, 1]), tf.float32)
    inside = tf.cast(masks, tf.float32)[..., None]
    start = inside * (size - index)

    def spread(names: tf.Tensor, changed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        del changed
        wider = inside * tf.nn.max_pool2d(names, 3, 1, "SAME")
        return wider, tf.reduce_any(wider != names)

    names, _ = tf.while_loop(lambda _, changed: changed, spread, (start, tf.constant(True)))
    first = tf.cast(size - tf.reshape(names, [-1, size]), tf.int32)  # `size`: background
    rows = tf.range(tf.shape(masks)[0])[:, None] * (size + 1)
    areas = tf.math.unsorted_segment_sum(
        tf.ones_like(first), first + rows, tf.shape(masks)[0] * (size + 1)
    )
    largest = tf.argmax(tf.reshape(areas, [-1, size + 1])[:, :size], 1, tf.int32)
    return masks & tf.reshape(first == largest[:, None], tf.shape(masks))


def for_each_class(of_class: Callable[[tf.Tensor], tf.Tensor], num_classes: int) -> tf.Tensor:
    """What a function gives for each class number, stacked in front.

    Args:
        of_class: class number int32 [] to a float32 tensor, always of one shape.
        num_classes: K.

    Returns:
        float32 [K, ...].
    """
    if num_classes <= MOST_UNROLLED:  # LiteRT has no loops over tensors
        return tf.stack([of_class(tf.constant(label)) for label in range(num_classes)])
    return tf.map_fn(of_class, tf.range(num_classes), fn_output_signature=tf.float32)


def boxes_of(masks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The smallest box around each mask's foreground; the whole image where there is none.

    Args:
        masks: bool [B, h, w].

    Returns:
        Boxes float32 [B, 4]: top, left, bottom and right edge as shares of the height and width,
        and bool [B]: whether the mask was empty.
    """
    edges = []
    for axis in (1, 2):
        taken = tf.cast(tf.reduce_any(masks, 3 - axis), tf.int32)
        length = masks.shape[axis]
        first = tf.argmax(taken, 1, tf.int32)
        last = length - tf.argmax(tf.reverse(taken, [1]), 1, tf.int32)
        edges.append([tf.cast(edge, tf.float32) / length for edge in (first, last)])
    (top, bottom), (left, right) = edges
    boxes = tf.stack([top, left, bottom, right], 1)
    empty = ~tf.reduce_any(masks, [1, 2])
    return tf.where(empty[:, None], tf.constant([0.0, 0.0, 1.0, 1.0]), boxes), empty


def _enlarge(levels: tf.Tensor, side: int) -> tf.Tensor:
    """Levels int32 [B, h, w] resized to [B, side, side] as OpenCV resizes bytes, bit for bit.

    Its weights have 11 bits, and the second pass rounds twice.
    """
    row, next_row, row_weight, next_row_weight = _neighbours(levels.shape[1], side)
    column, next_column, weight, next_weight = _neighbours(levels.shape[2], side)
    wide = tf.gather(levels, column, axis=2) * weight
    wide = (wide + tf.gather(levels, next_column, axis=2) * next_weight) // 16
    upper = tf.gather(wide, row, axis=1) * row_weight[:, None] // 2**16
    lower = tf.gather(wide, next_row, axis=1) * next_row_weight[:, None] // 2**16
    return (upper + lower + 2) // 4


def _neighbours(length: int, side: int) -> tuple[np.ndarray, ...]:
    """For each of `side` places: the two nearest of `length` pixels, and their weights."""
    place = ((np.arange(side) + 0.5) * (length / side) - 0.5).astype(np.float32)
    before = np.floor(place).astype(np.int32)
    share = place - before.astype(np.float32)
    weights = [np.round(own * RESIZE_LEVELS).astype(np.int32) for own in (1 - share, share)]
    inside = [np.clip(pixel, 0, length - 1) for pixel in (before, before + 1)]
    return *inside, *weights
