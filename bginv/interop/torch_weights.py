"""Weights that PyTorch code saved, for the models built here.

Layers here bear the names of PyTorch's modules, so a name decides where an array goes. Nothing
stored in such a file is run.
"""

import pathlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from bginv.errors import UserError, first_line
from bginv.nn.torch_files import LEAVES

WRAPPERS = ("state_dict", "model", "localizer", "net")
"""Keys under which the published codes save a state dict; see `read_state` for others."""
PREFIXES = ("module.", "model.", "Scale.")
"""Of `DataParallel`, the Backgrounds Challenge's normalizing wrapper, and AdaptSegNet's start."""
NOT_WEIGHTS = re.compile(r"(^|\.)num_batches_tracked$|^(normalizer|normalize|attacker)\.")
NORMALIZER = ("normalizer.new_mean", "normalizer.new_std")
SEQUENTIAL_STEM = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3"}
SEQUENTIAL_STEM["7"] = "layer4"
"""Names of a ResNet's parts, by their place where ACoL wraps them in a sequence."""
NAMED_AT_MOST = 5


def read_state(path: str | pathlib.Path, part: str | None = None) -> dict[str, np.ndarray]:
    """Names and arrays of a checkpoint.

    Args:
        path: `.npz`, or what `torch.save` wrote (which needs the package torch).
        part: key of the state dict in a checkpoint that holds several, such as "adversarial";
            None tries the usual ones.

    Returns:
        Arrays in PyTorch's layout, by names without the prefixes of wrappers.

    Raises:
        UserError: not such a file, no such part, or torch is missing.
        FileNotFoundError: no such file.
    """
    entries = _read_entries(pathlib.Path(path), part)
    state = {name: array for name, array in entries.items() if not NOT_WEIGHTS.search(name)}
    if not state:
        raise UserError(f"{path} holds no weights")
    return state


def read_normalizer(
    path: str | pathlib.Path, part: str | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and deviation, each [3], that the Backgrounds Challenge keeps beside the weights.

    Args:
        path: see `read_state`.
        part: see `read_state`.

    Returns:
        None where the checkpoint has none.
    """
    entries = _read_entries(pathlib.Path(path), part)
    if not set(NORMALIZER) <= entries.keys():
        return None
    mean, deviation = (np.ravel(entries[name]) for name in NORMALIZER)
    return mean, deviation


def load_state(
    model: keras.Model,
    state: Mapping[str, np.ndarray],
    what: str = "the checkpoint",
    unused: Sequence[str] = (),
) -> None:
    """Give a model the arrays of its layers' names.

    Args:
        model: its layers bear the names of PyTorch's modules; it is changed only if all fits.
        state: see `read_state`.
        what: the state's name, for messages.
        unused: beginnings of names in the state that need no place in the model.

    Raises:
        UserError: an array is missing, has no place, or another shape; it names them.
    """
    left = {name for name in state if not name.startswith(tuple(unused))}
    missing, misshaped, values = [], [], []
    for name, weight in named_weights(model):
        left.discard(name)
        if name not in state:
            missing.append(name)
            continue
        array = from_torch(np.asarray(state[name]))
        if array.shape != tuple(weight.shape):
            needed = to_torch_shape(tuple(weight.shape))
            misshaped.append(f"{name} {_show(state[name].shape)} instead of {_show(needed)}")
        values.append((weight, array))
    faults = [
        f"{len(names)} {fault}: {_first(names)}"
        for fault, names in (
            ("missing", missing),
            ("without a place", sorted(left)),
            ("of another shape", misshaped),
        )
        if names
    ]
    if faults:
        raise UserError(f"{what} does not fit {model.name}: {'; '.join(faults)}")
    for weight, array in values:
        weight.assign(array)


def named_weights(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Each weight of a model with its name in PyTorch, in the model's order.

    Raises:
        UserError: a layer's weight has no counterpart.
    """
    for layer in _leaves(model):
        for weight in layer.weights:
            if weight.name not in LEAVES:
                raise UserError(f"{layer.name}: PyTorch has no {weight.name} of its own")
            yield f"{layer.name}.{LEAVES[weight.name]}", weight


def from_torch(array: np.ndarray) -> np.ndarray:
    """An array in Keras' layout: kernels [out, in, h, w] and [out, in] turn, vectors stay."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T if array.ndim == 2 else array


def to_torch(array: np.ndarray) -> np.ndarray:
    """The inverse of `from_torch`."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    return array.T if array.ndim == 2 else array


def to_torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in PyTorch of a weight with this shape in Keras."""
    if len(shape) == 4:
        return shape[3], shape[2], shape[0], shape[1]
    return shape[::-1]


def _leaves(model: keras.Model) -> Iterator[keras.Layer]:
    """Layers with weights that hold no other layer."""
    for layer in model._flatten_layers(include_self=False):
        if layer.weights and not list(layer._flatten_layers(include_self=False)):
            yield layer


def _read_entries(path: pathlib.Path, part: str | None) -> dict[str, np.ndarray]:
    """Everything that a checkpoint holds, by names without prefixes."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    found = _read_npz(path) if path.suffix == ".npz" else _read_torch(path, part)
    return {_plain_name(name): array for name, array in found.items()}


def _plain_name(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.split(".", 1)[1]
    if name.startswith("backbone."):
        _, place, rest = name.split(".", 2)
        return f"{SEQUENTIAL_STEM.get(place, f'backbone.{place}')}.{rest}"
    return name


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not an .npz file of arrays: {error}") from error


def _read_torch(path: pathlib.Path, part: str | None) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path} needs the package torch (pip install torch); an .npz file of names and arrays "
            "does not"
        ) from error
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has as many kinds as there are broken files
        raise UserError(
            f"{path} cannot be read as a checkpoint of weights alone: {first_line(error)}"
        ) from error
    found = _part(saved, part, path)
    return {
        name: value.detach().float().numpy() if value.is_floating_point() else value.numpy()
        for name, value in found.items()
        if isinstance(value, torch.Tensor)
    }


def _part(saved: object, part: str | None, path: pathlib.Path) -> Mapping:
    """The state dict in what was saved."""
    if not isinstance(saved, Mapping):
        raise UserError(f"{path} holds a {type(saved).__name__}, not a state dict")
    if part is not None:
        if not isinstance(saved.get(part), Mapping):
            nested = sorted(name for name, value in saved.items() if isinstance(value, Mapping))
            raise UserError(f"{path} has no part {part!r}; it has {', '.join(nested) or 'none'}")
        return saved[part]
    inner = next((saved[key] for key in WRAPPERS if isinstance(saved.get(key), Mapping)), None)
    return saved if inner is None else _part(inner, None, path)


def _first(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _show(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
