"""ONNX networks of convolutions, computed by TensorFlow: channels last, in batches, any precision.

ONNX Runtime computes one layer after the other in float32, in the batch and at the size that a
file was written for. The networks of Qin et al. 2020 and 2022 (U2-Net, DIS) consist of a dozen
operations, and TensorFlow computes those several times faster in bfloat16.
"""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from bginv.errors import UserError, first_line

MISSING = (
    "ONNX files are read by the package onnx, which is not installed: pip install 'bginv[photos]'"
)
LINEAR = ("half_pixel", "pytorch_half_pixel")
"""They differ where the target has one row or column."""


class OnnxGraph:
    """A network from an ONNX file, with one image in and maps out.

    Example:
        network = OnnxGraph(pathlib.Path("u2netp.onnx"), "bfloat16")
        soft = network(images)[0]

    Args:
        path: the file; weights that it does not hold itself are not read.
        precision: "float32", or "bfloat16" for everything but the convolutions to one channel and
            what follows them.

    Attributes:
        shape: of its input as the file has it, (batch, channels, rows, columns); None where it
            leaves a number open.
        any_size: whether images of another size can be given.

    Raises:
        FileNotFoundError: no such file.
        UserError: not an ONNX file, or one with other inputs.
        NotImplementedError: an operation that is not known here, or known otherwise; some show
            when the network is traced.
    """

    def __init__(self, path: pathlib.Path, precision: str = "float32"):
        model = read_onnx(path)
        self._nodes, self._dtype = model.graph.node, tf.as_dtype(precision)
        unknown = sorted({node.op_type for node in self._nodes} - _OPERATIONS.keys() - {"Constant"})
        if unknown:
            raise NotImplementedError(f"TensorFlow is not taught {unknown[0]} of ONNX here")
        self._constants = _constants(model.graph)
        given = [own for own in model.graph.input if own.name not in self._constants]
        self.shape = _shape(given[0])
        if len(given) != 1 or len(self.shape) != 4 or self.shape[1] not in (1, 3, None):
            shapes = ", ".join(str(list(_shape(own))) for own in given)
            raise UserError(f"{path} takes inputs of shape {shapes}; one [1, 3, H, W] is needed")
        self._input = given[0].name
        self._outputs = [own.name for own in model.graph.output]
        self.any_size = not any(
            node.op_type == "Resize" and node.input[-1] in self._constants for node in self._nodes
        )
        with tf.device("CPU"):
            self._weights = {
                name: self._weight(array)
                for name, array in self._constants.items()
                if array.dtype.kind == "f" and array.ndim
            }

    def __call__(self, images: tf.Tensor) -> list[tf.Tensor]:
        """The network's outputs; those that nobody takes cost nothing inside a `tf.function`.

        Args:
            images: float32 [B, H, W, C] of known size.

        Returns:
            Float32 [B, h, w, c] each.
        """
        values: dict[str, Any] = {**self._constants, **self._weights}
        values[self._input] = tf.cast(images, self._dtype)
        for node in self._nodes:
            if node.op_type != "Constant":
                arguments = [values[name] if name else None for name in node.input]
                values[node.output[0]] = _computed(node, arguments)
        return [tf.cast(values[name], tf.float32) for name in self._outputs]

    def _weight(self, array: np.ndarray) -> tf.Tensor:
        """Kernels channels last; those of one output channel stay in float32, as biases do."""
        if array.ndim != 4:
            return tf.constant(array, tf.float32)
        dtype = tf.float32 if len(array) == 1 else self._dtype
        return tf.cast(tf.constant(array.transpose(2, 3, 1, 0)), dtype)


def _computed(node: Any, arguments: list) -> Any:
    try:
        return _OPERATIONS[node.op_type](_attributes(node), *arguments)
    except (IndexError, ValueError, tf.errors.InvalidArgumentError) as error:
        # numbers of the file that do not fit each other, or mean what is not known here
        raise NotImplementedError(f"{node.op_type} {node.name}: {first_line(error)}") from error


def read_onnx(path: pathlib.Path) -> Any:
    """An ONNX model, without weights in other files.

    Raises:
        FileNotFoundError: no such file.
        UserError: the package onnx is missing, or not such a file.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError(MISSING) from error
    if not path.is_file():
        raise FileNotFoundError(f"there is no ONNX file {path}")
    try:
        model = onnx.load(str(path), load_external_data=False)
        outside = any(own.external_data for own in _messages(model, onnx.TensorProto))
        if not outside:  # whose files would be looked for
            onnx.checker.check_model(model)
    except Exception as error:  # the parser's own kinds, which other packages' versions rename
        raise UserError(
            f"{path} is not an ONNX file, or is damaged ({first_line(error)}): get it again"
        ) from error
    if outside:
        raise UserError(f"{path} keeps weights in other files, which are not read: save it as one")
    if not (model.graph.node and model.graph.input and model.graph.output):
        raise UserError(f"{path} is not an ONNX file, or is damaged (it is empty): get it again")
    return model


def _messages(message: Any, kind: type) -> Iterator[Any]:
    """All messages of a kind in a message of protobuf: tensors also stand in nodes' graphs."""
    if isinstance(message, kind):
        yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if hasattr(value, "__len__") else [value]:
            yield from _messages(part, kind)


