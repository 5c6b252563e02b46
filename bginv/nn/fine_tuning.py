"""Fine-tuning: which part of a network is trained, and a last layer alone."""

import contextlib
import io
import itertools
import pathlib
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from bginv.checksums import has_trailer, trailer
from bginv.errors import UserError
from bginv.nn.inference import compiled_for, forget
from bginv.ops.losses import soft_cross_entropy
from bginv.output_files import write_file
from bginv.prefetch import prefetched

CONSTANTS = {"bias": 0.0, "beta": 0.0, "gamma": 1.0, "moving_mean": 0.0, "moving_variance": 1.0}
"""Weights that every initializer in use makes constant, by Keras' names, and their constants."""

ORDER_KEEPING = ("Add", "Cast", "Log", "Softmax")
"""Operations of Keras, with one tensor and numbers, after which the largest of a row is where it
was."""
ORDER_KEEPING_ACTIVATIONS = (keras.activations.linear, keras.activations.softmax)

LEAST_TRAINED = 0.5
DEEP = 13
"""Layers with weights: VGG16 has as many before its dense ones, the paper's small network four."""

Split = tuple[keras.Model, keras.layers.Dense]
_SPLIT: weakref.WeakKeyDictionary[keras.Model, Split | None] = weakref.WeakKeyDictionary()


def leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """Layers that hold weights and no other layer, from the images to the logits, each once."""
    found: dict[int, keras.layers.Layer] = {}
    for layer in model.layers:
        parts = layer._flatten_layers(include_self=False, recursive=False)
        if isinstance(layer, keras.Model):
            found |= {id(own): own for own in leaves(layer)}
        elif parts:  # a layer of layers, whose order is not told
            inside = layer._flatten_layers(include_self=False)
            found |= {id(own): own for own in inside if own.weights and not own._layers}
        elif layer.weights:
            found[id(layer)] = layer
    return list(found.values())


def is_trained(model: keras.Model) -> bool:
    """Whether a network has learned something already, told by its weights.

    Biases, scales and moving statistics start as constants and leave them in the first steps of any
    training, so a network of which most have left them is a trained one, whatever it is called. The
    last layer does not count: it may be a new head.
    """
    told = _have_moved(leaves(model)[:-1])
    return bool(told) and float(np.mean(told)) >= LEAST_TRAINED


def is_fresh(model: keras.Model) -> bool:
    """Whether no layer of a network has learned anything yet, the last one neither."""
    told = _have_moved(leaves(model))
    return bool(told) and not any(told)


def _have_moved(layers: list[keras.layers.Layer]) -> list[bool]:
    """For each weight that starts as a constant, whether it is another one now."""
    return [
        bool((np.asarray(weight.value) != CONSTANTS[weight.name]).any())
        for layer in layers
        for weight in layer.weights
        if weight.name in CONSTANTS
    ]


def is_deep(model: keras.Model) -> bool:
    """Whether a network is of the kind that is trained on ImageNet first: of many layers."""
    return len(leaves(model)) >= DEEP


def has_batch_norm(model: keras.Model) -> bool:
    """Whether training moves statistics of batches."""
    kind = keras.layers.BatchNormalization
    return any(isinstance(own, kind) and own.trainable for own in leaves(model))


def split_head(classifier: keras.Model) -> Split | None:
    """The part of a classifier before its last layer, images to features [B, D], and that layer.

    The layer is a Dense one that gives logits, or probabilities by softmax, of the model itself or
    of a model inside it; what comes after keeps the order of classes. None where it is another.
    It is the same part each time, so that functions of it are traced once.
    """
    ends = [getattr(classifier, name, None) or () for name in ("inputs", "outputs")]
    if list(map(len, ends)) != [1, 1]:  # a subclassed one has no graph
        return None
    if classifier not in _SPLIT:
        found = _head_of(classifier.outputs[0])
        _SPLIT[classifier] = found and (
            keras.Model(classifier.inputs[0], found[0], name=f"{classifier.name}_features"),
            found[1],
        )
    return _SPLIT[classifier]


