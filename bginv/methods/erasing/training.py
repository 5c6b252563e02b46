"""Turns, losses and step of end-to-end adversarial erasing; see `methods/erasing/model.py`."""

from collections.abc import Callable

import keras
import tensorflow as tf

from bginv.engine.method import Step
from bginv.engine.optimizers import SGD, Adam, RMSprop
from bginv.methods.erasing.model import attention_maps
from bginv.methods.erasing.settings import ErasingSettings
from bginv.methods.localization import CroppedTraining
from bginv.nn.backbones import IMAGENET_MEAN
from bginv.ops.cams import enlarge_maps, soft_masks
from bginv.ops.compositing import erase
from bginv.ops.losses import attention_mining, binary_cross_entropy
from bginv.ops.replicas import mean_over_replicas

OPTIMIZERS: dict[str, Callable[[float], keras.Optimizer]] = {
    "sgd": lambda rate: SGD(rate, 0.9, 1e-4),
    "adam": lambda rate: Adam(rate, 0.5),
    "rmsprop": RMSprop,
}
"""As the reference configures them."""


class ErasingTraining(CroppedTraining):
    """A localizer, and an adversary that looks for the classes in what the localizer leaves.

    They are trained in turns. The localizer pays for the evidence that its adversary still finds.

    Args:
        localizer: see `build_network`; it is trained in place.
        adversary: another one, or None: no erasing or, for `share_weights`, the localizer itself.
        settings: weights of the terms, turns, learning rates, augmentation.
        several_labels: an image may have any number of labels, so batches differ in their pairs.
    """

    name = "erasing"

    def __init__(
        self,
        localizer: keras.Model,
        adversary: keras.Model | None,
        settings: ErasingSettings,
        several_labels: bool = False,
    ):
        super().__init__(settings)
        self.static_shapes = not several_labels
        self.localizer, self.adversary = localizer, adversary
        self.optimizer = OPTIMIZERS[settings.optimizer](settings.learning_rate)
        self.optimizer.build(localizer.trainable_variables)
        if adversary:
            make = OPTIMIZERS[settings.adversarial_optimizer]
            self.adversarial_optimizer = make(settings.adversarial_learning_rate)
            self.adversarial_optimizer.build(adversary.trainable_variables)

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.localizer, *([self.adversary] if self.adversary else [])]

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        own = {"localizer": self.localizer, "optimizer": self.optimizer}
        if not self.adversary:
            return own
        adversary = {"adversary": self.adversary}
        return {**own, **adversary, "adversarial_optimizer": self.adversarial_optimizer}

    def step_at(self, step: int) -> Step:
        """See `Method.step_at`: `train_steps_localizer` for one, then those for the other."""
        if not self.adversary:
            return self.train_step
        own, other = self._turns()
        return self.train_step if step % (own + other) < own else self.adversary_step

    def next_event(self, step: int) -> int | None:
        """See `Method.next_event`: where the next turn begins."""
        if not self.adversary:
            return None
        own, other = self._turns()
        begun, place = step - step % (own + other), step % (own + other)
        return begun + (own if place < own else own + other)

    def _turns(self) -> tuple[int, int]:
        return self.settings.train_steps_localizer, self.settings.train_steps_adversarial

    def losses(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """The localizer's loss as "loss", its terms, and the "adversary"'s.

        Every label of an image makes a pair with it; terms of erased images are means over pairs.

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            labels: int [B], class numbers, or [B, K], 1 for each class that is there.
        """
        settings = self.settings
        outputs = self.localizer(images, training=True)
        num_classes = outputs["logits"].shape[-1]
        single = len(labels.shape) == 1
        targets = tf.one_hot(labels, num_classes) if single else tf.cast(labels, tf.float32)
        rows, classes = pairs_of(labels)
        head = self.localizer.get_layer("head")
        features = tf.gather(outputs["features"], rows)
        maps = enlarge_maps(
            attention_maps(head, features, classes, settings.attention_type), images.shape[1:3]
        )
        terms = {
            "cross_entropy": binary_cross_entropy(targets, outputs["logits"]),
            "map_mean": _mean_over_pairs(tf.reduce_mean(maps, [1, 2])),
        }
        loss = terms["cross_entropy"] + settings.beta * terms["map_mean"]
        if self.adversary or settings.share_weights:
            masks = soft_masks(maps, settings.omega, settings.sigma)[..., None]
            erased = erase(tf.gather(images, rows), masks, _colour(images.shape[-1]))
            judge = self.adversary or self.localizer
            logits = tf.cast(judge(erased, training=True)["logits"], tf.float32)
            # the reference takes logits where weights are shared
            found = tf.sigmoid(logits) if self.adversary else logits
            terms["mining"] = _mean_over_pairs(attention_mining(found, classes))
            loss += settings.alpha * terms["mining"]
            if self.adversary:
                per_pair = tf.nn.sigmoid_cross_entropy_with_logits(tf.gather(targets, rows), logits)
                terms["adversary"] = _mean_over_pairs(tf.reduce_mean(per_pair, -1))
        return {"loss": loss, **terms}

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`; the localizer's turn."""
        del seed
        with tf.GradientTape() as tape:
            losses = self.losses(batch["image"], batch["label"])
        self.descend(tape, losses["loss"], [(self.optimizer, self.localizer)])
        return losses

    def adversary_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`; the adversary's turn."""
        del seed
        with tf.GradientTape() as tape:
            losses = self.losses(batch["image"], batch["label"])
        self.descend(tape, losses["adversary"], [(self.adversarial_optimizer, self.adversary)])
        return losses


def pairs_of(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The row and the class of every label, row by row.

    Args:
        labels: int [B], class numbers, or [B, K], 1 for each class that is there.

    Returns:
        Two int64 [P].
    """
    if len(labels.shape) == 1:
        return tf.range(labels.shape[0], dtype=tf.int64), tf.cast(labels, tf.int64)
    found = tf.where(labels > 0)
    return found[:, 0], found[:, 1]


def _mean_over_pairs(values: tf.Tensor) -> tf.Tensor:
    """A replica's share of the mean over the pairs of the whole batch, however they spread."""
    count = mean_over_replicas(tf.cast(tf.shape(values)[0], tf.float32))
    return tf.reduce_sum(values) / tf.maximum(count, 1.0)


def _colour(channels: int) -> tf.Tensor:
    """ImageNet's mean, which the reference's preprocessing turns into 0."""
    return tf.constant(IMAGENET_MEAN if channels == 3 else [IMAGENET_MEAN.mean()], tf.float32)
