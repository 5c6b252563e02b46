"""Convolutions in fewer multiplications."""

import tensorflow as tf


def upsampled_convolution(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Nearest upsampling by 2, then a 3x3 convolution with zeros around, in 16/36 of the products.

    Each output pixel sees 2x2 input pixels, some of them under several weights. Added up, these
    weights make a 4x4 kernel, and the whole a transposed convolution of stride 2.

    Args:
        x: float [B, H, W, C].
        kernel: [3, 3, C, D], dtype of `x`.
        bias: [D], dtype of `x`.

    Returns:
        [B, 2H, 2W, D], dtype of `x`.
    """
    batch, height, width, _ = tf.unstack(tf.shape(x))
    rows = tf.pad(kernel, [[1, 0], [0, 0], [0, 0], [0, 0]])
    rows += tf.pad(kernel, [[0, 1], [0, 0], [0, 0], [0, 0]])
    summed = tf.pad(rows, [[0, 0], [1, 0], [0, 0], [0, 0]])
    summed += tf.pad(rows, [[0, 0], [0, 1], [0, 0], [0, 0]])
    transposed = tf.transpose(tf.reverse(summed, [0, 1]), [0, 1, 3, 2])
    shape = [batch, 2 * height, 2 * width, kernel.shape[-1]]
    convolved = tf.nn.conv2d_transpose(x, transposed, shape, 2, "SAME")
    if None not in x.shape[1:3]:
        convolved.set_shape([x.shape[0], 2 * x.shape[1], 2 * x.shape[2], kernel.shape[-1]])
    return tf.nn.bias_add(convolved, bias)
