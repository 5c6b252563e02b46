"""Fine-tuning of a pretrained network, on clean images and on other backgrounds."""

import keras
import tensorflow as tf

from bginv.engine.method import Method, with_own_losses
from bginv.engine.optimizers import AveragedWeights
from bginv.methods.photographs.settings import PhotographSettings
from bginv.nn.fine_tuning import LayerwiseAdamW, rates_by_depth
from bginv.ops.augment import grow_masks, sharpen_masks
from bginv.ops.compositing import composite, draw_backgrounds, either
from bginv.ops.geometry import mirrored, random_resized_crops
from bginv.ops.losses import soft_cross_entropy, symmetric_divergence
from bginv.ops.replicas import own_rows

WARM_UP = 0.1
"""Share of the steps."""
SMOOTHING = 0.1
"""Of labels (Szegedy et al. 2016)."""


class FineTuning(Method):
    """AdamW at a small rate, lower for lower layers, after a warm-up; then cosine decay to 0.

    The classifier is trained on crops of clean images and, where the records hold masks and
    backgrounds, of composites (see `draw_backgrounds`). What is judged and kept is the average of
    its weights over the steps.

    Args:
        classifier: images to logits, trained in place; what is not trainable stays.
        settings: see there.
        steps: length of the training.
        name: of the phase, for reports.
        composites: share of a batch that gets another background.
    """

    def __init__(
        self,
        classifier: keras.Model,
        settings: PhotographSettings,
        steps: int,
        name: str,
        composites: float,
    ):
        super().__init__(settings)
        self.classifier, self.name, self._composites = classifier, name, composites
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, steps - round(WARM_UP * steps)),
            warmup_target=settings.learning_rate,
            warmup_steps=round(WARM_UP * steps),
        )
        self.optimizer = LayerwiseAdamW(
            rates_by_depth(classifier, settings.lowest_rate),
            learning_rate=schedule,
            weight_decay=settings.weight_decay,
        )
        self.optimizer.build(classifier.trainable_variables)
        self.average = AveragedWeights(classifier, settings.average) if settings.average else None

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.classifier]

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        average = {"average": self.average} if self.average else {}
        return {"classifier": self.classifier, "optimizer": self.optimizer, **average}

    def finish(self) -> None:
        """See `Method.finish`: the classifier gets its averaged weights."""
        if self.average:
            self.average.take_over()

    def augment_batch(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.augment_batch`; for consistency, a second view is in `other`."""
        if not self.settings.consistency or not self._composites:
            return {**batch, "image": view(batch, self.settings, self._composites, seed)}
        first, second = (
            view(batch, self.settings, self._composites, own)
            for own in tf.unstack(tf.random.split(seed, 2))
        )
        return {**batch, "image": first, "other": second}

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`."""
        del seed
        with tf.GradientTape() as tape:
            logits = self.classifier(batch["image"], training=True)
            labels = tf.one_hot(batch["label"], logits.shape[-1])
            loss = soft_cross_entropy(labels, logits, SMOOTHING)
            terms = {}
            if "other" in batch:
                other = self.classifier(batch["other"], training=True)
                loss = 0.5 * (loss + soft_cross_entropy(labels, other, SMOOTHING))
                terms = {"cross_entropy": loss, "disagreement": symmetric_divergence(logits, other)}
                loss += self.settings.consistency * terms["disagreement"]
            loss = with_own_losses(loss, self.classifier)
        self.descend(tape, loss, [(self.optimizer, self.classifier)])
        if self.average:
            self.average.update()
        return {"loss": loss, **terms}


def view(
    batch: dict[str, tf.Tensor], settings: PhotographSettings, composites: float, seed: tf.Tensor
) -> tf.Tensor:
    """Images of a batch, some of them on other backgrounds, each cut at random and mirrored.

    Args:
        batch: `image`; for composites, `mask` and `background` too.
        settings: kinds of backgrounds, growth of masks, sizes of crops.
        composites: share of the images that get another background.
        seed: int32 [2].

    Returns:
        float32 [B, H, W, C] in [0, 1].
    """
    seeds = tf.unstack(tf.random.split(seed, 4))
    images = batch["image"]
    if composites:
        masks = batch["mask"]
        if settings.mask_growth:
            masks = grow_masks(masks, seeds[3], settings.mask_growth)
        if settings.mask_sharpness > 1:
            masks = sharpen_masks(masks, settings.mask_sharpness)
        behind = draw_backgrounds(batch["background"], settings.mix, seeds[0])
        mixed = composite(images, masks, behind)
        count = images.shape[0]
        place = own_rows(lambda n: tf.random.stateless_uniform([n, 1, 1, 1], seeds[1]), count)
        images = either(place < composites, mixed, images) if composites < 1 else mixed
    if settings.smallest_crop == 1:  # nothing to resample
        return mirrored(images, seeds[2]) if settings.flip else images
    size = images.shape[1:3]
    return random_resized_crops(images, seeds[2], size, settings.smallest_crop, settings.flip)
