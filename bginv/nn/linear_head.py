"""A new last layer on the features of a frozen network, which are computed once."""

import pathlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from bginv.artefacts import write_file
from bginv.ops.losses import soft_cross_entropy

EPOCHS, LEAST_STEPS = 40, 1500
BATCH, DECAY, SMOOTHING = 256, 1e-2, 0.1
LOGIT_RATE, SAMPLE = 0.027, 1000
"""What a step may change a logit by; more fits the training images better, and others worse. The
second is how many features tell the rate of the weights that this comes to."""


def compiled(network: keras.Model) -> tf.types.experimental.PolymorphicFunction:
    """A network as a function of images, traced once for batches of every size."""
    images = tf.TensorSpec((None, *network.input_shape[1:]))
    return tf.function(lambda images: network(images, training=False), input_signature=[images])


def stored_features(
    path: pathlib.Path | None,
    network: tf.types.experimental.PolymorphicFunction,
    batches: Callable[[], Iterator[tf.Tensor]],
    count: int,
) -> np.ndarray:
    """Features of images, float16 [count, D]; those that are on disk are not made again.

    Args:
        path: `.npy` file; None holds them in memory.
        network: images to features [B, D], see `compiled`.
        batches: gives images float32 [B, H, W, C] in [0, 1], `count` in all.
        count: N.
    """
    width = network.get_concrete_function().structured_outputs.shape[-1]

    def fill(held: np.ndarray) -> np.ndarray:
        start = 0
        for images in batches():
            found = network(images).numpy()
            held[start : start + len(found)] = found
            start += len(found)
        if start != count:
            raise ValueError(f"{start} images came for {count} features")
        return held

    def write(temporary: str) -> None:
        fill(np.lib.format.open_memmap(temporary, "w+", np.float16, (count, width))).flush()

    if path is None:
        return fill(np.empty((count, width), np.float16))
    if not path.is_file():
        write_file(path, write)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def train_head(
    head: keras.layers.Dense,
    features: list[np.ndarray],
    labels: list[np.ndarray],
    seed: int,
) -> None:
    """Train a linear layer on features, from zeros: AdamW, cosine decay, smoothed labels.

    Args:
        head: a layer of a classifier; it is trained in place.
        features: [N, D] each.
        labels: int [N] each.
        seed: of the order.
    """
    counts = [len(own) for own in features]
    starts = np.cumsum([0, *counts])
    total, width = int(starts[-1]), features[0].shape[1]
    answers = np.concatenate(labels).astype(np.int32)
    batch = min(BATCH, total)
    epochs = max(EPOCHS, -(-LEAST_STEPS // (total // batch)))
    steps = epochs * (total // batch)
    sample = _rows(features, starts, np.linspace(0, total - 1, SAMPLE, dtype=int))
    rate = LOGIT_RATE / max(1.0, float(np.abs(sample).sum(1).mean()))
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=DECAY)
    variables = [keras.Variable(tf.zeros(shape)) for shape in ((width, head.units), (head.units,))]
    optimizer.build(variables)

    @tf.function
    def step(own: tf.Tensor, wanted: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = own @ variables[0] + variables[1]
            loss = soft_cross_entropy(tf.one_hot(wanted, head.units), logits, SMOOTHING)
        optimizer.apply(tape.gradient(loss, variables), variables)

    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(total)
        for start in range(0, total - batch + 1, batch):
            rows = order[start : start + batch]
            step(tf.constant(_rows(features, starts, rows)), tf.constant(answers[rows]))
    head.kernel.assign(variables[0])
    head.bias.assign(variables[1])


def _rows(features: list[np.ndarray], starts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of arrays that follow each other, float32."""
    found = np.empty((len(rows), features[0].shape[1]), np.float32)
    for own, start, end in zip(features, starts, starts[1:], strict=False):
        inside = (rows >= start) & (rows < end)
        found[inside] = own[rows[inside] - start]
    return found
