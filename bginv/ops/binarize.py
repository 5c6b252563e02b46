"""Thresholds that turn soft masks into binary ones: one threshold an image, batched, in graph."""

import tensorflow as tf

from bginv.errors import UserError

BINARIZATIONS = ("otsu", "0.5", "quantile", "none")
OTSU_BINS = 256


def binarize(masks: tf.Tensor, method: str, area: float = 0.2) -> tf.Tensor:
    """Binarize each mask of a batch: `mask >= threshold`.

    Args:
        masks: float32 [B, H, W, 1] in [0, 1].
        method: "otsu" (Otsu 1979), "0.5", "quantile" (the brightest share `area` of the
            pixels) or "none" (masks stay soft).
        area: share of foreground pixels for "quantile", in [0, 1].

    Returns:
        float32 [B, H, W, 1], 0 or 1 (in [0, 1] for "none").

    Raises:
        UserError: unknown method.
    """
    if method == "none":
        return masks
    if method == "otsu":
        threshold = otsu_threshold(masks)
    elif method == "0.5":
        threshold = tf.fill([tf.shape(masks)[0]], 0.5)
    elif method == "quantile":
        threshold = _quantile(masks, 1 - area)
    else:
        raise UserError(f"binarize must be one of {', '.join(BINARIZATIONS)}; received {method!r}")
    return tf.cast(masks >= threshold[:, None, None, None], masks.dtype)


def not_black(images: tf.Tensor) -> tf.Tensor:
    """The heuristic mask of Cruz et al. 2020: where any channel is above 0.

    Args:
        images: float [B, H, W, C].

    Returns:
        float32 [B, H, W, 1], 0 or 1.
    """
    return tf.reduce_max(tf.cast(images > 0, tf.float32), -1, keepdims=True)


def otsu_threshold(masks: tf.Tensor) -> tf.Tensor:
    """Threshold of largest between-class variance (Otsu, 1979) of each mask.

    The histogram has 256 bins between the mask's own minimum and maximum, and the threshold is
    the centre of a bin, as in scikit-image. A constant mask has its own value as threshold.

    Args:
        masks: float [B, H, W, 1].

    Returns:
        [B], dtype of `masks`.
    """
    values = tf.cast(_flatten(masks), tf.float64)
    low = tf.reduce_min(values, 1, keepdims=True)
    width = (tf.reduce_max(values, 1, keepdims=True) - low) / OTSU_BINS
    bins = tf.cast(tf.math.divide_no_nan(values - low, width), tf.int32)
    counts = tf.math.bincount(
        tf.minimum(bins, OTSU_BINS - 1), minlength=OTSU_BINS, axis=-1, dtype=tf.float64
    )
    counts = tf.reshape(counts, [-1, OTSU_BINS])
    centres = low + width * (tf.range(OTSU_BINS, dtype=tf.float64) + 0.5)
    threshold = tf.gather(centres, _best_bin(counts, centres), batch_dims=1)
    # At width 0 every centre is the constant itself, so `>=` keeps the whole image.
    return tf.cast(threshold, masks.dtype)


def otsu_level(levels: tf.Tensor) -> tf.Tensor:
    """Level of largest between-class variance (Otsu, 1979) of each map; foreground is above it.

    Args:
        levels: int32 [B, h, w], 0 to 255.

    Returns:
        int32 [B].
    """
    flat = _flatten(levels)
    counts = tf.math.bincount(flat, minlength=OTSU_BINS, axis=-1, dtype=tf.float64)
    counts = tf.reshape(counts, [-1, OTSU_BINS])
    return tf.cast(_best_bin(counts, tf.range(OTSU_BINS, dtype=tf.float64)), tf.int32)


def _best_bin(counts: tf.Tensor, centres: tf.Tensor) -> tf.Tensor:
    """The last bin [B] of the lower class, for the largest variance between two classes."""
    weighted = counts * centres
    count_below, sum_below = tf.cumsum(counts, axis=1), tf.cumsum(weighted, axis=1)
    count_above = tf.reduce_sum(counts, 1, keepdims=True) - count_below
    sum_above = tf.reduce_sum(weighted, 1, keepdims=True) - sum_below
    gap = tf.math.divide_no_nan(sum_below, count_below) - tf.math.divide_no_nan(
        sum_above, count_above
    )
    variance = (count_below * count_above * gap**2)[:, :-1]
    return tf.argmax(variance, axis=1)


def _quantile(masks: tf.Tensor, share: float) -> tf.Tensor:
    """Linearly interpolated quantile of each mask, as NumPy's default."""
    values = tf.sort(_flatten(masks), axis=1)
    position = tf.cast(tf.shape(values)[1] - 1, tf.float32) * share
    below = tf.cast(tf.floor(position), tf.int32)
    above = tf.cast(tf.math.ceil(position), tf.int32)
    weight = tf.cast(position - tf.floor(position), masks.dtype)
    return values[:, below] + (values[:, above] - values[:, below]) * weight


def _flatten(masks: tf.Tensor) -> tf.Tensor:
    return tf.reshape(masks, [tf.shape(masks)[0], -1])
