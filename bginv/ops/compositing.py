"""Put images and backgrounds together."""

import tensorflow as tf


def composite(images: tf.Tensor, masks: tf.Tensor, backgrounds: tf.Tensor) -> tf.Tensor:
    """Image where the mask is 1, background where it is 0 (Cruz et al. 2020, eq. 1).

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        masks: float32 [B, H, W, 1] in [0, 1].
        backgrounds: float32 [B, H, W, C] in [0, 1].

    Returns:
        float32 [B, H, W, C]: `image * mask + background * (1 - mask)`.
    """
    return images * masks + backgrounds * (1 - masks)


def erase(images: tf.Tensor, masks: tf.Tensor, colour: tf.Tensor) -> tf.Tensor:
    """Images whose masked part has one colour.

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        masks: float32 [B, H, W, 1] in [0, 1]; 1 is erased.
        colour: float32 [C] in [0, 1].

    Returns:
        float32 [B, H, W, C].
    """
    return images + (colour - images) * masks


def assemble_tiles(tiles: tf.Tensor) -> tf.Tensor:
    """Lay the tiles of each image side by side.

    Args:
        tiles: [B, R, K, h, w, C]; R rows of K tiles.

    Returns:
        [B, R * h, K * w, C].
    """
    batch, rows, columns, height, width, channels = tf.unstack(tf.shape(tiles))
    by_pixel_rows = tf.transpose(tiles, [0, 1, 3, 2, 4, 5])
    return tf.reshape(by_pixel_rows, [batch, rows * height, columns * width, channels])
