"""The paper code's `.h5` files: they lend their weights to an architecture built here.

Nothing stored in such a file is run; its configuration is read for the input's shape alone.
"""

import functools
import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

import h5py
import keras
from absl import logging

from bginv.errors import UserError, first_line
from bginv.nn.backbones import NO_WEIGHTS, VGG19_SIDE, build_backbone_classifier
from bginv.nn.background_generator import build_background_generator, fitting_tiles, seed_side
from bginv.nn.paper_networks import build_classifier, build_mask_unet


def load_classifier_h5(path: pathlib.Path) -> keras.Model | None:
    """A classifier that phase 1 or 3 wrote; None where the file holds another.

    Raises:
        UserError: no model in the file.
    """
    weights = _weights(path)
    try:
        image_shape = _input_shape(path, rank=3)
        build = functools.partial(_paper_builder(image_shape), image_shape, weights[-1][-1])
        with keras.StatelessScope():  # shapes alone: VGG19 would fill 0.5 GB
            own = [tuple(weight.shape) for layer in build().layers for weight in layer.weights]
    except (UserError, ValueError, IndexError):  # none of its sizes
        return None
    return _lend(path, build()) if sorted(own) == sorted(weights) else None


def is_paper_classifier(classifier: keras.Model) -> bool:
    """Whether a classifier has the architecture that `load_classifier_h5` builds for its images."""
    outputs = classifier.outputs[0].shape
    if None in classifier.input_shape[1:] or len(classifier.outputs) != 1 or len(outputs) != 2:
        return False
    with keras.StatelessScope():  # shapes alone: VGG19 would fill 0.5 GB
        own = _paper_builder(classifier.input_shape[1:])(classifier.input_shape[1:], outputs[1])
    return _layer_shapes(own) == _layer_shapes(classifier)


def _layer_shapes(model: keras.Model) -> list[tuple[type, list[tuple[int, ...]]]]:
    """What weights find their layers by, in a file without names."""
    return [
        (type(layer), [weight.shape for weight in layer.weights])
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]


def load_mask_unet_h5(path: pathlib.Path) -> keras.Model:
    """A mask generator that phase 2 wrote.

    Raises:
        UserError: no such model in the file.
    """
    return _lend(path, build_mask_unet(_input_shape(path, rank=3)))


def load_h5(path: pathlib.Path) -> keras.Model | None:
    """A classifier or a mask generator, whichever the file holds; None of another classifier.

    Raises:
        UserError: neither of them in the file.
    """
    last_kernel = _weights(path)[-2:][0]
    return load_mask_unet_h5(path) if len(last_kernel) == 4 else load_classifier_h5(path)


def load_background_generator_h5(
    path: pathlib.Path, image_shape: tuple[int, int, int]
) -> keras.Model:
    """A background generator that phase 3 wrote.

    Args:
        path: the file.
        image_shape: (H, W, C) of the whole background; the file knows that of a tile only by the
            number of its layers, which decides among the tile counts that fit.

    Raises:
        UserError: no such model in the file.
    """
    (noise_length,) = _input_shape(path, rank=1)
    num_kernels = len(_weights(path)) // 2
    side, _, channels = image_shape
    for tiles in fitting_tiles((side, side, 1)):
        start = seed_side(side // tiles)
        doublings = (side // tiles // start).bit_length() - 1
        if start * start * channels == noise_length and doublings + 2 == num_kernels:
            return _lend(path, build_background_generator(image_shape, tiles))
    raise UserError(f"{path} is no background generator for {side}x{side}x{channels} images")


def _lend(path: pathlib.Path, model: keras.Model) -> keras.Model:
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise UserError(
            f"{path} does not hold the paper's {model.name}: {first_line(error)}"
        ) from error
    return model


def read_model_settings(path: pathlib.Path) -> str:
    """What a file tells of a model's layers, JSON.

    Raises:
        UserError: it is not Keras'.
    """
    try:
        with h5py.File(path) as file:
            text = file.attrs["model_config"]
        json.loads(text)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a model that Keras saved as .h5") from error
    return text if isinstance(text, str) else text.decode()


def _input_shape(path: pathlib.Path, rank: int) -> tuple[int, ...]:
    config = json.loads(read_model_settings(path))
    try:
        layer = config["config"]["layers"][0]["config"]
        shape = tuple(layer.get("batch_input_shape") or layer["batch_shape"])[1:]
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(f"{path} does not tell the shape of its inputs") from error
    if len(shape) != rank or None in shape:
        raise UserError(f"{path} takes inputs of shape {shape}; {rank} fixed sizes were expected")
    return shape


def _weights(path: pathlib.Path) -> list[tuple[int, ...]]:
    """Shapes of all weights, in the order of the layers."""
    read_model_settings(path)
    try:
        with h5py.File(path) as file:
            group = file["model_weights"]
            shapes = [
                group[layer][weight].shape
                for layer in group.attrs["layer_names"]
                for weight in group[layer].attrs["weight_names"]
            ]
    except (OSError, KeyError) as error:
        raise UserError(f"{path} holds no weights that Keras saved: {error}") from error
    if not shapes:
        raise UserError(f"{path} holds a model without weights")
    return shapes


def _paper_builder(image_shape: tuple[int, int, int]) -> Callable[..., keras.Model]:
    """What builds the paper's classifier for images of this size, from a shape and classes."""
    if image_shape[0] < VGG19_SIDE:
        return build_classifier
    return functools.partial(build_backbone_classifier, "VGG19", weights=NO_WEIGHTS)


TENSOR = "__keras_tensor__"


def save_h5(model: keras.Model, path: str) -> None:
    """Save a model of the paper's architectures for `load_model` of Keras 2 (TensorFlow 2.15).

    Args:
        model: sequential or functional, of the layers in `_CONFIGS`.
        path: file to write.

    Raises:
        UserError: a layer that the paper's architectures do not have.
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # Keras recommends another format
    content = io.BytesIO()
    try:
        with _InMemory(content, "w") as file:
            model.save(file)
            config = json.loads(file.attrs["model_config"])
            file.attrs["model_config"] = json.dumps(
                {"class_name": config["class_name"], "config": _network(config["config"])}
            )
    finally:
        logging.set_verbosity(verbosity)
    pathlib.Path(path).write_bytes(content.getbuffer())


class _InMemory(h5py.File):
    """An HDF5 file for Keras to save to. On a disk that is full, HDF5 would end the process."""

    def __str__(self) -> str:
        return "model.h5"  # Keras tells the format by it


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
        raise UserError(
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
