"""Masks by any network from images to masks, in a Keras or an ONNX file."""

import hashlib
import pathlib
from collections.abc import Callable, Sequence

import cv2
import keras
import numpy as np
import tensorflow as tf

from bginv.errors import UserError, first_line
from bginv.interop.model_files import load_any
from bginv.interop.onnx_session import FREE_SIDE, OnnxSession
from bginv.masks.source import Mask, MaskSource, Picture, confidence_of
from bginv.nn.pixel_range import range_of_layers

TOLERANCE = 1e-3
Run = Callable[[np.ndarray], np.ndarray]
"""Images float32 [B, H, W, C] in [0, 1] to masks float32 [B, H, W]."""


class ModelMasks(MaskSource):
    """Masks by a network that gives one map in [0, 1], of images in [0, 1] unless it tells another.

    A `.keras` or `.h5` file is loaded in safe mode and takes images channels last; an `.onnx` file
    may take either order. The size and the number of channels are the network's own.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: no such file.
        UserError: not a model, or one with other inputs or outputs.
    """

    def __init__(self, path: str):
        file = pathlib.Path(path).expanduser()
        self.name = f"model:{path}"
        if file.suffix == ".onnx":
            session = MapSession(file)
            self._run: Run = session
            self._size, self._channels = session.size, session.channels
            self.batch_size = session.batch_size
        else:
            self._run, self._size, self._channels = _of_keras(str(file))
        self._digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`."""
        return f"model {self._digest}"

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        images = np.stack([self._prepared(picture.pixels) for picture in pictures])
        return list(map(_mask, pictures, self._run(images)))

    def _prepared(self, pixels: np.ndarray) -> np.ndarray:
        """Float32 [H, W, C] in [0, 1] of the network's size."""
        if self._channels == 1:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        rows, columns = self._size
        image = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
        return image.reshape(rows, columns, self._channels).astype(np.float32) / 255


def _mask(picture: Picture, found: np.ndarray) -> Mask:
    low, high = float(found.min()), float(found.max())
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
        return Mask.failed(
            picture,
            f"the model gives values from {low:.3g} to {high:.3g}, and masks are in [0, 1]: "
            "let it end in a sigmoid",
        )
    rows, columns = picture.pixels.shape[:2]
    soft = np.clip(cv2.resize(found, (columns, rows)), 0, 1)
    return Mask(soft, confidence_of(soft))


def _of_keras(path: str) -> tuple[Run, tuple[int, int], int]:
    model: keras.Model = load_any(path)
    rows, columns, channels = model.input_shape[1:]
    if channels not in (1, 3):
        raise UserError(
            f"{path} takes images of shape {model.input_shape[1:]}; channels last, and 1 or 3 of "
            "them, are needed"
        )
    if len(model.outputs) != 1:
        raise UserError(
            f"{path} has {len(model.outputs)} outputs; a model with one, a mask [B, H, W, 1], is "
            "needed: save keras.Model(model.input, model.outputs[k]) of the one that is the mask"
        )
    size = (rows or FREE_SIDE, columns or FREE_SIDE)
    _check_output(path, tuple(model.output_shape), channels_last=True)
    run = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    dtype, told = tf.as_dtype(model.inputs[0].dtype), range_of_layers(model)
    of_unit = told.of_unit if told else np.asarray

    def call(images: np.ndarray) -> np.ndarray:
        given = of_unit(images)
        given = tf.cast(np.round(given) if dtype.is_integer else given, dtype)
        masks = tf.cast(run(given), tf.float32).numpy()
        return masks[..., 0] if masks.ndim == 4 else masks

    _try(path, call, np.zeros((1, *size, channels), np.float32))
    return call, size, channels


class MapSession:
    """An ONNX network as ONNX Runtime computes it: images to its first map.

    Args:
        path: the file; weights that it does not hold itself are not read.
        first_alone: do not look at what it gives besides the first map.

    Attributes:
        size: rows and columns of the images that it is given.
        channels: 1 or 3.
        batch_size: images that it takes at once; 16 where the file leaves that open.

    Raises:
        FileNotFoundError: no such file.
        UserError: a damaged file, or a network with other inputs or outputs.
    """

    def __init__(self, path: pathlib.Path, first_alone: bool = False):
        self._session = OnnxSession(path)
        self.channels = self._session.channels
        rows, columns = self._session.size
        self.size = (rows or FREE_SIDE, columns or FREE_SIDE)
        self.batch_size = self._session.batch_size or 16
        self._first = self._session.output_names[:1]
        self._check(path, first_alone)

    def _check(self, path: pathlib.Path, first_alone: bool) -> None:
        """Run it once, and look at what it gives."""
        images = np.zeros((1, *self.size, self.channels), np.float32)
        found = self._session.run(images, self._first if first_alone else None)
        shapes = [tuple(own.shape) for own in found]
        if len(set(shapes)) > 1:
            listed = ", ".join(map(str, shapes))
            raise UserError(
                f"{path} has {len(shapes)} outputs, of shapes {listed}; a network with "
                "one mask, or with several of one shape, the first being the mask, is needed"
            )
        _check_output(str(path), shapes[0], channels_last=self._session.channels_last)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Masks float32 [B, h, w] of images float32 [B, H, W, C], at most `batch_size`."""
        masks = self._session.run(images, self._first)[0]
        if masks.ndim == 3:
            return masks
        return masks[..., 0] if self._session.channels_last else masks[:, 0]


def _try(path: str | pathlib.Path, run: Callable, images: np.ndarray):
    try:
        return run(images)
    except Exception as error:  # as many kinds as there are layers and runtimes
        raise UserError(
            f"{path} cannot take images of shape {images.shape[1:]}: {first_line(error)}"
        ) from error


def _check_output(path: str, shape: tuple[int | None, ...], channels_last: bool) -> None:
    channels: int | None = 1
    if len(shape) == 4:
        channels = shape[3 if channels_last else 1]
    if len(shape) not in (3, 4) or channels != 1:
        wanted = "[B, H, W, 1]" if channels_last else "[B, 1, H, W]"
        raise UserError(f"{path} gives outputs of shape {shape}; a mask {wanted} is needed")
