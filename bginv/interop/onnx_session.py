"""ONNX networks from images, as ONNX Runtime computes them."""

import os
import pathlib

import numpy as np

from bginv.errors import UserError, first_line
from bginv.nn.onnx_graph import read_onnx

FREE_SIDE = 256
"""Of the images that a network of any size is given."""
NO_RUNTIME = (
    "ONNX networks are run by onnxruntime, which is not installed: pip install 'bginv[photos]'"
)


class OnnxSession:
    """An ONNX network with one input, images in either order of axes.

    Args:
        path: the file; weights that it does not hold itself are not read.

    Attributes:
        size: rows and columns of the images that it takes; None where it leaves them open.
        channels: 1 or 3.
        channels_last: whether the channels are the images' last axis.
        batch_size: images that it takes at once; None where the file leaves that open.
        output_names: of what it gives.

    Raises:
        FileNotFoundError: no such file.
        UserError: a damaged file, or a network with other inputs.
    """

    def __init__(self, path: pathlib.Path):
        read_onnx(path)
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(NO_RUNTIME) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own kinds, which it does not export
            raise UserError(f"{path} cannot be run: {first_line(error)}") from error
        inputs = self._session.get_inputs()
        shape = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]
        fits = len(inputs) == 1 and len(shape) == 4 and inputs[0].type == "tensor(float)"
        self.channels_last = fits and shape[3] in (1, 3) and shape[1] not in (1, 3)
        if not fits or not (self.channels_last or shape[1] in (1, 3)):
            taken = ", ".join(f"{own.name} {own.type} {own.shape}" for own in inputs)
            raise UserError(
                f"{path} takes {taken}; one input of float32 images, [B, 3, H, W] or [B, H, W, 3], "
                "is needed"
            )
        self._path, self._input = path, inputs[0].name
        self.output_names = [own.name for own in self._session.get_outputs()]
        self.channels = int((shape[3] if self.channels_last else shape[1]) or 3)
        self.size = tuple(shape[1:3] if self.channels_last else shape[2:])
        self.batch_size = shape[0]

    def run(self, images: np.ndarray, names: list[str] | None = None) -> list[np.ndarray]:
        """Outputs of images float32 [B, H, W, C], at most `batch_size`; None: all of them.

        Raises:
            UserError: images that it cannot take.
        """
        count = len(images)
        if self.batch_size:
            short = self.batch_size - count
            images = np.concatenate([images, np.zeros((short, *images.shape[1:]), np.float32)])
        given = images if self.channels_last else images.transpose(0, 3, 1, 2)
        try:
            found = self._session.run(names, {self._input: given})
        except Exception as error:  # the runtime's own kinds
            raise UserError(
                f"{self._path} cannot take images of shape {images.shape[1:]}: {first_line(error)}"
            ) from error
        return [own[:count] if own.ndim else own for own in found]
