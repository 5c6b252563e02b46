"""Computing in 16 bits: the layers' precision, and the scale that keeps gradients in range."""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import keras
import tensorflow as tf

Update = tuple[keras.Optimizer, Sequence[tf.Tensor], Sequence[keras.Variable]]

INITIAL_SCALE = 2.0**15
STEPS_BETWEEN_GROWTHS = 2000
KNOWN_PACKAGES = ("keras", "bginv")
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

    The layers that give a model's outputs stay in float32, those named after logits too, those of
    the user's own, which may hold float32 constants, and so does what is saved.

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
            known = type(layer).__module__.split(".")[0] in KNOWN_PACKAGES
            if known and layer.dtype_policy.name == "float32":
                yield layer


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
