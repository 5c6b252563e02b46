"""Classifiers of any origin, as functions from images to scores."""

import contextlib
import dataclasses
import io
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.errors import UserError, first_line
from bginv.interop.formats import read_class_names
from bginv.interop.model_files import is_localizer, load_file, output_shape
from bginv.interop.onnx_session import OnnxSession
from bginv.interop.paper_h5 import load_classifier_h5
from bginv.nn.features import logits_alone
from bginv.nn.pixel_range import UNIT, range_of_layers

KINDS = ".keras, .h5, .onnx, .tflite, or the folder of a SavedModel"
NO_LITERT = ".tflite files are run by ai-edge-litert, which is not installed: pip install " + (
    "'bginv[export]'"
)


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A classifier of any origin.

    Attributes:
        call: images float32 [B, H, W, C], in the range that it takes, to scores [B, K]; in graph.
        size: (H, W) of the images; None for any.
        num_classes: K; None where it does not say.
        channels: C; None where it does not say.
        class_names: that the file holds; else none.
        model: the Keras model, where it is one.
    """

    call: Callable
    size: tuple[int | None, int | None] = (None, None)
    num_classes: int | None = None
    channels: int | None = 3
    class_names: tuple[str, ...] = ()
    model: keras.Model | None = None


def load_scores(path: str) -> Classifier:
    """A classifier from a file of any format.

    Raises:
        FileNotFoundError: no such file.
        UserError: not a classifier of images, another format, or a package that is missing.
    """
    place = pathlib.Path(path).expanduser()
    if not place.exists():
        raise FileNotFoundError(f"there is no model {path}; {KINDS} are read")
    if place.is_dir():
        found = _of_saved_model(place)
    elif place.suffix == ".onnx":
        found = _of_onnx(place)
    elif place.suffix == ".tflite":
        found = _of_litert(place)
    else:
        found = of_keras(load_file(str(place), load_classifier_h5), path)
    return dataclasses.replace(found, class_names=tuple(read_class_names(place)))


def of_keras(model: keras.Model, path: str = "the model") -> Classifier:
    """A Keras model, which may have never been called.

    Raises:
        UserError: not a classifier of images.
    """
    if is_localizer(model):
        model = logits_alone(model)
    run = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    if not getattr(model, "outputs", None):  # a subclassed one has no graph
        return Classifier(run, channels=None, model=model)
    given, taken = output_shape(model, path), tuple(model.input_shape)
    _check(path, given, taken)
    return Classifier(run, taken[1:3], given[-1], taken[3], model=model)


def load_logits(path: str) -> Classifier:
    """A classifier of colour images in [0, 1], whatever range its first layers take.

    Raises:
        FileNotFoundError: see `load_scores`.
        UserError: see `load_scores`; or a classifier of other images.
    """
    found = load_scores(path)
    if found.channels not in (3, None):
        raise UserError(f"{path} takes images of {found.channels} channels: name a classifier of 3")
    told = range_of_layers(found.model) if found.model else None
    if told is None or told.pixels == UNIT:
        return found
    logging.warning("%s takes pixels of %s", path, told)
    return dataclasses.replace(found, call=lambda images: found.call(told.of_unit(images)))


def _of_saved_model(path: pathlib.Path) -> Classifier:
    try:
        loaded = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path} is no SavedModel with a serving signature: {error}") from error
    (name, taken), (key, given) = (
        next(iter(part.items()))
        for part in (signature.structured_input_signature[1], signature.structured_outputs)
    )
    _check(str(path), tuple(given.shape), tuple(taken.shape))

    def call(images: tf.Tensor) -> tf.Tensor:
        return signature(**{name: images})[key]

    call.loaded = loaded  # the model has to live as long as its function
    return Classifier(call, tuple(taken.shape[1:3]), given.shape[-1], taken.shape[3])


def _of_onnx(path: pathlib.Path) -> Classifier:
    session = OnnxSession(path)
    first = session.output_names[:1]

    def call(images: np.ndarray) -> np.ndarray:
        step = session.batch_size or len(images)
        parts = [
            session.run(np.asarray(images[start : start + step]), first)[0]
            for start in range(0, len(images), step)
        ]
        return np.concatenate(parts)

    rows, columns = session.size
    shown = call(np.zeros((1, rows or 224, columns or 224, session.channels), np.float32)).shape
    _check(str(path), shown, (None, rows, columns, session.channels))
    return Classifier(_in_graph(call, shown[-1]), session.size, shown[-1], session.channels)


def _of_litert(path: pathlib.Path) -> Classifier:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UserError(NO_LITERT) from error
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            interpreter = Interpreter(str(path))
            (taken,) = interpreter.get_input_details()
    except ValueError as error:
        message = f"{path} is not a LiteRT model of one input, or is damaged: {first_line(error)}"
        raise UserError(message) from error
    given = interpreter.get_output_details()[0]
    shape = tuple(taken["shape_signature"])
    _check(str(path), tuple(given["shape"]), tuple(side if side > 0 else None for side in shape))
    if np.dtype(taken["dtype"]) != np.float32:
        raise UserError(f"{path} takes {np.dtype(taken['dtype'])} images; float32 is needed")

    def call(images: np.ndarray) -> np.ndarray:
        scores = []
        for image in np.asarray(images):
            interpreter.set_tensor(taken["index"], image[None])
            interpreter.invoke()
            scores.append(interpreter.get_tensor(given["index"])[0])
        return np.stack(scores)

    rows, columns, channels = shape[1:]
    size = (rows if rows > 0 else None, columns if columns > 0 else None)
    if None not in size:
        interpreter.resize_tensor_input(taken["index"], (1, *size, channels))
    interpreter.allocate_tensors()
    num_classes = int(given["shape"][-1])
    return Classifier(_in_graph(call, num_classes), size, num_classes, channels)


def _in_graph(call: Callable[[np.ndarray], np.ndarray], num_classes: int) -> Callable:
    """What another runtime computes, as an operation of TensorFlow."""

    def run(images: tf.Tensor) -> tf.Tensor:
        scores = tf.numpy_function(call, [images], tf.float32)
        return tf.ensure_shape(scores, (None, num_classes))

    return run


def _check(path: str, given: tuple, taken: tuple) -> None:
    """Raise unless shapes are those of a classifier of images.

    Raises:
        UserError: it names both.
    """
    if len(taken) != 4 or taken[-1] is None or len(given) != 2 or given[-1] is None:
        raise UserError(
            f"{path} makes outputs of shape {given[1:]} of inputs of shape {taken[1:]}: name a "
            "classifier of images, [B, H, W, C] to [B, K]"
        )
