"""Adversarial adaptation of a segmentation network to another domain (Tsai et al. 2018)."""

import keras
import tensorflow as tf

from bginv.engine.method import Method
from bginv.engine.optimizers import SGD, Adam, AveragedWeights, BestWeights, RepeatedSGD
from bginv.methods.adaptation.discriminator import (
    SMALLEST_SIDE,
    STEPS_BETWEEN_LOOKS,
    Balance,
    build_discriminator,
)
from bginv.methods.adaptation.settings import AdaptationSettings
from bginv.nn.deeplab import is_head
from bginv.ops.geometry import mirrored, random_views, resize_aligned
from bginv.ops.losses import SOURCE, TARGET, domain_loss, segmentation_cross_entropy

LEVELS = {
    "none": (),
    "statistics": (),
    "feature": ("features",),
    "single": ("logits",),
    "multi": ("auxiliary", "logits"),
}
"""Outputs of the network that have a discriminator, for each kind of adaptation."""
HEAD_RATE = 10.0
ADAM_DECAYS = 0.9, 0.99

Terms = dict[str, tf.Tensor]


class AdaptationTraining(Method):
    """A segmentation network, and a discriminator for each of its adapted outputs.

    The network learns from the source's label maps, and to give outputs on the target that its
    discriminators take for the source's. With "none" the target is not looked at; "statistics"
    passes its images through the network for the batch norms alone, whose moving statistics are
    then those of both domains, as they are with discriminators.

    Attributes:
        discriminators: by output.
        average: of the network's weights.
        best: offer it the validation score of each epoch.

    Args:
        deeplab: see `build_deeplab`; it is trained in place.
        settings: kind of adaptation, weights of the terms, learning rates.
        steps: of the whole training; where `num_steps` is None, rates decay to 0 until then.
    """

    name = "adaptation"

    def __init__(self, deeplab: keras.Model, settings: AdaptationSettings, steps: int):
        super().__init__(settings)
        self.deeplab, self.decay_steps = deeplab, settings.num_steps or steps
        self.levels = LEVELS[settings.adaptation]
        self.discriminators = {
            level: build_discriminator(
                deeplab.output[level].shape[-1],
                settings.seed + 1 + place,
                settings.discriminator_width,
            )
            for place, level in enumerate(self.levels)
        }
        heads = [layer for layer in deeplab.layers if is_head(layer.name)]
        self.head_weights = [weight for layer in heads for weight in layer.trainable_weights]
        of_heads = set(map(id, self.head_weights))
        self.weights = [own for own in deeplab.trainable_weights if id(own) not in of_heads]
        self.optimizer = self._sgd(settings.learning_rate, self.weights)
        self.head_optimizer = self._sgd(HEAD_RATE * settings.learning_rate, self.head_weights)
        self.adversarial_optimizers = {}
        for level, discriminator in self.discriminators.items():
            own = Adam(self._decaying(settings.learning_rate_d), *ADAM_DECAYS)
            own.build(discriminator.trainable_variables)
            self.adversarial_optimizers[level] = own
        self.average = AveragedWeights(deeplab, settings.average_decay)
        self.best = BestWeights([deeplab])
        self.balance = Balance(self.levels) if self.levels else None

    def _decaying(self, rate: float) -> keras.optimizers.schedules.LearningRateSchedule:
        schedule = keras.optimizers.schedules.PolynomialDecay
        return schedule(rate, self.decay_steps, 0.0, self.settings.power)

    def _sgd(self, rate: float, weights: list[keras.Variable]) -> keras.Optimizer:
        settings = self.settings
        arguments = self._decaying(rate), settings.momentum, settings.weight_decay
        if settings.parameter_lists == "repeated" and weights is self.weights:
            optimizer = RepeatedSGD(*arguments, [times_listed(weight.path) for weight in weights])
        else:
            optimizer = SGD(*arguments)
        optimizer.build(weights)
        return optimizer

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.deeplab, *self.discriminators.values()]

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        own = {
            "deeplab": self.deeplab,
            "optimizer": self.optimizer,
            "head_optimizer": self.head_optimizer,
            "average": self.average,
            "best": self.best,
        }
        if self.balance:
            own["balance"] = self.balance
        for level, discriminator in self.discriminators.items():
            own[f"discriminator_{level}"] = discriminator
            own[f"adversarial_optimizer_{level}"] = self.adversarial_optimizers[level]
        return own

    def finish(self) -> None:
        """See `Method.finish`; the weights of the best epoch come back, where one was chosen."""
        self.best.restore()

    def next_event(self, step: int) -> int | None:
        """See `Method.next_event`."""
        if not self.balance:
            return None
        return (step // STEPS_BETWEEN_LOOKS + 1) * STEPS_BETWEEN_LOOKS

    def before_step(self, step: int) -> None:
        """See `Method.before_step`; warns of discriminators out of balance."""
        self.balance.log(step)

    def augment_batch(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.augment_batch`; sources are scaled and mirrored, targets mirrored."""
        seeds, settings = tf.unstack(tf.random.split(seed, 2)), self.settings
        images, maps = batch["image"], batch["label_map"]
        if settings.random_scale or settings.flip:
            images, maps = random_views(
                images, maps, seeds[0], settings.random_scale, settings.flip
            )
        target = mirrored(batch["target"], seeds[1]) if settings.flip else batch["target"]
        return {**batch, "image": images, "label_map": maps, "target": target}

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> Terms:
        """See `Method.train_step`; the mean gradient of `iter_size` parts of the batch."""
        del seed
        parts = self.settings.iter_size
        names = ("image", "label_map", "target")
        found = [
            self._gradients({name: batch[name][part::parts] for name in names})
            for part in range(parts)
        ]
        gradients = [
            [tf.add_n(list(same)) / parts for same in zip(*own, strict=True)]
            for own in zip(*(gradients for gradients, _ in found), strict=True)
        ]
        players = [(self.optimizer, self.weights), (self.head_optimizer, self.head_weights)]
        players += [
            (self.adversarial_optimizers[level], discriminator.trainable_variables)
            for level, discriminator in self.discriminators.items()
        ]
        self.move(
            [
                (player, own, weights)
                for (player, weights), own in zip(players, gradients, strict=True)
            ]
        )
        self.average.update()
        terms = {name: tf.add_n([own[name] for _, own in found]) / parts for name in found[0][1]}
        if self.balance:
            self.balance.update([terms[f"accuracy_{level}"] for level in self.levels])
        return terms

    def _gradients(self, batch: dict[str, tf.Tensor]) -> tuple[list[list[tf.Tensor]], Terms]:
        """Gradients of the network, of its heads and of each discriminator; and the terms."""
        variables = [self.weights, self.head_weights]
        with tf.GradientTape() as tape:
            maps, terms = self.segmentation_losses(batch["image"], batch["label_map"])
        gradients = self.gradients(tape, terms["loss"], variables)
        if self.settings.adaptation == "none":
            return gradients, terms
        # the target's activations are made when those of the source are no longer needed
        with tf.control_dependencies(tf.nest.flatten(gradients)):
            target = tf.identity(batch["target"])
        with tf.GradientTape() as tape:
            target_maps, own = self.adversarial_losses(target)
        if not self.levels:
            return gradients, terms
        deceiving = self.gradients(tape, own["adversarial"], variables)
        # heads have no part in the features
        gradients = [
            [a if b is None else a + b for a, b in zip(*both, strict=True)]
            for both in zip(gradients, deceiving, strict=True)
        ]
        terms |= own
        for level, discriminator in self.discriminators.items():
            with tf.GradientTape() as tape:
                loss, accuracy = self.discriminator_loss(
                    level, tf.stop_gradient(maps[level]), tf.stop_gradient(target_maps[level])
                )
            gradients += self.gradients(tape, loss, [discriminator.trainable_variables])
            terms |= {f"discriminator_{level}": loss, f"accuracy_{level}": accuracy}
        return gradients, terms

    def segmentation_losses(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[Terms, Terms]:
        """What discriminators see of the source, and the terms, their sum as "loss".

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            labels: int32 [B, H, W]; see `segmentation_cross_entropy`.
        """
        outputs, size = self.deeplab(images, training=True), images.shape[1:3]
        terms = {
            "cross_entropy": segmentation_cross_entropy(
                labels, resize_aligned(outputs["logits"], size)
            )
        }
        loss = terms["cross_entropy"]
        if "auxiliary" in outputs:
            scores = resize_aligned(outputs["auxiliary"], size)
            terms["cross_entropy_auxiliary"] = segmentation_cross_entropy(labels, scores)
            loss += self.settings.lambda_seg * terms["cross_entropy_auxiliary"]
        maps = {level: _judged(level, outputs[level], size) for level in self.levels}
        return maps, {"loss": loss, **terms}

    def adversarial_losses(self, images: tf.Tensor) -> tuple[Terms, Terms]:
        """What discriminators see of the target, and the terms, their sum as "adversarial".

        Args:
            images: float32 [B, H, W, C] in [0, 1].
        """
        outputs, settings = self.deeplab(images, training=True), self.settings
        maps = {level: _judged(level, outputs[level], images.shape[1:3]) for level in self.levels}
        terms = {
            f"adversarial_{level}": domain_loss(
                discriminator(maps[level], training=True), SOURCE, settings.gan
            )
            for level, discriminator in self.discriminators.items()
        }
        weights = {"auxiliary": settings.lambda_adv_target1}
        loss = sum(
            weights.get(level, settings.lambda_adv_target2) * terms[f"adversarial_{level}"]
            for level in self.levels
        )
        return maps, {"adversarial": tf.convert_to_tensor(loss, tf.float32), **terms}

    def discriminator_loss(
        self, level: str, source: tf.Tensor, target: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A discriminator's loss, and the share of places where it is right.

        Args:
            level: of the outputs.
            source: float32 [B, H, W, K], of the source.
            target: float32 [B, H', W', K], of the target.
        """
        discriminator, gan = self.discriminators[level], self.settings.gan
        outputs = [
            tf.cast(discriminator(maps, training=True), tf.float32) for maps in (source, target)
        ]
        losses = [
            domain_loss(own, domain, gan)
            for own, domain in zip(outputs, (SOURCE, TARGET), strict=True)
        ]
        border = 0.5 if gan == "LS" else 0.0
        right = tf.reduce_mean(tf.cast(outputs[0] < border, tf.float32)) + tf.reduce_mean(
            tf.cast(outputs[1] > border, tf.float32)
        )
        return (losses[0] + losses[1]) / 2, right / 2


def times_listed(path: str) -> int:
    """How often the published code lists a weight: once for each module that it is in."""
    if "layer" not in path:
        return 1
    return 4 if "downsample" in path else 3


def _judged(level: str, outputs: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """What a discriminator sees: probabilities at the images' size, or enlarged features."""
    if level != "features":
        return tf.nn.softmax(resize_aligned(outputs, size))
    height, width = outputs.shape[1:3]
    factor = 1
    while min(height, width) * factor < SMALLEST_SIDE:
        factor *= 2
    return resize_aligned(outputs, (height * factor, width * factor))
