"""A scale that keeps gradients in the range of 16 bits."""

from collections.abc import Sequence

import keras
import tensorflow as tf

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
