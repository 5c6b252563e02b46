"""File formats of models: how each is written, and run again by its own runtime."""

import contextlib
import dataclasses
import importlib.util
import io
import json
import pathlib
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bginv.errors import UserError
from bginv.interop.paper_h5 import load_h5, save_h5

LABELS, CLASS_NAMES = "labels.txt", "class_names"
SAFETENSORS, ARCHITECTURE = ".safetensors", "keras"
LOOPS = {"While", "StatelessWhile"}
Predict = Callable[[np.ndarray], dict[str, np.ndarray]]
Write = Callable[[keras.Model, pathlib.Path, np.ndarray], object]


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        ending: what follows the model's name.
        write: a model with named outputs, a path and images for calibration, to that file.
        load: a path to what runs the file: images float32 [B, H, W, C] to outputs by name.
        put_names: writes the names of the classes into the file.
        packages: modules that it needs, and what to install for each.
        named: whether it takes `named`, not the model itself.
    """

    ending: str
    write: Write
    load: Callable[[pathlib.Path], Predict]
    put_names: Callable[[pathlib.Path, Sequence[str]], None]
    packages: tuple[tuple[str, str], ...] = ()
    named: bool = True

    def missing(self) -> list[str]:
        """Packages to install before it can be had."""
        return [name for module, name in self.packages if not importlib.util.find_spec(module)]


def named(model: keras.Model, image_shape: tuple[int, int, int]) -> keras.Model:
    """The same model with one input, `image`, and its outputs by name.

    Args:
        model: images to a tensor or to a dict of tensors.
        image_shape: (H, W, C).
    """
    image = keras.Input(image_shape, name="image")
    outputs = model(image)
    if isinstance(outputs, dict):
        return keras.Model(image, outputs, name=model.name)
    if isinstance(outputs, list | tuple):
        numbered = {f"output_{number}": own for number, own in enumerate(outputs)}
        return keras.Model(image, numbered, name=model.name)
    names = getattr(model, "output_names", None) or ["output"]
    return keras.Model(image, {names[0]: outputs}, name=model.name)


def _without_training(model: keras.Model) -> keras.Model:
    """The model as `predict` runs it: Keras would leave layers of random transforms active."""
    image = keras.Input(model.input_shape[1:], name="image")
    found = keras.Model(image, model(image, training=False), name=model.name)
    found(np.zeros([1, *model.input_shape[1:]], np.float32))  # ONNX asks for one call
    for variable in found.variables:  # TensorFlow saves none whose name begins so
        if variable.value.name.startswith("_"):
            variable.value._handle_name = f"own{variable.value.name}"
    return found


def read_class_names(path: pathlib.Path) -> list[str]:
    """The names of the classes that an exported file holds; an empty list where it holds none."""
    if path.is_dir():
        labels = path / "assets.extra" / LABELS
        return labels.read_text(encoding="utf-8").splitlines() if labels.is_file() else []
    if path.suffix == ".onnx":
        import onnx

        model = onnx.load(str(path), load_external_data=False)
        kept = {entry.key: entry.value for entry in model.metadata_props}
        return json.loads(kept.get(CLASS_NAMES, "[]"))
    if path.suffix == SAFETENSORS:
        return json.loads(_safetensors(path)[1].get(CLASS_NAMES, "[]"))
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        held = archive.read(LABELS) if LABELS in archive.namelist() else b""
    return held.decode("utf-8").splitlines()


def _save_keras(model: keras.Model, path: pathlib.Path, images: np.ndarray) -> None:
    del images
    model.save(path)


def _load_keras(path: pathlib.Path) -> Predict:
    return run_keras(keras.models.load_model(path, compile=False, safe_mode=True))


def run_keras(model: keras.Model) -> Predict:
    """What runs a Keras model on images."""
    run = tf.function(lambda images: model(images, training=False), reduce_retracing=True)

    def predict(images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = run(tf.constant(images))
        outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
        return {name: value.numpy() for name, value in outputs.items()}

    return predict


def _save_h5(model: keras.Model, path: pathlib.Path, images: np.ndarray) -> None:
    del images
    save_h5(model, str(path))


def _load_h5(path: pathlib.Path) -> Predict:
    return run_keras(load_h5(path))


def _save_safetensors(model: keras.Model, path: pathlib.Path, images: np.ndarray) -> None:
    """Weights by the paths that they have in the network of the metadata, Keras' JSON."""
    from safetensors.numpy import save

    del images
    network = model.to_json()
    paths = [own.path for own in keras.models.model_from_json(network).weights]
    if len(set(paths)) < len(model.weights):
        raise UserError("two of its weights have one path, by which safetensors tells them apart")
    arrays = map(keras.ops.convert_to_numpy, model.weights)
    # not by save_file, whose file nobody else may read
    path.write_bytes(save(dict(zip(paths, arrays, strict=True)), {ARCHITECTURE: network}))


def _load_safetensors(path: pathlib.Path) -> Predict:
    weights, metadata = _safetensors(path)
    model = keras.models.model_from_json(metadata[ARCHITECTURE])
    for weight in model.weights:
        weight.assign(weights[weight.path])
    return run_keras(model)


