"""Computing in 16 bits: when it pays, and layers that do so while a function is traced."""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator

import keras
import tensorflow as tf
from absl import logging

from bginv.errors import UserError, first_line

KNOWN_PACKAGES = ("keras", "bginv")
PREPROCESSING = "image_preprocessing"
"""The part of Keras whose layers warp images, for which TensorFlow has no bfloat16."""
PROCESSOR_FILE = pathlib.Path("/proc/cpuinfo")
BFLOAT16_CAPABILITY = (8, 0)
SIDE = 64
"""Of images that a model is tried on, where it takes any size."""
PLAIN = {
    keras.layers.InputLayer,
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.AveragePooling2D,
    keras.layers.BatchNormalization,
    keras.layers.Concatenate,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.LayerNormalization,
    keras.layers.LeakyReLU,
    keras.layers.MaxPooling2D,
    keras.layers.Multiply,
    keras.layers.Normalization,
    keras.layers.RandomFlip,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.Reshape,
    keras.layers.SeparableConv2D,
    keras.layers.Softmax,
    keras.layers.ZeroPadding2D,
}
"""Layers that need no trial, as they have gradients in 16 bits."""
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Of x86 and, the last one, of Arm."""


def chosen_precision(precision: str, models: Iterable[keras.Model]) -> str:
    """What "auto" means for these models on this machine, or else the precision asked for.

    It is bfloat16 where the processor multiplies in it; but on CPUs networks with depthwise
    convolutions, which become slower by it, stay in float32, and so do those with a layer that has
    no gradient in it.

    Raises:
        UserError: 16 bits are asked for, and a model cannot be trained in them.
    """
    models = list(models)
    if precision != "auto":
        problem = _problem(precision, models)
        if problem:
            raise UserError(f"--precision {precision}: {problem}; give float32, or auto")
        return precision
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        native = details.get("compute_capability", (0, 0)) >= BFLOAT16_CAPABILITY
    else:
        native = not BFLOAT16_FLAGS.isdisjoint(_processor_flags())
        native = native and not any(map(_has_depthwise, models))
    problem = _problem("bfloat16", models) if native else None
    if problem:
        logging.warning("layers compute in float32, as %s", problem)
    return "bfloat16" if native and not problem else "float32"


def _problem(precision: str, models: list[keras.Model]) -> str | None:
    """Why a model that can be trained in float32 cannot in 16 bits."""
    if precision == "float32":
        return None
    for model in models:
        reason = None if _is_plain(model) else _untrainable(precision, model)
        if reason and not _untrainable("float32", model):
            return f"{model.name} cannot be trained in {precision}: {reason}"
    return None


def _is_plain(model: keras.Model) -> bool:
    """Whether a model has only layers that are known to have gradients in 16 bits."""
    return all(
        _is_plain(own) if isinstance(own, keras.Model) else type(own) in PLAIN
        for own in getattr(model, "operations", None) or [None]
    )


def _untrainable(precision: str, model: keras.Model) -> str | None:
    """Why a step of a model cannot be traced; None where it can. Nothing is run."""

    def gradients(images: tf.Tensor) -> list:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = keras.tree.flatten(model(images, training=True))
            loss = tf.add_n([tf.reduce_sum(tf.cast(own, tf.float32)) for own in outputs])
        return tape.gradient(loss, [images, *model.trainable_variables])

    inputs = [tf.TensorSpec((2, *(side or SIDE for side in own.shape[1:]))) for own in model.inputs]
    try:
        with computing_in(precision, [model]):
            tf.function(gradients, autograph=False).get_concrete_function(*inputs)
    except Exception as error:  # as many kinds as there are layers
        return first_line(error)
    return None


def _has_depthwise(layer: keras.layers.Layer) -> bool:
    kinds = (keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
    return isinstance(layer, kinds) or any(map(_has_depthwise, getattr(layer, "layers", ())))


def _processor_flags() -> set[str]:
    """As Linux tells them; empty elsewhere."""
    try:
        return set(PROCESSOR_FILE.read_text(encoding="utf-8").split())
    except OSError:
        return set()


@contextlib.contextmanager
def computing_in(precision: str, models: Iterable[keras.Model]) -> Iterator[None]:
    """Let layers compute in 16 bits while a function is traced; weights stay float32.

    The layers that give a model's outputs stay in float32, those named after logits too, those that
    preprocess images, those of the user's own, which may hold float32 constants, and so does what
    is saved.

    Args:
        precision: "float32", "bfloat16" or "float16".
        models: functional or sequential ones; layers inside other layers stay as they are.
    """
    if precision == "float32":
        yield
        return
    layers = [layer for model in models for layer in _hidden_layers(model)]
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = keras.DTypePolicy(f"mixed_{precision}")
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


def _hidden_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    last = {id(output._keras_history.operation) for output in model.outputs}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            if getattr(layer, "outputs", None):  # those of a subclassed one are not known
                yield from _hidden_layers(layer)
        elif layer.name.startswith("logits"):
            continue
        elif id(layer) not in last and not isinstance(layer, keras.layers.InputLayer):
            place = type(layer).__module__.split(".")
            known = place[0] in KNOWN_PACKAGES and PREPROCESSING not in place
            if known and layer.dtype_policy.name == "float32":
                yield layer
