"""What is trained, and its step."""

import abc
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from bginv.engine.common_settings import AugmentedSettings, PhaseSettings
from bginv.nn.precision import chosen_precision
from bginv.ops.augment import Augmentation, augment

Update = tuple[keras.Optimizer, Sequence[tf.Tensor], Sequence[keras.Variable]]

INITIAL_SCALE = 2.0**15
STEPS_BETWEEN_GROWTHS = 2000


class LossScale(tf.Module):
    """Dynamic loss scale (Micikevicius et al. 2018, section 3.2) for several optimizers at once.

    Keras' own scales the loss of one optimizer; here one backward pass may serve several players.
    The scale is halved where a gradient is not finite, and that step is skipped; it is doubled
    after 2000 steps in a row that were not.

    Attributes:
        scale: scalar float32, what the loss is multiplied by.
        good_steps: scalar int64, steps since the scale was changed.
    """

    def __init__(self):
        self.scale = tf.Variable(INITIAL_SCALE, trainable=False)
        self.good_steps = tf.Variable(0, trainable=False, dtype=tf.int64)

    def apply(self, updates: Sequence[Update]) -> None:
        """Apply scaled gradients, in a replica; none of them where one is not finite."""
        context = tf.distribute.get_replica_context()
        broken = tf.add_n(
            [
                tf.reduce_sum(tf.cast(~tf.math.is_finite(gradient), tf.float32))
                for _, gradients, _ in updates
                for gradient in gradients
            ]
        )
        broken = context.all_reduce(tf.distribute.ReduceOp.SUM, broken)
        gradients = [[gradient / self.scale for gradient in update[1]] for update in updates]

        def apply_own(gradients: list[list[tf.Tensor]]) -> None:
            for (optimizer, _, variables), own in zip(updates, gradients, strict=True):
                optimizer.apply(own, variables)

        def decide(strategy, broken, gradients) -> None:
            def apply_all():
                strategy.extended.call_for_each_replica(apply_own, args=(gradients,))
                self._grow()
                return tf.constant(True)

            def skip():
                self.scale.assign(tf.maximum(self.scale / 2, 1.0))
                self.good_steps.assign(0)
                return tf.constant(False)

            tf.cond(strategy.experimental_local_results(broken)[0] > 0, skip, apply_all)

        context.merge_call(decide, args=(broken, gradients))

    def _grow(self) -> None:
        enough = self.good_steps + 1 >= STEPS_BETWEEN_GROWTHS
        self.scale.assign(tf.where(enough, self.scale * 2, self.scale))
        self.good_steps.assign(tf.where(enough, tf.zeros([], tf.int64), self.good_steps + 1))


Player = tuple[keras.Optimizer, keras.Model]
Step = Callable[[dict[str, tf.Tensor], tf.Tensor], dict[str, tf.Tensor]]


class Method(abc.ABC):
    """A training method: its step, and what happens between steps.

    Made in the scope of a `tf.distribute` strategy, it is trained under that strategy.

    Args:
        settings: of the phase.

    Attributes:
        name: of the phase, for reports.
        augmentation: ranges of the random transforms.
        align_masks: augment image and mask together, not the image alone.
        static_shapes: XLA can compile the step.
        strategy: the one that the method was made under.
    """

    name: str
    augmentation: Augmentation
    align_masks: bool = True
    static_shapes: bool = True

    def __init__(self, settings: PhaseSettings):
        self.settings = settings
        self.strategy = tf.distribute.get_strategy()
        self.loss_scale = LossScale() if settings.precision == "float16" else None

    @property
    @abc.abstractmethod
    def models(self) -> list[keras.Model]:
        """Every model that a step runs, frozen ones too."""

    @property
    def precision(self) -> str:
        """Of the layers' arithmetic, for `computing_in`."""
        return chosen_precision(self.settings.precision, self.models)

    @abc.abstractmethod
    def state(self) -> dict[str, object]:
        """What a step changes, by name: models, optimizers, `tf.Module`s and variables."""

    def checkpointed(self) -> dict[str, object]:
        """What a checkpoint holds: `state`, and the loss scale where there is one."""
        scale = {"loss_scale": self.loss_scale} if self.loss_scale else {}
        return {**self.state(), **scale}

    def augment_batch(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """The batch with augmented images; apart from the step, as XLA has no affine transforms."""
        masks = batch.get("mask") if self.align_masks else None
        images, warped = augment(batch["image"], seed, self.augmentation, masks)
        return {**batch, "image": images, **({} if warped is None else {"mask": warped})}

    @abc.abstractmethod
    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Update the method's models once; traced inside a `tf.function`.

        Args:
            batch: augmented records of a `Source`, with static shapes; a replica's share of them.
            seed: int32 [2], another one at each step, the same on all replicas.

        Returns:
            Scalars to report, means over the batch.
        """

    def step_at(self, step: int) -> Step:
        """What updates the models from this step to `next_event`; `train_step`, or another turn."""
        del step
        return self.train_step

    def descend(self, tape: tf.GradientTape, loss: tf.Tensor, players: Sequence[Player]) -> None:
        """Move the weights of each player down the gradient of the loss over the whole batch.

        Args:
            tape: it recorded the loss.
            loss: scalar, the mean over this replica's share of the batch.
            players: optimizers and whose weights they move.
        """
        variables = [model.trainable_variables for _, model in players]
        gradients = self.gradients(tape, loss, variables)
        self.move(
            [
                (optimizer, *parts)
                for (optimizer, _), *parts in zip(players, gradients, variables, strict=True)
            ]
        )

    def gradients(self, tape: tf.GradientTape, loss: tf.Tensor, variables: list) -> list:
        """A replica's share of the gradients of the loss over the whole batch, for `move`.

        Args:
            tape: it recorded the loss.
            loss: scalar, the mean over this replica's share of the batch.
            variables: in lists.
        """
        # optimizers add up the gradients of the replicas
        num_replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        factor = None if num_replicas == 1 else tf.constant(1 / num_replicas)
        if self.loss_scale:
            factor = self.loss_scale.scale / num_replicas
        return tape.gradient(loss, variables, factor)

    def move(self, updates: Sequence[Update]) -> None:
        """Let optimizers take a step each: all of them, or none where 16 bits overflowed."""
        if self.loss_scale:
            self.loss_scale.apply(updates)
            return
        for optimizer, gradients, weights in updates:
            optimizer.apply(gradients, weights)

    def before_step(self, step: int) -> None:  # noqa: B027 - most methods have nothing to do
        """Called in Python before a step that `next_event` named."""

    def next_event(self, step: int) -> int | None:  # noqa: B027
        """The first step after `step` that needs `before_step`, or None."""

    def finish(self) -> None:  # noqa: B027
        """Called once after the last step."""


def with_own_losses(loss: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """A loss and what the model's layers add to it in training: regularizers, `add_loss`.

    Called after the model, inside the tape.
    """
    own = model.losses
    return tf.add_n([loss, *(tf.cast(term, loss.dtype) for term in own)]) if own else loss


def augmentation_of(settings: AugmentedSettings) -> Augmentation:
    """Ranges as set; shear and brightness are the paper code's."""
    return Augmentation(rotation=settings.rotation, shift=settings.shift, flip=settings.flip)
