"""A network as a function of images, where nothing is trained."""

import math
import weakref
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from bginv.host import trim_memory
from bginv.nn.features import weights_digest

Compiled = tf.types.experimental.PolymorphicFunction
Answering = Callable[[tf.Tensor], tf.Tensor]

MANY_PIXELS = 1000 * 224**2
"""In so many, a graph with constants saves more time than it takes; memory is up to 0.3 GB more."""
MOST_BYTES = 2**29
"""Of weights; a graph holds no more than 2 GB."""
DEPTHWISE = "DepthwiseConv2dNative"
CLOSE = 1e-2
"""Of the largest answer, which is far more than what rounding changes."""

_COMPILED: weakref.WeakKeyDictionary[keras.Model, dict[tuple, Compiled]] = (
    weakref.WeakKeyDictionary()
)
_CONSTANT: weakref.WeakKeyDictionary[keras.Model, tuple[tuple, Answering]] = (
    weakref.WeakKeyDictionary()
)


def compiled(network: keras.Model, image_shape: tuple[int, ...] | None = None) -> Compiled:
    """A network as a function of images, traced once for batches of every size and all callers.

    Args:
        network: it is run as where nothing is trained.
        image_shape: (H, W, C); None where the network tells it.
    """
    shape = tuple(image_shape or network.input_shape[1:])
    kept = _COMPILED.setdefault(network, {})
    if shape not in kept:
        own = weakref.ref(network)  # what is kept must not keep its key
        images = tf.TensorSpec((None, *shape))
        run = tf.function(lambda images: own()(images, training=False), input_signature=[images])
        run.get_concrete_function()
        kept[shape] = run
    return kept[shape]


def compiled_for(
    network: keras.Model, count: int, image_shape: tuple[int, ...] | None = None
) -> Answering:
    """`compiled` for so many images, or what gives the same answers faster.

    For many images, the weights as they are now are constants of the graph, so that TensorFlow
    folds batch normalization into the convolutions before it and arranges weights once; into
    depthwise ones we fold it. `docs/results/speed.md` has what that brings.

    Args:
        network: see `compiled`; one with several outputs is not made faster.
        count: how many images there will be.
        image_shape: see there.
    """
    run = compiled(network, image_shape)
    shape = tuple(image_shape or network.input_shape[1:])
    if None in shape:
        return run
    weighs = sum(weight.value.dtype.size * math.prod(weight.shape) for weight in network.weights)
    are_many = count * math.prod(shape[:2]) >= MANY_PIXELS
    if weighs > MOST_BYTES or not (are_many or network in _CONSTANT):
        return run
    key = (shape, weights_digest(network))
    if network in _CONSTANT and _CONSTANT[network][0] == key:
        return _CONSTANT[network][1]
    forget(network)
    if not are_many:
        return run
    _CONSTANT[network] = key, _with_constants(run, shape)
    return _CONSTANT[network][1]


def forget(network: keras.Model) -> None:
    """Give back what `compiled_for` keeps of a network, whose weights are to change."""
    if _CONSTANT.pop(network, None):
        trim_memory()


def _with_constants(run: Compiled, shape: tuple[int, ...]) -> Answering:
    """A function with its variables' values as constants, where it answers as it did before."""
    trim_memory()  # for the copies of the graph that are made
    try:
        traced = run.get_concrete_function()
        (place,) = tf.nest.flatten(traced.structured_outputs, expand_composites=True)
        constant = _folded(convert_variables_to_constants_v2(traced, lower_control_flow=False))
        image = tf.random.stateless_uniform((1, *shape), [0, 0])
        before, after = run(image).numpy(), constant(image)[0].numpy()
        difference = np.abs(before - after).max() / max(np.abs(before).max(), 1e-6)
        if not difference < CLOSE:
            raise ValueError(f"answers {place.shape} differ by {difference:g}")
    except Exception as error:  # layers of anybody's, which TensorFlow may not convert
        logging.debug("no graph with constants: %s", error)
        return run
    trim_memory()
    return lambda images: constant(tf.convert_to_tensor(images))[0]


def _folded(
    constant: tf.types.experimental.ConcreteFunction,
) -> tf.types.experimental.ConcreteFunction:
    """A function of constants, with kernels of depthwise convolutions times what their maps are.

    That is mostly batch normalization. TensorFlow moves it into other convolutions by itself, and
    then adds and clips while it convolves.
    """
    folds = []
    for scaled in constant.graph.get_operations():
        if scaled.type == "Mul" and scaled.inputs[0].op.type == DEPTHWISE:
            maps, scale = scaled.inputs
            if len(maps.consumers()) == 1 and scale.shape == maps.shape[-1:]:
                folds.append((scaled, maps.op))
    if not folds:
        return constant
    wanted = [own.inputs[1] for pair in folds for own in pair]  # the scale, then the kernel
    found = constant.prune([], wanted)()
    graph = constant.graph.as_graph_def()
    nodes = {node.name: node for node in graph.node}
    for (scaled, convolution), scale, kernel in zip(folds, found[::2], found[1::2], strict=True):
        own = graph.node.add(op="Const", name=f"{convolution.name}/times_scale")
        own.attr["dtype"].type = kernel.dtype.as_datatype_enum
        value = kernel * tf.reshape(scale, kernel.shape[2:])
        own.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.numpy()))
        nodes[convolution.name].input[1] = own.name
        nodes[scaled.name].op = "Identity"
        nodes[scaled.name].input[:] = [convolution.name]
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    inputs, outputs = ([own.name for own in ends] for ends in (constant.inputs, constant.outputs))
    return wrapped.prune(inputs, outputs)