def _safetensors(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a file by name, and its metadata."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def _put_names_into_safetensors(path: pathlib.Path, class_names: Sequence[str]) -> None:
    from safetensors.numpy import save

    weights, metadata = _safetensors(path)
    kept = {**metadata, CLASS_NAMES: json.dumps(list(class_names))}
    path.write_bytes(save(weights, kept))


def _save_saved_model(model: keras.Model, path: pathlib.Path, images: np.ndarray) -> None:
    del images
    _without_training(model).export(path, verbose=False)


def _load_saved_model(path: pathlib.Path) -> Predict:
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]

    def predict(images: np.ndarray, loaded: Any = loaded) -> dict[str, np.ndarray]:
        del loaded  # it has to live as long as its function
        return {name: value.numpy() for name, value in serve(image=tf.constant(images)).items()}

    return predict


def _save_onnx(model: keras.Model, path: pathlib.Path, images: np.ndarray) -> None:
    del images
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras asks NumPy for what it once had
        _without_training(model).export(path, format="onnx", verbose=False)


def _load_onnx(path: pathlib.Path) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    (image,) = session.get_inputs()
    return lambda images: dict(zip(names, session.run(names, {image.name: images}), strict=True))


def _put_names_into_onnx(path: pathlib.Path, class_names: Sequence[str]) -> None:
    import onnx

    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {CLASS_NAMES: json.dumps(list(class_names))})
    onnx.save(model, str(path))


def _save_litert(model: keras.Model, path: pathlib.Path, images: np.ndarray) -> None:
    del images
    _export_litert(model, path)


def _save_litert_float16(model: keras.Model, path: pathlib.Path, images: np.ndarray) -> None:
    del images
    kept = {"supported_types": [tf.float16]}
    _export_litert(model, path, optimizations=[tf.lite.Optimize.DEFAULT], target_spec=kept)


def _save_litert_int8(model: keras.Model, path: pathlib.Path, images: np.ndarray) -> None:
    if LOOPS & _operations(model):  # its calibration would end the process
        raise UserError("the model has a loop, which LiteRT cannot have in 8 bits")

    def calibration() -> Iterator[list[np.ndarray]]:
        for row in range(len(images)):
            yield [images[row : row + 1]]

    default = [tf.lite.Optimize.DEFAULT]
    _export_litert(model, path, optimizations=default, representative_dataset=calibration)


def _export_litert(model: keras.Model, path: pathlib.Path, **options: Any) -> None:
    with _quiet():
        _without_training(model).export(path, format="litert", verbose=False, **options)


def _operations(model: keras.Model) -> set[str]:
    """Kinds of operations in a model's graph."""
    run = tf.function(lambda images: model(images, training=False))
    graph = run.get_concrete_function(tf.TensorSpec(model.input_shape)).graph.as_graph_def()
    nodes = [*graph.node, *(node for own in graph.library.function for node in own.node_def)]
    return {node.op for node in nodes}


def _load_litert(path: pathlib.Path) -> Predict:
    from ai_edge_litert.interpreter import Interpreter

    with _quiet():
        run = Interpreter(str(path)).get_signature_runner()
    return lambda images: run(image=images)


def _put_names_into_zip(path: pathlib.Path, class_names: Sequence[str]) -> None:
    # a .keras file is an archive; behind a LiteRT model is the place of its associated files
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(LABELS, "\n".join(class_names) + "\n")


def _put_names_into_folder(path: pathlib.Path, class_names: Sequence[str]) -> None:
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / LABELS).write_text("\n".join(class_names) + "\n", encoding="utf-8")


def _put_no_names(path: pathlib.Path, class_names: Sequence[str]) -> None:
    del path, class_names


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the converters print."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


_LITERT = (("ai_edge_litert", "ai-edge-litert"),)
_ONNX = (("tf2onnx", "tf2onnx"), ("onnx", "onnx"), ("onnxruntime", "onnxruntime"))


def _litert(ending: str, write: Write) -> Format:
    return Format(ending, write, _load_litert, _put_names_into_zip, _LITERT)


FORMATS = {
    "keras": Format(".keras", _save_keras, _load_keras, _put_names_into_zip, named=False),
    "safetensors": Format(
        SAFETENSORS,
        _save_safetensors,
        _load_safetensors,
        _put_names_into_safetensors,
        (("safetensors", "safetensors"),),
        named=False,
    ),
    "saved_model": Format("", _save_saved_model, _load_saved_model, _put_names_into_folder),
    "onnx": Format(".onnx", _save_onnx, _load_onnx, _put_names_into_onnx, _ONNX),
    "litert": _litert(".tflite", _save_litert),
    "litert_float16": _litert("-float16.tflite", _save_litert_float16),
    "litert_int8": _litert("-int8.tflite", _save_litert_int8),
    "h5": Format(".h5", _save_h5, _load_h5, _put_no_names, named=False),
}
