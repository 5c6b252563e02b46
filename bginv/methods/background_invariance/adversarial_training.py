"""Phase 3: the classifier against generators of backgrounds."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.engine.method import with_own_losses
from bginv.engine.optimizers import weights_kept
from bginv.errors import UserError
from bginv.methods.background_invariance.classifier_training import (
    ClassifierMethod,
    decaying,
    learning_rate_of,
)
from bginv.methods.background_invariance.settings import AdversarialSettings
from bginv.nn.background_generator import build_background_generator, generate_backgrounds
from bginv.nn.fine_tuning import has_batch_norm
from bginv.nn.layers import fuse_upsampling
from bginv.ops.augment import grow_masks
from bginv.ops.compositing import composite
from bginv.ops.losses import Loss, brightness_penalty, cross_entropy, reverse_gradient
from bginv.ops.replicas import own_rows


class Adversary:
    """A background generator with its optimizer.

    Args:
        image_shape: (H, W, C).
        tiles: t for t x t tiles.
        learning_rate: of Adam.
        seed: of the initial weights.
        uses: see `generate_backgrounds`.

    Raises:
        UserError: tiles that do not fit the image.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        tiles: int,
        learning_rate: float,
        seed: int,
        uses: int = 1,
    ):
        self.image_shape, self.tiles, self._seed, self._uses = image_shape, tiles, seed, uses
        self.generator = build_background_generator(image_shape, tiles, seed)
        self._fused = fuse_upsampling(self.generator)
        self.optimizer = keras.optimizers.Adam(learning_rate)
        self.optimizer.build(self.generator.trainable_variables)
        self._unused_optimizer = [variable.numpy() for variable in self.optimizer.variables]

    def restart(self, step: int) -> None:
        """Fresh weights, a function of (seed, step), and an optimizer without memory."""
        seed = int(np.random.SeedSequence((self._seed, step)).generate_state(1)[0])
        fresh = build_background_generator(self.image_shape, self.tiles, seed)
        self.generator.set_weights(fresh.get_weights())
        for variable, value in zip(self.optimizer.variables, self._unused_optimizer, strict=True):
            variable.assign(value)

    def draw(self, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Backgrounds float32 [count, H, W, C] in (0, 1)."""
        size = self.image_shape[:2]
        return generate_backgrounds(self._fused, count, self.tiles, seed, self._uses, size)


class AdversarialTraining(ClassifierMethod):
    """The classifier descends its loss on composites, the generators ascend it.

    The first share `clean_fraction` of a batch keeps its background, or that of another image where
    backgrounds are mixed; the rest is divided equally among the generators. Batches hold `image`,
    `label`, `mask` and, for `back` = "real", `background` [B, H, W, C] in [0, 1].

    Args:
        classifier: images to logits; it is trained in place.
        image_shape: (H, W, C).
        settings: see `AdversarialSettings`.
        steps: length of the training, for the decay of the learning rate.
        loss: of the classifier's outputs.

    Raises:
        UserError: tiles that do not fit the image or stand there twice, or fewer images than
            generators; or see `ClassifierMethod`.
    """

    name = "adversarial"
    cost = 2.0

    def __init__(
        self,
        classifier: keras.Model,
        image_shape: tuple[int, int, int],
        settings: AdversarialSettings,
        steps: int,
        loss: Loss = cross_entropy,
    ):
        rate = learning_rate_of(settings, classifier)
        optimizer = _classifier_optimizer(settings, rate, steps)
        super().__init__(classifier, settings, optimizer, loss)
        self.image_shape = image_shape
        self.align_masks = settings.align_masks
        self.adversaries = [
            Adversary(
                self.image_shape,
                tiles,
                settings.generator_learning_rate,
                settings.seed + i,
                settings.tile_uses,
            )
            for i, tiles in enumerate(settings.tiles if settings.back == "adv" else ())
        ]
        if len(set(settings.tiles)) < len(settings.tiles):
            raise UserError(f"--tiles names a count twice: {','.join(map(str, settings.tiles))}")
        if settings.background_mixing and not (settings.clean_fraction and settings.align_masks):
            raise UserError(
                "--background-mixing changes the images that --clean-fraction leaves as they are, "
                "in step with their masks: give that, and --align-masks"
            )
        if not settings.clean_fraction and has_batch_norm(classifier):
            logging.warning(
                "batch normalization of %s would see composites alone, and its statistics would be "
                "theirs: --clean-fraction 0.25 shows it images as they are too",
                classifier.name,
            )
        share = settings.batchsize // self.strategy.num_replicas_in_sync
        injected = self._num_injected(share)
        if injected < len(self.adversaries):
            raise UserError(
                f"--batchsize {settings.batchsize}, {share} a device, with "
                f"--clean-fraction {settings.clean_fraction}, leaves {injected} images for "
                f"{len(self.adversaries)} generators; "
                "raise the one, lower the other, or give fewer --tiles"
            )

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.classifier, *(adversary.generator for adversary in self.adversaries)]

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        state = super().state()
        for adversary in self.adversaries:
            name = adversary.generator.name
            state |= {name: adversary.generator, f"{name}_optimizer": adversary.optimizer}
        return state

    def augment_batch(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Grow the masks at random, then see `Method.augment_batch`."""
        growth_seed, affine_seed = tf.unstack(tf.random.split(seed, 2))
        if self.settings.mask_growth:
            masks = grow_masks(batch["mask"], growth_seed, self.settings.mask_growth)
            batch = {**batch, "mask": masks}
        return super().augment_batch(batch, affine_seed)

    def losses(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        masks: tf.Tensor,
        backgrounds: list[tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Loss of both players at once.

        Its gradient is the classifier's own for the classifier's weights; for a generator's, the
        gradient of minus the loss of that generator's composites, plus that of the brightness
        penalty where images are grey.

        Returns "loss", and its terms where there are two.

        Args:
            images: float32 [B, H, W, C] in [0, 1], clean ones first.
            labels: int [B].
            masks: float32 [B, H, W, 1] in [0, 1].
            backgrounds: one float32 [N_i, H, W, C] for each generator (one in all where there is
                none); the last images of the batch get them in turn.
        """
        batch_size = images.shape[0]
        clean = batch_size - sum(background.shape[0] for background in backgrounds)
        # each generator sees the mean over its own composites, not over the batch
        behind_masks = [
            reverse_gradient(background, batch_size / background.shape[0])
            if self.adversaries
            else background
            for background in backgrounds
        ]
        composites = images
        if behind_masks:
            injected = composite(images[clean:], masks[clean:], tf.concat(behind_masks, 0))
            composites = tf.concat([images[:clean], injected], 0)
        loss = self.loss(labels, self.classifier(composites, training=True))
        loss = with_own_losses(loss, self.classifier)
        if not (self.adversaries and self.image_shape[-1] == 1):
            return {"loss": loss}
        penalty = tf.add_n([brightness_penalty(background) for background in backgrounds])
        return {"loss": loss + penalty, "objective": loss, "brightness_penalty": penalty}

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`."""
        with tf.GradientTape() as tape:
            backgrounds = self._backgrounds(batch, seed)
            losses = self.losses(batch["image"], batch["label"], batch["mask"], backgrounds)
        players = [(self.optimizer, self.classifier)]
        players += [(adversary.optimizer, adversary.generator) for adversary in self.adversaries]
        self.descend(tape, losses["loss"], players)
        return losses

    def before_step(self, step: int) -> None:
        """Restart the generators whose turn it is; see `next_event`."""
        every = self.settings.restart_every
        for adversary, offset in zip(self.adversaries, self._restart_offsets(), strict=False):
            if step % every == offset:
                adversary.restart(step)

    def next_event(self, step: int) -> int | None:
        """Generators restart in turn, each every `restart_every` steps."""
        every = self.settings.restart_every
        events = [step + (offset - step - 1) % every + 1 for offset in self._restart_offsets()]
        return min(events, default=None)

    @contextlib.contextmanager
    def evaluated_weights(self) -> Iterator[None]:
        """See `Method.evaluated_weights`."""
        with weights_kept(self.classifier.trainable_variables):
            self.finish()
            yield

    def finish(self) -> None:
        """Give the classifier its averaged weights, of which the optimizer keeps account."""
        if self.optimizer.use_ema:
            self.optimizer.finalize_variable_values(self.classifier.trainable_variables)

    def _restart_offsets(self) -> list[int]:
        """A step for each generator that restarts, in [0, restart_every)."""
        every, count = self.settings.restart_every, len(self.adversaries)
        return [i * every // count for i in range(count)] if every else []

    def draw_backgrounds(self, count: int, seed: tf.Tensor) -> list[tf.Tensor]:
        """Backgrounds of the kind `settings.back`, other than "real".

        Args:
            count: how many in all.
            seed: int32 [2].

        Returns:
            float32 [N_i, H, W, C] tensors, one for each generator that gets a share (one where
            there is no generator).
        """
        match self.settings.back:
            case "black":
                return [tf.zeros([count, *self.image_shape])]
            case "noise":
                normal = self.settings.noise == "normal"
                draw = tf.random.stateless_normal if normal else tf.random.stateless_uniform
                return [own_rows(lambda n: draw([n, *self.image_shape], seed), count)]
        shares = np.array_split(np.arange(count), len(self.adversaries))
        return [
            adversary.draw(len(share), tf.random.fold_in(seed, i))
            for i, (adversary, share) in enumerate(zip(self.adversaries, shares, strict=True))
            if len(share)
        ]

    def _num_injected(self, batch_size: int) -> int:
        return batch_size - round(batch_size * self.settings.clean_fraction)

    def _backgrounds(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:
        """Backgrounds for the part of the batch that does not stay clean."""
        injected = self._num_injected(batch["image"].shape[0])
        if injected == 0:
            return []
        if self.settings.back == "real":
            return [batch["background"][:injected]]
        return self.draw_backgrounds(injected, seed)


def _classifier_optimizer(
    settings: AdversarialSettings, rate: float, steps: int
) -> keras.Optimizer:
    rate = decaying(rate, settings.decay, steps)
    if not settings.average:
        return keras.optimizers.Adam(rate)
    return keras.optimizers.Adam(rate, use_ema=True, ema_momentum=settings.average)
