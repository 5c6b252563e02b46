"""What a replica of a `tf.distribute` strategy computes as a part of the whole batch.

Replica r of R holds the rows r, r + R, ... of a batch (`Source.batches`). Random numbers are drawn
for the whole batch and each replica takes those of its rows, so R devices see what one would see.
"""

from collections.abc import Callable

import tensorflow as tf


def own_rows(draw: Callable[[int], tf.Tensor], count: int, axis: int = 0) -> tf.Tensor:
    """Those of the numbers drawn for the whole batch that belong to this replica's rows.

    Args:
        draw: from a number of rows to a tensor with so many along `axis`.
        count: this replica's rows.
        axis: of the rows.

    Returns:
        A tensor with `count` along `axis`; `draw(count)` outside of replicas.
    """
    context = tf.distribute.get_replica_context()
    num_replicas = context.num_replicas_in_sync if context else 1
    if num_replicas == 1:
        return draw(count)
    drawn = draw(count * num_replicas)
    split = [*drawn.shape[:axis], count, num_replicas, *drawn.shape[axis + 1 :]]
    return tf.gather(tf.reshape(drawn, split), context.replica_id_in_sync_group, axis=axis + 1)


def mean_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """Mean of a tensor over all replicas, on each of them; differentiable."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, value)
