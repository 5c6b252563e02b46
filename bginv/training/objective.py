"""What a classifier is trained for, with the techniques that change it."""

from collections.abc import Callable

import keras
import tensorflow as tf

from bginv.models.ensembles import BATCH_ENSEMBLE, members_of
from bginv.ops.losses import cross_entropy, soft_cross_entropy
from bginv.ops.mixing import random_order
from bginv.recipes import ClassifierTrainingSettings, TechniqueSettings

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
SMALLEST_ALPHA = 0.1
"""Of the Beta distribution: below, Keras' draws turn to one half, in place of 0 and 1."""


class Objective:
    """The loss of a classifier on a batch.

    Images and labels are mixed first, by the layers that Keras has for it (mixup, Zhang et al.
    2018; CutMix, Yun et al. 2019). Then the members of an ensemble get theirs: those of MIMO
    all images, each in an order of its own, those of a BatchEnsemble equal parts.

    Args:
        classifier: images to logits.
        settings: where they are `TechniqueSettings`, the techniques; else the loss alone.
        batch_size: images a replica.
        loss: labels and the classifier's outputs to a scalar, the mean over the batch.

    Raises:
        ValueError: techniques that exclude each other, or a batch that cannot be shared.
    """

    def __init__(
        self,
        classifier: keras.Model,
        settings: ClassifierTrainingSettings,
        batch_size: int,
        loss: Loss = cross_entropy,
    ):
        self.classifier, self._members, self._loss = classifier, members_of(classifier), loss
        self._smoothing = self._gamma = 0.0
        self._mixing = None
        if isinstance(settings, TechniqueSettings):
            self._smoothing, self._gamma = settings.label_smoothing, settings.focal
            self._mixing = _mixing_layer(settings)
        self._plain = not (self._members or self._mixing or self._smoothing or self._gamma)
        if not self._plain and loss is not cross_entropy:
            raise ValueError(
                "mixup, CutMix, label smoothing, focal loss and ensembles are for cross-entropy; "
                "leave them out, or the loss"
            )
        if self._members is not None and self._members.name == BATCH_ENSEMBLE:
            count = self._members.input_shape[1]
            if batch_size % count:
                raise ValueError(
                    f"--batchsize gives {batch_size} images a device, which {count} members of a "
                    f"BatchEnsemble cannot share; give a multiple of {count}, or other --members"
                )

    @property
    def static_shapes(self) -> bool:
        """See `Method`: XLA cannot draw from the distribution that mixing takes its shares from."""
        return self._mixing is None

    def loss(self, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Scalar float32, the mean over images and members.

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            labels: int [B], or what else the loss takes.
            seed: int32 [2].
        """
        mixing_seed, order_seed = tf.unstack(tf.random.split(seed, 2))
        if self._plain:
            return self._loss(labels, self.classifier(images, training=True))
        targets = tf.one_hot(labels, self.classifier.output_shape[-1])
        if self._mixing is not None:
            images, targets = self._mix(images, targets, mixing_seed)
        if self._members is None:
            logits = self.classifier(images, training=True)
        else:
            order = self._order(images.shape[0], order_seed)
            targets = tf.gather(targets, order)
            logits = self._members(tf.gather(images, order), training=True)
        return soft_cross_entropy(targets, logits, self._smoothing, self._gamma)

    def _mix(
        self, images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        drawn = self._mixing.get_random_transformation(images, seed=_StepSeed(seed))
        mixed = self._mixing.transform_images(images, drawn)
        return mixed, self._mixing.transform_labels(targets, drawn)

    def _order(self, batch_size: int, seed: tf.Tensor) -> tf.Tensor:
        """Which image each member gets, int32 [N, M]."""
        count = self._members.input_shape[1]
        if self._members.name == BATCH_ENSEMBLE:
            return tf.reshape(tf.range(batch_size), [-1, count])
        seeds = [tf.random.fold_in(seed, member) for member in range(count)]
        return tf.stack([random_order(batch_size, own) for own in seeds], axis=1)


class _StepSeed(keras.random.SeedGenerator):
    """A seed of the loop for Keras' layers: without state, so that a run can go on exactly.

    Each replica draws its own numbers.
    """

    def __init__(self, seed: tf.Tensor):
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context else 0
        self._seed, self._draws = tf.random.fold_in(seed, replica), 0

    def next(self, ordered=True):
        """The seed of the next draw."""
        del ordered
        self._draws += 1
        return tf.random.fold_in(self._seed, self._draws)


def _mixing_layer(settings: TechniqueSettings) -> keras.layers.Layer | None:
    if settings.mixup and settings.cutmix:
        raise ValueError("--mixup and --cutmix exclude each other; give one")
    for name, alpha in (("mixup", settings.mixup), ("cutmix", settings.cutmix)):
        if 0 < alpha < SMALLEST_ALPHA:
            raise ValueError(
                f"--{name} must be 0 (off) or at least {SMALLEST_ALPHA}; received {alpha}"
            )
        if alpha and settings.xla == "on":
            raise ValueError(f"--xla on cannot draw what --{name} needs; leave it out")
    if settings.mixup:
        return keras.layers.MixUp(settings.mixup)
    return keras.layers.CutMix((settings.cutmix, settings.cutmix)) if settings.cutmix else None
