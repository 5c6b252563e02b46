"""Copy-paste: objects pasted into other images (after Ghiasi et al. 2021)."""

import tensorflow as tf

from bginv.methods.rivals.swap import STEEPNESS, SwapTraining, objects_in, train_on_changed
from bginv.methods.rivals.trainer import Trainer
from bginv.ops.augment import sharpen_masks, warp
from bginv.ops.compositing import composite, other_rows
from bginv.ops.replicas import own_rows


class CopyPasteTraining(SwapTraining):
    """Cross-entropy of images, a share of which is another image with this one's object in it.

        x' = T(m x) + (1 - T(m)) x_j

    T scales and moves at random; the label is the pasted object's. The paper's images have labels
    for each object, and scales from 0.1 to 2, at which an object of a class may not be seen.
    """

    def changed(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """See `SwapTraining.changed`."""
        first, second = tf.unstack(tf.random.split(seed, 2))
        images, masks = batch["image"], sharpen_masks(objects_in(batch["mask"]), STEEPNESS)
        hosts = tf.gather(images, other_rows(images.shape[0], first))
        moved = warp(
            tf.concat([images, masks], -1),
            scaled_and_moved(masks, self.settings.paste_scales, second),
            "constant",
        )
        return composite(moved[..., :-1], moved[..., -1:], hosts)


def scaled_and_moved(masks: tf.Tensor, scales: tuple[float, float], seed: tf.Tensor) -> tf.Tensor:
    """Transforms that scale images and keep the middle of their objects inside.

    Args:
        masks: float32 [B, H, W, 1].
        scales: least and largest, log-uniform in between.
        seed: int32 [2].

    Returns:
        float32 [B, 8], as `warp` takes them: from places of the result to those of the image.
    """
    count, height, width, _ = masks.shape
    drawn = own_rows(lambda n: tf.random.stateless_uniform([n, 3], seed), count)
    low, high = (tf.math.log(float(own)) for own in scales)
    scale = tf.exp(low + drawn[:, 0] * (high - low))
    total = tf.reduce_sum(masks, [1, 2, 3])
    zeros, ones = tf.zeros_like(scale), tf.ones_like(scale)

    def offset(length: int, axis: int, place: tf.Tensor) -> tf.Tensor:
        """What brings the object's middle to a place within the middle half of the image."""
        shape = [1, -1, 1, 1] if axis == 1 else [1, 1, -1, 1]
        grid = tf.reshape(tf.range(length, dtype=tf.float32), shape)
        middle = tf.math.divide_no_nan(tf.reduce_sum(masks * grid, [1, 2, 3]), total)
        target = length * (0.25 + 0.5 * place)
        return middle - target / scale

    across, down = offset(width, 2, drawn[:, 1]), offset(height, 1, drawn[:, 2])
    return tf.stack([ones / scale, zeros, across, zeros, ones / scale, down, zeros, zeros], 1)


def train(trainer: Trainer) -> None:
    """Train on images and on such into which an object was pasted."""
    train_on_changed(trainer, CopyPasteTraining)