def _head_of(output: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.layers.Dense] | None:
    """A vector of features in a graph, and the last layer that it goes into; see `split_head`."""
    operation, number, _ = output._keras_history
    node = operation._inbound_nodes[number]
    inputs = node.input_tensors
    constants = [own for own in node.arguments.args if not isinstance(own, keras.KerasTensor)]
    if len(inputs) != 1 or any(map(np.ndim, constants)):  # a number for each class changes them
        return None
    in_order = getattr(operation, "activation", None) in ORDER_KEEPING_ACTIVATIONS
    if isinstance(operation, keras.layers.Dense):
        return (inputs[0], operation) if in_order and len(inputs[0].shape) == 2 else None
    if isinstance(operation, keras.Model):
        inside = split_head(operation)
        return (inside[0](inputs[0]), inside[1]) if inside else None
    passed = isinstance(operation, keras.layers.Activation) and in_order
    passed = passed or type(operation).__name__ in ORDER_KEEPING
    return _head_of(inputs[0]) if passed else None


@contextlib.contextmanager
def fine_tuned_part(
    model: keras.Model, frozen_share: float, fixed_batch_norm: bool
) -> Iterator[None]:
    """Let only a part of a network learn for as long as the context is open.

    Args:
        model: of any kind.
        frozen_share: share of the layers with weights, from the images on, that stay as they are;
            1 leaves the last layer alone to learn.
        fixed_batch_norm: batch normalization uses its moving statistics and keeps them, its scale
            and offset too.
    """
    layers = leaves(model)
    count = min(len(layers) - 1, round(frozen_share * len(layers)))
    still = layers[:count]
    if fixed_batch_norm:
        still += [own for own in layers if isinstance(own, keras.layers.BatchNormalization)]
    before = [(layer, layer.trainable) for layer in still]
    forget(model)
    if model in _SPLIT and _SPLIT[model]:
        forget(_SPLIT[model][0])
    try:
        for layer in still:
            layer.trainable = False
        yield
    finally:
        for layer, trainable in before:
            layer.trainable = trainable


def rates_by_depth(model: keras.Model, lowest: float) -> dict[str, float]:
    """A factor for each weight's learning rate, by its path: `lowest` at the images, 1 at the end.

    In between they grow geometrically with the layer's number (Howard & Ruder 2018).
    """
    layers = leaves(model)
    last = max(1, len(layers) - 1)
    return {
        weight.path: lowest ** (1 - place / last)
        for place, layer in enumerate(layers)
        for weight in layer.weights
    }


