"""Read files of `torch.save` from before it wrote zip archives, without PyTorch."""

import collections
import pathlib
import pickle
from typing import Any, BinaryIO

import numpy as np

from bginv.errors import UserError

LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Names of a layer's weights in Keras, and in PyTorch."""

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STORAGES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
}


class _Tensor:
    """What a pickled tensor says of itself: its storage, and its place in it."""

    def __init__(self, storage, offset, size, stride, requires_grad, hooks, *rest):
        del requires_grad, hooks, rest
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def read(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        """A copy of the tensor, whose strides need not be those of rows."""
        values = storages[self.storage][self.offset :]
        last = sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if min((self.offset, *self.size, *self.stride), default=0) < 0 or last >= len(values):
            raise pickle.UnpicklingError("a tensor reaches beyond its storage")
        strides = [step * values.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(values, self.size, strides, writeable=False).copy()


class _Unpickler(pickle.Unpickler):
    """It knows ordered dictionaries, tensors and storages, and refuses everything else."""

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.dtypes: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which weights have no need of")

    def persistent_load(self, pid: tuple) -> str:
        """The key of a storage."""
        kind, dtype, key, _device, _length, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError("it holds something else than storages")
        self.dtypes[key] = dtype
        return key


def read_state(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a state dict, by name, each in the layout that PyTorch shows.

    The file holds pickles of a magic number, a protocol, the system, the state and the keys of
    storages; then, for each storage, its length as a little-endian int64 and its raw values.

    Args:
        path: of the file.

    Raises:
        UserError: another format, a file cut short, or one that holds more than arrays.
        FileNotFoundError: no such file.
    """
    with open(path, "rb") as file:
        try:
            return _read(file)
        except Exception as error:  # a damaged pickle raises anything
            raise UserError(
                f"{path} is no state dict of torch.save's format before zip files, or it is "
                f"damaged ({error or type(error).__name__})"
            ) from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    header = [_Unpickler(file).load() for _ in range(3)]
    if header[:2] != [MAGIC, PROTOCOL] or not header[2]["little_endian"]:
        raise pickle.UnpicklingError("another magic number, protocol or byte order")
    unpickler = _Unpickler(file)
    state = unpickler.load()
    storages = {}
    for key in _Unpickler(file).load():
        dtype = np.dtype(unpickler.dtypes[key])
        length = int.from_bytes(file.read(8), "little")
        content = file.read(length * dtype.itemsize)
        if len(content) != length * dtype.itemsize:
            raise EOFError("it is cut short")
        storages[key] = np.frombuffer(content, dtype)
    if not all(isinstance(tensor, _Tensor) for tensor in state.values()):
        raise pickle.UnpicklingError("it holds something else than tensors")
    return {name: tensor.read(storages) for name, tensor in state.items()}