def _constants(graph: Any) -> dict[str, np.ndarray]:
    from onnx import numpy_helper

    held = {own.name: numpy_helper.to_array(own) for own in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            held[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return held


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(own.dim_value or None for own in value.type.tensor_type.shape.dim)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {own.name: helper.get_attribute_value(own) for own in node.attribute}


def _convolution(attributes: dict, x: tf.Tensor, kernel: tf.Tensor, bias=None) -> tf.Tensor:
    _only(attributes, group=1, auto_pad=b"NOTSET")
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    pads, padding = attributes.get("pads", [0, 0, 0, 0]), "VALID"
    around = [rate * (side - 1) // 2 for rate, side in zip(dilations, kernel.shape, strict=False)]
    if strides == [1, 1] and pads == 2 * around:
        padding = "SAME"  # without a padded copy
    elif any(pads):
        x = tf.pad(x, [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]])
    x = tf.nn.conv2d(tf.cast(x, kernel.dtype), kernel, strides, padding, dilations=dilations)
    return x if bias is None else tf.nn.bias_add(x, tf.cast(bias, x.dtype))


def _max_pool(attributes: dict, x: tf.Tensor) -> tf.Tensor:
    _only(attributes, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0], auto_pad=b"NOTSET")
    return tf.nn.max_pool2d(x, 2, 2, "SAME" if attributes.get("ceil_mode") else "VALID")


def _resize(attributes: dict, x: tf.Tensor, region=None, scales=None, sizes=None) -> tf.Tensor:
    del region
    _only(attributes, mode=b"linear")
    if attributes.get("coordinate_transformation_mode", b"half_pixel").decode() not in LINEAR:
        raise NotImplementedError("maps are resized by other rules than those known here")
    if sizes is None:
        sizes = np.array([1, 1, *x.shape[1:3]]) * scales
    return tf.cast(tf.image.resize(x, [int(own) for own in sizes[2:]]), x.dtype)


def _concat(attributes: dict, *parts: Any) -> Any:
    if isinstance(parts[0], tf.Tensor):
        _only(attributes, axis=1)
        widest = tf.float32 if any(own.dtype == tf.float32 for own in parts) else parts[0].dtype
        return tf.concat([tf.cast(own, widest) for own in parts], -1)
    return np.concatenate(parts)


def _shape_of(attributes: dict, x: tf.Tensor) -> np.ndarray:
    _only(attributes)
    rows, columns, channels = x.shape[1:]
    return np.array([-1, channels, rows, columns])


def _slice(attributes: dict, x: np.ndarray, start, end, axes=None, steps=None) -> np.ndarray:
    del attributes, axes, steps
    return x[int(start[0]) : int(end[0])]


def _unsqueeze(attributes: dict, x: np.ndarray, axes=None) -> np.ndarray:
    del attributes, axes
    return np.reshape(x, [1])


def _normalize(attributes: dict, x: tf.Tensor, gamma, beta, mean, variance) -> tf.Tensor:
    epsilon = attributes.get("epsilon", 1e-5)
    values = (tf.cast(own, x.dtype) for own in (mean, variance, beta, gamma))
    return tf.nn.batch_normalization(x, *values, epsilon)


def _only(attributes: dict, **wanted: Any) -> None:
    """Raise unless attributes that are there have these values."""
    for name, value in wanted.items():
        if attributes.get(name, value) != value:
            raise NotImplementedError(f"{name}={attributes[name]}, and only {value} is known here")


def _elementwise(function: Callable) -> Callable:
    return lambda attributes, *arguments: function(*arguments)


_OPERATIONS: dict[str, Callable] = {
    "Conv": _convolution,
    "BatchNormalization": _normalize,
    "Relu": _elementwise(tf.nn.relu),
    "Sigmoid": _elementwise(lambda x: tf.sigmoid(tf.cast(x, tf.float32))),
    "Add": _elementwise(lambda x, y: x + tf.cast(y, x.dtype)),
    "MaxPool": _max_pool,
    "Resize": _resize,
    "Concat": _concat,
    "Shape": _shape_of,
    "Gather": _elementwise(lambda x, index: x[index]),
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Cast": _elementwise(lambda x: x),
    "Identity": _elementwise(lambda x: x),
}
