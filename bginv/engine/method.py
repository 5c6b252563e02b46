"""What is trained, and its step."""

import abc
import contextlib
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from bginv.engine.common_settings import AugmentedSettings, PhaseSettings
from bginv.errors import UserError, first_line
from bginv.nn.precision import chosen_precision
from bginv.ops.augment import Augmentation, augment

Update = tuple[keras.Optimizer, Sequence[tf.Tensor], Sequence[keras.Variable]]

INITIAL_SCALE = 2.0**15
SMALLEST_SCALE, LARGEST_SCALE = 1.0, 2.0**24
STEPS_BETWEEN_GROWTHS = 2000
MOST_SKIPPED = 50
"""Steps in a row at the smallest scale, after which no scale can help."""


class LossScale(tf.Module):
    """Dynamic loss scale (Micikevicius et al. 2018, section 3.2) for several optimizers at once.

    Keras' own scales the loss of one optimizer; here one backward pass may serve several players.
    The scale is halved where a gradient is not finite, and that step is skipped; it is doubled
    after 2000 steps in a row that were not. It stays from 1 to 2**24.

    Attributes:
        scale: scalar float32, what the loss is multiplied by.
        good_steps: scalar int64, steps since the scale was changed.
        skipped: scalar int64, steps that moved no weight.
        skipped_at_floor: scalar int64, the last of these in a row that had the smallest scale.
    """

    def __init__(self):
        self.scale = tf.Variable(INITIAL_SCALE, trainable=False)
        self.good_steps, self.skipped, self.skipped_at_floor = (
            tf.Variable(0, trainable=False, dtype=tf.int64) for _ in range(3)
        )

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
                at_floor = tf.cast(self.scale <= SMALLEST_SCALE, tf.int64)
                self.skipped.assign_add(1)
                self.skipped_at_floor.assign((self.skipped_at_floor + 1) * at_floor)
                self.scale.assign(tf.maximum(self.scale / 2, SMALLEST_SCALE))
                self.good_steps.assign(0)
                return tf.constant(False)

            tf.cond(strategy.experimental_local_results(broken)[0] > 0, skip, apply_all)

        context.merge_call(decide, args=(broken, gradients))

    def _grow(self) -> None:
        enough = self.good_steps + 1 >= STEPS_BETWEEN_GROWTHS
        grown = tf.minimum(self.scale * 2, LARGEST_SCALE)
        self.scale.assign(tf.where(enough, grown, self.scale))
        self.skipped_at_floor.assign(0)
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
        cost: time that an image takes, beside those of the other stages of a run.
        strategy: the one that the method was made under.
    """

    name: str
    augmentation: Augmentation
    align_masks: bool = True
    static_shapes: bool = True
    cost: float = 1.0

    def __init__(self, settings: PhaseSettings):
        self.settings = settings
        self.strategy = tf.distribute.get_strategy()
        self.loss_scale = LossScale() if settings.precision == "float16" else None
        self._precision: str | None = None

    @property
    @abc.abstractmethod
    def models(self) -> list[keras.Model]:
        """Every model that a step runs, frozen ones too."""

    @property
    def precision(self) -> str:
        """Of the layers' arithmetic, for `computing_in`; a run that goes on sets its own."""
        if self._precision is None:
            self._precision = chosen_precision(self.settings.precision, self.models)
        return self._precision

    @precision.setter
    def precision(self, precision: str) -> None:
        """Set it, before the first step."""
        self._precision = precision

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
        try:
            return tape.gradient(loss, variables, factor)
        except LookupError as error:  # of TensorFlow's registry of gradients
            raise UserError(
                f"a layer of the model has no gradient ({first_line(error)}): put another in its "
                "place; if it only resizes images, its interpolation may be bilinear"
            ) from error

    def move(self, updates: Sequence[Update]) -> None:
        """Let optimizers take a step each: all of them, or none where 16 bits overflowed.

        A weight that the loss does not depend on has None for its gradient, and stays.

        Raises:
            UserError: that is so of all weights of a player.
        """
        updates = [(optimizer, *_with_gradients(*own)) for optimizer, *own in updates if own[1]]
        if self.loss_scale:
            self.loss_scale.apply(updates)
            return
        for optimizer, gradients, weights in updates:
            optimizer.apply(gradients, weights)

    def before_step(self, step: int) -> None:  # noqa: B027 - most methods have nothing to do
        """Called in Python before a step that `next_event` named."""

    def next_event(self, step: int) -> int | None:  # noqa: B027
        """The first step after `step` that needs `before_step`, or None."""

    def evaluated_weights(self) -> contextlib.AbstractContextManager:
        """A context in which the models have the weights that they are judged by: averages."""
        average = getattr(self, "average", None)
        return average.in_place() if average else contextlib.nullcontext()

    def finish(self) -> None:  # noqa: B027
        """Called once after the last step."""


def _with_gradients(
    gradients: Sequence[tf.Tensor | None], weights: Sequence[keras.Variable]
) -> tuple[list[tf.Tensor], list[keras.Variable]]:
    """The weights that the loss depends on, and its gradients by them."""
    pairs = [pair for pair in zip(gradients, weights, strict=True) if pair[0] is not None]
    if not pairs:
        paths = ", ".join([*(weight.path for weight in weights[:3]), *["..."][: len(weights) - 3]])
        raise UserError(
            f"the loss depends on no weight that is to learn ({paths}): "
            "leave out of the model what has no gradient, such as rounding, argmax or stop_gradient"
        )
    return [gradient for gradient, _ in pairs], [weight for _, weight in pairs]


def with_own_losses(loss: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """A loss and what the model's layers add to it in training: regularizers, `add_loss`.

    Called after the model, inside the tape.
    """
    own = model.losses
    return tf.add_n([loss, *(tf.cast(term, loss.dtype) for term in own)]) if own else loss


def augmentation_of(settings: AugmentedSettings) -> Augmentation:
    """Ranges as set; shear and brightness are the paper code's."""
    return Augmentation(rotation=settings.rotation, shift=settings.shift, flip=settings.flip)
