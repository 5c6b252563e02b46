"""Phase 2: the mask generator, against a frozen classifier."""

import atexit
import pathlib
import shutil
import tempfile

import keras
import numpy as np
import tensorflow as tf

from bginv.data.files import FileSource, write_records
from bginv.data.sources import ArraySource
from bginv.engine.method import Method, augmentation_of
from bginv.methods.background_invariance.settings import MaskSettings
from bginv.nn.layers import fuse_upsampling
from bginv.ops.binarize import binarize, not_black
from bginv.ops.losses import Loss, area_loss, cross_entropy, total_variation

LARGEST_BATCH = 64
"""Where masks are computed: a U-Net's maps take ten times a classifier's memory."""


class MaskTraining(Method):
    """Masks that keep the class and little else (Cruz et al. 2020, section III).

    Args:
        unet: images to masks; it is trained in place.
        classifier: images to logits; it stays as it is.
        settings: weights of the loss terms, learning rate, augmentation.
        loss: what the classifier was trained for.
    """

    name = "masks"
    cost = 4.0

    def __init__(
        self,
        unet: keras.Model,
        classifier: keras.Model,
        settings: MaskSettings,
        loss: Loss = cross_entropy,
    ):
        super().__init__(settings)
        self.unet, self.classifier, self._loss = unet, classifier, loss
        self._fused = fuse_upsampling(unet)
        self._term = "cross_entropy" if loss is cross_entropy else "classifier_loss"
        self.optimizer = keras.optimizers.Adam(settings.learning_rate)
        self.optimizer.build(unet.trainable_variables)
        self.augmentation = augmentation_of(settings)

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.unet, self.classifier]

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        return {"unet": self.unet, "optimizer": self.optimizer}

    def losses(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Terms of the loss, and their weighted sum as "loss".

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            labels: int [B].
        """
        masks = self._fused(images, training=True)
        outputs = self.classifier(images * masks, training=False)
        terms = {
            self._term: self._loss(labels, outputs),
            "area": area_loss(masks, self.settings.area, self.settings.loss),
            "total_variation": total_variation(masks),
        }
        weighted_variation = self.settings.total_variation * terms["total_variation"]
        return {"loss": terms[self._term] + terms["area"] + weighted_variation, **terms}

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`."""
        del seed
        with tf.GradientTape() as tape:
            losses = self.losses(batch["image"], batch["label"])
        self.descend(tape, losses["loss"], [(self.optimizer, self.unet)])
        return losses


def with_generated_masks(
    source: ArraySource | FileSource,
    unet: keras.Model | None,
    method: str,
    area: float,
    folder: pathlib.Path | None = None,
) -> ArraySource | FileSource:
    """The source with a mask for each image, computed once.

    Args:
        source: images.
        unet: see `soft_and_binary_masks`, as for the next two.
        method: of the binarization.
        area: for the method "quantile".
        folder: where masks of a source in files go, as files; those that are there are kept. None
            means a temporary one.

    Returns:
        A source with masks held as uint8, so soft masks are rounded to multiples of 1/255.
    """

    fused = fuse_upsampling(unet) if unet else None

    @tf.function(reduce_retracing=True, autograph=False)
    def masks_of(images: tf.Tensor) -> tf.Tensor:
        _, masks = soft_and_binary_masks(images, fused, method, area)
        return tf.cast(tf.round(masks * 255), tf.uint8)

    if isinstance(source, FileSource):
        files = write_records(
            source,
            lambda batch: masks_of(batch["image"]).numpy(),
            folder or _temporary_folder(),
            ".png",
        )
        return source.with_masks(files)
    batches = source.batches(min(source.pass_batch, LARGEST_BATCH))
    return source.with_masks(np.concatenate([masks_of(batch["image"]) for batch in batches]))


def _temporary_folder() -> pathlib.Path:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bginv-masks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def soft_and_binary_masks(
    images: tf.Tensor, unet: keras.Model | None, method: str, area: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Masks float32 [B, H, W, 1] in [0, 1], as generated and binarized.

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        unet: mask generator; None means the heuristic `image > 0`, which is binary already.
        method: of `ops.binarize`.
        area: for the method "quantile".
    """
    if unet is None:
        masks = not_black(images)
        return masks, masks
    soft = unet(images, training=False)
    return soft, binarize(soft, method, area)
