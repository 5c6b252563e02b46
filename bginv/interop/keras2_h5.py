"""`.h5` files that Keras 2 reads too, as the paper's code needs them."""

import json
from collections.abc import Callable
from typing import Any

import h5py
import keras
from absl import logging

TENSOR = "__keras_tensor__"


def save_h5(model: keras.Model, path: str) -> None:
    """Save a model of the paper's architectures for `load_model` of Keras 2 (TensorFlow 2.15).

    Args:
        model: sequential or functional, of the layers in `_CONFIGS`.
        path: file to write.

    Raises:
        ValueError: a layer that the paper's architectures do not have.
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # Keras recommends another format
    try:
        model.save(path)
    finally:
        logging.set_verbosity(verbosity)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(
            {"class_name": config["class_name"], "config": _network(config["config"])}
        )


def _network(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a functional model, in Keras 2's form."""
    networks = {layer["name"] for layer in config["layers"] if layer["class_name"] == "Functional"}
    return {
        "name": config["name"],
        "trainable": config["trainable"],
        "layers": [_layer(layer, networks) for layer in config["layers"]],
        "input_layers": _in_list(config["input_layers"]),
        "output_layers": _in_list(config["output_layers"]),
    }


def _in_list(places: list) -> list:
    return places if isinstance(places[0], list) else [places]


def _layer(layer: dict[str, Any], networks: set[str]) -> dict[str, Any]:
    kind = layer["class_name"]
    if kind not in _CONFIGS:
        raise ValueError(
            f"a {kind} layer ({layer['name']}) is not written in Keras 2's form: save as .keras"
        )
    # a network inside another had been called once, when it was made
    inputs = [
        [
            [name, node + (name in networks), output]
            for name, node, output in _histories(own["args"])
        ]
        for own in layer["inbound_nodes"]
    ]
    if kind == "Flip":
        nodes = [[*place, {"axis": [-1]}] for (place,) in inputs]
    else:
        nodes = [[[*place, {}] for place in places] for places in inputs]
    name, config = _CONFIGS[kind](layer["config"])
    return {
        "class_name": name,
        "config": {**config, "name": layer["name"]},
        "name": layer["name"],
        "inbound_nodes": nodes,
    }


def _histories(arguments: Any) -> list[list]:
    """Layer, node and output of each tensor in a layer's arguments, in order."""
    if isinstance(arguments, list):
        return [place for argument in arguments for place in _histories(argument)]
    if isinstance(arguments, dict) and arguments.get("class_name") == TENSOR:
        return [list(arguments["config"]["keras_history"])]
    return []


def _plain(name: str, **renamed: str) -> Callable[[dict], tuple[str, dict]]:
    """Keeps a configuration but for its type, what it began with, and some names."""

    def convert(config: dict) -> tuple[str, dict]:
        kept = {
            renamed.get(key, key): value
            for key, value in config.items()
            if not key.endswith("_initializer") and key not in ("quantization_config",)
        }
        return name, {**kept, "dtype": "float32"}

    return convert


def _input(config: dict) -> tuple[str, dict]:
    return "InputLayer", {"batch_input_shape": config["batch_shape"], "dtype": config["dtype"]}


_CONFIGS: dict[str, Callable[[dict], tuple[str, dict]]] = {
    "InputLayer": _input,
    "Functional": lambda config: ("Functional", _network(config)),
    "Flip": lambda config: ("TFOpLambda", {"function": "reverse"}),
    "LeakyReLU": _plain("LeakyReLU", negative_slope="alpha"),
    **{
        name: _plain(name)
        for name in (
            "Concatenate",
            "Conv2D",
            "Dense",
            "Flatten",
            "MaxPooling2D",
            "Rescaling",
            "Reshape",
            "UpSampling2D",
        )
    },
}
