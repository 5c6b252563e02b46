"""Automatic feature reweighting: a last layer for what is told badly (Qiu et al. 2023)."""

import numpy as np
import tensorflow as tf

from bginv.errors import UserError
from bginv.methods.rivals.erm import ErmTraining
from bginv.methods.rivals.trainer import Trainer

LARGEST_NORM = 1.0
"""Of a gradient, as in the published code."""


def train(trainer: Trainer) -> None:
    """Train on a part of the images alike, then the last layer on the rest by `move_last_layer`.

    Raises:
        UserError: too few images; see `Trainer.check_last_layer` too.
    """
    own = trainer.settings
    trainer.check_last_layer()
    first, rest = trainer.split(own.reweighted_share)
    if not len(first) or not len(rest):
        raise UserError(
            f"afr trains on two parts of the images, and {len(first) + len(rest)} have none: give "
            "it more, two of a class at least"
        )
    trainer.fit(ErmTraining, trainer.train.take(first), choose=False)
    held = trainer.train.take(rest)
    weights = badly_told(trainer.logits(held), held.labels, trainer.num_classes, own.gamma)
    kernel, bias = move_last_layer(
        trainer.features(held),
        held.labels,
        weights,
        trainer.head_weights(),
        (own.distance_penalty, own.last_layer_rate, own.last_layer_steps),
    )
    trainer.set_head(kernel, bias)


def badly_told(
    logits: np.ndarray, labels: np.ndarray, num_classes: int, gamma: float
) -> np.ndarray:
    """Weights of records, float [N], whose sum is 1 (eq. 2 and 3).

    mu_i = beta_y exp(-gamma p_i), with p_i, the probability of the label, and beta_y, one over the
    records of its class.
    """
    shares = tf.nn.softmax(tf.constant(logits, tf.float64)).numpy()
    told = shares[np.arange(len(labels)), labels]
    weights = np.exp(-gamma * told) / np.bincount(labels, minlength=num_classes)[labels]
    return weights / weights.sum()


def move_last_layer(
    features: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    start: tuple[np.ndarray, np.ndarray],
    settings: tuple[float, float, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient descent on `sum_i mu_i l_i + lambda |w - w_0|^2` (eq. 4), all records a step.

    Args:
        features: float [N, D].
        labels: int [N].
        weights: float [N], mu.
        start: kernel float [D, K] and bias float [K], w_0.
        settings: lambda, the rate, and the number of steps.

    Returns:
        Kernel and bias.
    """
    penalty, rate, steps = settings
    inputs, mu = tf.constant(features, tf.float32), tf.constant(weights, tf.float32)
    begun = [tf.constant(own, tf.float32) for own in start]

    @tf.function(autograph=False)
    def step(*own: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(own)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels, inputs @ own[0] + own[1]
            )
            way = tf.add_n([tf.reduce_sum((a - b) ** 2) for a, b in zip(own, begun, strict=True)])
            loss = tf.reduce_sum(mu * losses) + penalty * way
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, own), LARGEST_NORM)
        return [a - rate * b for a, b in zip(own, gradients, strict=True)]

    moved = begun
    for _ in range(steps):
        moved = step(*moved)
    return moved[0].numpy(), moved[1].numpy()
