"""Tiny ONNX networks."""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def save(path: pathlib.Path, nodes, arrays, inputs, outputs) -> pathlib.Path:
    """A network of nodes; inputs and outputs are pairs of name and shape."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def brightness(path: pathlib.Path, shape=(1, 3, 32, 32), outputs: int = 1, channels: int = 1):
    """Sigmoid of 10 times the mean of three channels, less 5."""
    kernel = np.full((channels, 3, 1, 1), 10 / 3, np.float32)
    arrays = {"kernel": kernel, "bias": np.full(channels, -5, np.float32)}
    nodes = [helper.make_node("Conv", ["image", "kernel", "bias"], ["logits"])]
    named = []
    for number in range(outputs):
        nodes.append(helper.make_node("Sigmoid", ["logits"], [f"mask{number}"]))
        named.append((f"mask{number}", [shape[0], channels, *shape[2:]]))
    return save(path, nodes, arrays, [("image", list(shape))], named)


def tiny_unet(path: pathlib.Path, extra: str | None = None) -> pathlib.Path:
    """Every operation of U2-Net once: dilation, pooling, and resizing to another map's size."""
    rng = np.random.default_rng(0)
    arrays = {
        "k1": rng.normal(size=(4, 3, 3, 3)).astype(np.float32) / 3,
        "b1": rng.normal(size=4).astype(np.float32),
        "k2": rng.normal(size=(4, 4, 3, 3)).astype(np.float32) / 6,
        "k3": rng.normal(size=(1, 8, 3, 3)).astype(np.float32) / 4,
        "zero": np.array(0),
        "two": np.array(2),
        "three": np.array(3),
        "first": np.array([0]),
        "second": np.array([2]),
        "none": np.zeros(0, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "k1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["h1"]),
        node("MaxPool", ["h1"], ["p"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        node("Conv", ["p", "k2"], ["c2"], pads=[2, 2, 2, 2], dilations=[2, 2]),
        node("Add", ["c2", "p"], ["h2"]),
        node("Shape", ["h1"], ["shape1"]),
        node("Gather", ["shape1", "two"], ["rows"]),
        node("Gather", ["shape1", "three"], ["columns"]),
        node("Unsqueeze", ["rows"], ["rows1"], axes=[0]),
        node("Unsqueeze", ["columns"], ["columns1"], axes=[0]),
        node("Concat", ["rows1", "columns1"], ["target"], axis=0),
        node("Shape", ["h2"], ["shape2"]),
        node("Slice", ["shape2", "first", "second", "first"], ["start"]),
        node("Cast", ["target"], ["target64"], to=TensorProto.INT64),
        node("Concat", ["start", "target64"], ["sizes"], axis=0),
        node(
            "Resize",
            ["h2", "none", "none", "sizes"],
            ["up"],
            mode="linear",
            coordinate_transformation_mode="pytorch_half_pixel",
        ),
        node("Concat", ["up", "h1"], ["both"], axis=1),
        node("Conv", ["both", "k3"], ["logits"], pads=[1, 1, 1, 1]),
        node(extra or "Identity", ["logits"], ["last"]),
        node("Sigmoid", ["last"], ["mask"]),
    ]
    shape = [1, 3, 32, 32]
    return save(path, nodes, arrays, [("image", shape)], [("mask", [1, 1, 32, 32])])
