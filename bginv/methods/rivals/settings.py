"""What can be set of the rivals, and their names. Without TensorFlow."""

import dataclasses
import difflib
from typing import ClassVar

from bginv.engine.settings import option_name, setting, show
from bginv.errors import UserError
from bginv.methods.photographs.settings import BATCH_NORMS, PretrainedSettings

NAMES = (
    *("erm", "class-balanced", "group-balanced", "group-dro", "jtt", "dfr", "afr"),
    *("gradient-penalty", "right-reasons", "contrast", "background-swap", "copy-paste"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RivalSettings(PretrainedSettings):
    """Stochastic gradient descent; the values of Sagawa et al. 2020 for Waterbirds."""

    HEADING: ClassVar[str] = "rivals"

    recipe: str = setting("paper", choices=("paper",), help="values of unset options")
    method: str = setting(
        "erm",
        metavar="NAME",
        help=f"rival to train instead: {', '.join(NAMES)} (default: none of them)",
    )
    validation: float = setting(
        0.0,
        minimum=0,
        maximum=0.5,
        help="share of the training images that is held out, to choose the best epoch by; data "
        "with a validation part needs none",
    )
    epochs: int | None = setting(300, minimum=1, help="passes over the training images")
    batchsize: int = setting(128, minimum=2, help="images a batch")
    learning_rate: float = setting(1e-3, minimum=0, help="of the optimizer, the same throughout")
    momentum: float = setting(0.9, minimum=0, maximum=0.99999, help="of SGD")
    weight_decay: float = setting(1e-4, minimum=0, help="weight of the L2 penalty")
    optimizer: str = setting("sgd", choices=("sgd", "adam"), help="what moves the weights")
    batch_norm: str = setting(
        "trained", choices=BATCH_NORMS, help="batch normalization: as pretrained, or trained on"
    )
    smallest_crop: float = setting(
        0.7, minimum=0.05, maximum=1, help="of images in training, as a share of their area"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupDroSettings(RivalSettings):
    """Group DRO (Sagawa et al. 2020)."""

    HEADING: ClassVar[str] = "group-dro"

    group_rate: float = setting(0.01, minimum=0, help="step of the groups' weights")
    group_adjustment: float = setting(
        0.0, minimum=0, help="C: a group of n training images counts C / sqrt(n) more"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class JttSettings(RivalSettings):
    """Just train twice (Liu et al. 2021)."""

    HEADING: ClassVar[str] = "jtt"

    batchsize: int = setting(64, minimum=2, help="images a batch")
    learning_rate: float = setting(1e-5, minimum=0, help="of the optimizer, the same throughout")
    weight_decay: float = setting(1.0, minimum=0, help="weight of the L2 penalty")
    first_epochs: int = setting(60, minimum=1, help="of the classifier whose mistakes are taken")
    upweight: int = setting(100, minimum=1, help="how often an image comes that it gets wrong")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DfrSettings(RivalSettings):
    """Deep feature reweighting (Kirichenko et al. 2023)."""

    HEADING: ClassVar[str] = "dfr"

    validation: float = setting(
        0.2, minimum=0, maximum=0.5, help="share of the training images for the new last layer"
    )
    epochs: int | None = setting(100, minimum=1, help="passes over the training images")
    batchsize: int = setting(32, minimum=2, help="images a batch")
    weight_decay: float = setting(1e-3, minimum=0, help="weight of the L2 penalty")
    inverse_penalties: tuple[float, ...] = setting(
        (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01),
        minimum=1e-9,
        help="of the L1 penalty of the new last layer; the best for the worst group is taken",
    )
    balanced_subsets: int = setting(
        20, minimum=1, help="balanced ones, whose last layers are averaged"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AfrSettings(RivalSettings):
    """Automatic feature reweighting (Qiu et al. 2023)."""

    HEADING: ClassVar[str] = "afr"

    epochs: int | None = setting(50, minimum=1, help="passes over the training images")
    batchsize: int = setting(32, minimum=2, help="images a batch")
    learning_rate: float = setting(3e-3, minimum=0, help="of the optimizer, the same throughout")
    reweighted_share: float = setting(
        0.2, minimum=0.01, maximum=0.9, help="share of the images for the last layer alone"
    )
    gamma: float = setting(
        10.0, minimum=0, help="gamma: how much more an image counts that is told badly"
    )
    distance_penalty: float = setting(
        0.0, minimum=0, help="lambda: of the last layer's way from where it began"
    )
    last_layer_steps: int = setting(500, minimum=1, help="of gradient descent on all of these")
    last_layer_rate: float = setting(0.01, minimum=0, help="of these steps")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientSettings(RivalSettings):
    """Right for the right reasons (Ross et al. 2017)."""

    HEADING: ClassVar[str] = "gradient-penalty"

    gradient_weight: float = setting(
        1000.0, minimum=0, help="lambda: weight of squared gradients on the background"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContrastSettings(RivalSettings):
    """Contrast of foregrounds and backgrounds, after CLAD (Wang et al. 2022)."""

    HEADING: ClassVar[str] = "contrast"

    epochs: int | None = setting(60, minimum=1, help="passes over the training images")
    batchsize: int = setting(64, minimum=2, help="images a batch")
    weight_decay: float = setting(0.0, minimum=0, help="weight of the L2 penalty")
    optimizer: str = setting("adam", choices=("sgd", "adam"), help="what moves the weights")
    contrast_weight: float = setting(1.0, minimum=0, help="lambda: weight of the contrast")
    temperature: float = setting(0.2, minimum=1e-3, help="tau, what similarities are divided by")
    classify_composites: bool = setting(False, help="cross-entropy of the composites too (CLAD+)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompositeSettings(RivalSettings):
    """Objects on other backgrounds, or on other images."""

    HEADING: ClassVar[str] = "background-swap, copy-paste"

    changed_share: float = setting(
        0.5, minimum=0, maximum=1, help="of the images that are changed, without --freeze"
    )
    copies: int = setting(2, minimum=1, help="changed ones of each image, with --freeze alone")
    paste_scales: tuple[float, float] = setting(
        (0.5, 1.5), minimum=0.05, help="copy-paste: least and largest scale of an object"
    )


@dataclasses.dataclass(frozen=True)
class Rival:
    """A line of the table.

    Attributes:
        paper: whose it is.
        needs: labels beside the classes: "nothing", "groups", "masks".
        settings: the dataclass.
        train_path: what trains it, "module:function"; it takes a `Trainer`.
        on_features: whether it can do with features of a frozen network.
    """

    paper: str
    needs: str
    settings: type[RivalSettings]
    train_path: str
    on_features: bool = True


RIVAL = "rival"
"""Name of the settings in the folder of a run."""
NOTHING, GROUPS, MASKS = "nothing", "groups", "masks"
WITH_PLACES = "waterbirds:PATH, folders PATH/train/CLASS/PLACE, or --groups FILE.csv"
"""Data that tells the place of each picture."""
_ROOM = "bginv.methods.rivals"
RIVALS = {
    "erm": Rival("empirical risk minimization", NOTHING, RivalSettings, f"{_ROOM}.erm:train"),
    "class-balanced": Rival(
        "sampling, each class as often", NOTHING, RivalSettings, f"{_ROOM}.balanced:train_by_class"
    ),
    "group-balanced": Rival(
        "sampling, each group as often", GROUPS, RivalSettings, f"{_ROOM}.balanced:train_by_group"
    ),
    "group-dro": Rival("Sagawa et al. 2020", GROUPS, GroupDroSettings, f"{_ROOM}.group_dro:train"),
    "jtt": Rival("Liu et al. 2021", NOTHING, JttSettings, f"{_ROOM}.jtt:train"),
    "dfr": Rival("Kirichenko et al. 2023", GROUPS, DfrSettings, f"{_ROOM}.dfr:train"),
    "afr": Rival("Qiu et al. 2023", NOTHING, AfrSettings, f"{_ROOM}.afr:train"),
    "gradient-penalty": Rival(
        "Ross et al. 2017, of the label alone",
        MASKS,
        GradientSettings,
        f"{_ROOM}.gradient_penalty:train_by_label",
        on_features=False,
    ),
    "right-reasons": Rival(
        "Ross et al. 2017", MASKS, GradientSettings, f"{_ROOM}.gradient_penalty:train_by_all", False
    ),
    "contrast": Rival(
        "after Wang et al. 2022", MASKS, ContrastSettings, f"{_ROOM}.contrast:train", False
    ),
    "background-swap": Rival(
        "as the images of Xiao et al. 2021", MASKS, CompositeSettings, f"{_ROOM}.swap:train"
    ),
    "copy-paste": Rival(
        "after Ghiasi et al. 2021", MASKS, CompositeSettings, f"{_ROOM}.copy_paste:train"
    ),
}


def rival_of(name: str) -> Rival:
    """The line of a name.

    Raises:
        UserError: there is none; it names the nearest.
    """
    if name not in RIVALS:
        near = difflib.get_close_matches(name, RIVALS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise UserError(f"unknown --method {name!r}{hint} Known: {', '.join(NAMES)}")
    return RIVALS[name]


def check_rival(settings: RivalSettings) -> None:
    """Raise where settings do not go together, or one of them would change nothing.

    Raises:
        UserError: it names the option.
    """
    name = settings.method
    if settings.freeze and not rival_of(name).on_features:
        raise UserError(f"--method {name} trains the whole network: leave --freeze away")
    _check_validation(settings)
    without_effect = {
        "momentum": (settings.optimizer == "adam", "--optimizer adam"),
        "smallest_crop": (settings.freeze, "--freeze"),
        "batch_norm": (settings.freeze, "--freeze"),
    }
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    for field, (holds, other) in without_effect.items():
        if holds and getattr(settings, field) != defaults[field]:
            raise UserError(f"{option_name(field)} has no effect with {other}: leave it out")
    if isinstance(settings, DfrSettings) and not settings.inverse_penalties:
        raise UserError("--inverse-penalties needs one number at least, such as 0.1")
    if isinstance(settings, CompositeSettings):
        _check_composites(settings)


def _check_validation(settings: RivalSettings) -> None:
    """Raise where images would be held out for nothing."""
    if not settings.validation or isinstance(settings, DfrSettings):
        return
    if isinstance(settings, AfrSettings):
        raise UserError("afr holds out a part of its own (--reweighted-share): leave --validation")
    if settings.freeze:
        raise UserError(
            f"--validation {settings.validation:g} would choose an epoch of a whole network, and "
            "--freeze trains a last layer: leave one of them out"
        )


def _check_composites(settings: CompositeSettings) -> None:
    scales = settings.paste_scales
    if len(scales) != 2 or scales[0] > scales[1]:
        raise UserError(
            "--paste-scales takes two numbers, the least and the largest scale, such as 0.5,1.5; "
            f"received {show(scales)}"
        )
    without_effect = {
        "paste_scales": (settings.method != "copy-paste", "is of copy-paste alone"),
        "changed_share": (settings.freeze, "has no effect with --freeze, where --copies tells"),
        "copies": (not settings.freeze, "has an effect with --freeze alone, see --changed-share"),
    }
    for field in dataclasses.fields(settings):
        holds, why = without_effect.get(field.name, (False, ""))
        if holds and getattr(settings, field.name) != field.default:
            raise UserError(f"{option_name(field.name)} {why}: leave it out")