@keras.saving.register_keras_serializable("bginv")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW (Loshchilov & Hutter 2019) with a factor for the rate of each weight.

    Args:
        factors: by path of the weight; 1 where there is none.
        **keywords: see Keras.
    """

    def __init__(self, factors: Mapping[str, float] | None = None, **keywords):
        super().__init__(**keywords)
        self._factors = dict(factors or {})
        self._own: list[float] = []

    def build(self, variables):
        """See Keras."""
        self._own = [self._factors.get(variable.path, 1.0) for variable in variables]
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        """See Keras."""
        factor = self._own[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)

    def get_config(self):
        """See Keras."""
        return {**super().get_config(), "factors": self._factors}


EPOCHS, LEAST_STEPS = 40, 1500
BATCH, DECAY, SMOOTHING = 256, 1e-2, 0.1
STEPS_AT_ONCE = 32
"""In a call of a graph, of which each costs as much as a step."""
LOGIT_RATE, SAMPLE = 0.027, 1000
"""What a step may change a logit by; more fits the training images better, and others worse. The
second is how many features tell the rate of the weights that this comes to."""


def stored_features(
    path: pathlib.Path | None,
    network: keras.Model,
    batches: Callable[[], Iterator[tf.Tensor]],
    count: int,
) -> np.ndarray:
    """Features of images, float16 [count, D]; those that are whole on disk are not made again.

    Args:
        path: `.npy` file; None holds them in memory.
        network: images to features [B, D].
        batches: gives images float32 [B, H, W, C] in [0, 1], `count` in all.
        count: N.
    """
    width = network.output_shape[-1]

    def found() -> Iterator[np.ndarray]:
        run, came = compiled_for(network, count), 0
        for images in prefetched(batches()):
            yield run(images).numpy().astype(np.float16)
            came += len(images)
        if came != count:
            raise UserError(f"{came} images came for {count} features")

    def write(temporary: str) -> None:
        # not through a memory map: a full disk would end the process
        header = io.BytesIO()
        shape = {"descr": "<f2", "fortran_order": False, "shape": (count, width)}
        np.lib.format.write_array_header_1_0(header, shape)
        number = 0
        with open(temporary, "wb") as file:
            for part in itertools.chain([header.getvalue()], map(np.ndarray.tobytes, found())):
                file.write(part)
                number = zlib.crc32(part, number)
            file.write(trailer(number))

    if path is None:
        return np.concatenate(list(found()))
    if not has_trailer(path):
        write_file(path, write)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def train_head(
    head: keras.layers.Dense,
    features: list[np.ndarray],
    labels: list[np.ndarray],
    seed: int,
    pace: float = 1.0,
) -> None:
    """Train a linear layer on features, from zeros: AdamW, cosine decay, smoothed labels.

    Args:
        head: a layer of a classifier; it is trained in place.
        features: [N, D] each.
        labels: int [N] each.
        seed: of the order.
        pace: factor of the rate.
    """
    counts = [len(own) for own in features]
    starts = np.cumsum([0, *counts])
    total = int(starts[-1])
    answers = np.concatenate(labels).astype(np.int32)
    batch = min(BATCH, total)
    epochs = max(EPOCHS, -(-LEAST_STEPS // (total // batch)))
    steps = epochs * (total // batch)
    sample = _rows(features, starts, np.linspace(0, total - 1, SAMPLE, dtype=int))
    rate = pace * LOGIT_RATE / max(1.0, float(np.abs(sample.astype(np.float32)).sum(1).mean()))
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=DECAY)
    variables = [keras.Variable(tf.zeros(weight.shape)) for weight in head.weights]
    optimizer.build(variables)

    def step(number: tf.Tensor, own: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = tf.cast(own[number], tf.float32) @ variables[0]
            for bias in variables[1:]:
                logits += bias
            labels = tf.one_hot(wanted[number], head.units)
            loss = soft_cross_entropy(labels, logits, SMOOTHING)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return number + 1

    @tf.function(reduce_retracing=True, autograph=False)
    def steps_on(own: tf.Tensor, wanted: tf.Tensor) -> None:
        """A step on each of some batches, float16 [S, B, D] and int32 [S, B]."""
        count = tf.shape(own)[0]
        tf.while_loop(lambda i: i < count, lambda i: (step(i, own, wanted),), (0,))

    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(total)[: total // batch * batch].reshape(-1, batch)
        for start in range(0, len(order), STEPS_AT_ONCE):
            rows = order[start : start + STEPS_AT_ONCE]
            own = _rows(features, starts, rows.ravel()).reshape(*rows.shape, -1)
            steps_on(tf.constant(own), tf.constant(answers[rows]))
    for weight, found in zip(head.weights, variables, strict=True):
        weight.assign(found)


def _rows(features: list[np.ndarray], starts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of arrays that follow each other."""
    found = np.empty((len(rows), features[0].shape[1]), features[0].dtype)
    for own, start, end in zip(features, starts, starts[1:], strict=False):
        inside = (rows >= start) & (rows < end)
        found[inside] = own[rows[inside] - start]
    return found
