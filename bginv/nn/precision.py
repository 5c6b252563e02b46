"""Computing in 16 bits: when it pays, and layers that do so while a function is traced."""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator

import keras
import tensorflow as tf

KNOWN_PACKAGES = ("keras", "bginv")
PREPROCESSING = "image_preprocessing"
"""The part of Keras whose layers warp images, for which TensorFlow has no bfloat16."""
PROCESSOR_FILE = pathlib.Path("/proc/cpuinfo")
BFLOAT16_CAPABILITY = (8, 0)
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Of x86 and, the last one, of Arm."""


def chosen_precision(precision: str, models: Iterable[keras.Model]) -> str:
    """What "auto" means for these models on this machine, or else the precision asked for.

    It is bfloat16 where the processor multiplies in it; but on CPUs networks with depthwise
    convolutions, which become slower by it, stay in float32.
    """
    if precision != "auto":
        return precision
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        native = details.get("compute_capability", (0, 0)) >= BFLOAT16_CAPABILITY
    else:
        native = not BFLOAT16_FLAGS.isdisjoint(_processor_flags())
        native = native and not any(map(_has_depthwise, models))
    return "bfloat16" if native else "float32"


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
