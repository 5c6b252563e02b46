"""Background swap: images with the background of another (as tests of Xiao et al. 2021 have)."""

import tensorflow as tf

from bginv.methods.rivals.erm import ErmTraining
from bginv.methods.rivals.trainer import Trainer, joined
from bginv.ops.augment import sharpen_masks
from bginv.ops.compositing import composite, either, other_rows
from bginv.ops.replicas import own_rows

STEEPNESS = 100.0
"""Of the edges of soft masks, so that no border of the old background comes along."""
FOREGROUND = 0.5


def objects_in(masks: tf.Tensor) -> tf.Tensor:
    """Masks that show nothing are taken as all foreground, as where no mask was found.

    Without that their images would become mere backgrounds, with a label.

    Args:
        masks: float32 [B, H, W, 1].
    """
    shows = tf.reduce_max(masks, [1, 2, 3], keepdims=True) > FOREGROUND
    return tf.where(shows, masks, tf.ones_like(masks))


def on_others(batch: dict[str, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Each object on the background of another image of the batch.

    Args:
        batch: `image`, `mask` and `background`, of at least two records.
        seed: int32 [2].

    Returns:
        Images float32 [B, H, W, C] in [0, 1], and whose background each has, int32 [B].
    """
    donors = other_rows(batch["image"].shape[0], seed)
    masks = sharpen_masks(objects_in(batch["mask"]), STEEPNESS)
    return composite(batch["image"], masks, tf.gather(batch["background"], donors)), donors


class SwapTraining(ErmTraining):
    """Cross-entropy of images, a share of which has the background of another image.

    x' = m x + (1 - m) b_j,  with b_j, image j of the batch without its object
    """

    def changed(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """All images of the batch, changed."""
        return on_others(batch, seed)[0]

    def views(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `ErmTraining.views`."""
        first, second, third = tf.unstack(tf.random.split(seed, 3))
        images = batch["image"]
        place = own_rows(
            lambda n: tf.random.stateless_uniform([n, 1, 1, 1], second), images.shape[0]
        )
        changed = self.changed(batch, first)
        images = either(place < self.settings.changed_share, changed, images)
        return {**batch, "image": self.cut(images, third)}


def train(trainer: Trainer) -> None:
    """Train on images and on such with other backgrounds."""
    train_on_changed(trainer, SwapTraining)


def train_on_changed(trainer: Trainer, method: type[SwapTraining]) -> None:
    """Train on images of which the method changes a share.

    Where the network is frozen, so many changed copies of each image stand beside it.
    """
    source, own = trainer.masked(), trainer.settings
    if not trainer.is_frozen:
        trainer.fit(method, source)
        return
    change = method(trainer.model, own, own.method, source).changed
    copies = [trainer.changed(change, source, copy) for copy in range(own.copies)]
    trainer.fit(ErmTraining, joined([trainer.train, *copies]))
