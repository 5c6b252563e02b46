"""What can be set of the three phases, each for itself and in one run. Without TensorFlow."""

import argparse
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

from bginv.engine.common_settings import (
    AugmentedSettings,
    ClassifierTrainingSettings,
    CommonSettings,
    NewClassifierSettings,
    precision_setting,
    rotation_setting,
    shift_setting,
)
from bginv.engine.settings import (
    DEFAULT,
    RECIPES,
    add_flags,
    add_option,
    option_name,
    positional,
    resolve,
    setting,
    setting_names,
    show_default,
)
from bginv.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TechniqueSettings(ClassifierTrainingSettings):
    """What both phases take that train the classifier."""

    HEADING: ClassVar[str] = "techniques"

    background_mixing: float = setting(
        0.0,
        minimum=0,
        maximum=1,
        help="share of images that get another one's background (phase 3: of those left clean)",
    )
    label_smoothing: float = setting(
        0.0, minimum=0, maximum=1, help="share of a label that goes to all classes alike"
    )


mistakes_share_setting = functools.partial(
    setting, minimum=0, maximum=1, help="of the images drawn, that --mistakes-of gets wrong"
)

BINARIZATIONS = ("otsu", "0.5", "quantile", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThreePhasesSettings(AugmentedSettings):
    """What the three phases share beyond other methods: what their recipe was tuned for."""

    precision: str = precision_setting(tuned="auto")
    rotation: float = rotation_setting(tuned=10.0)
    shift: float = shift_setting(tuned=0.05)
    mistakes_of: str | None = setting(
        None, help="a classifier that learned for a short time; draw what it gets wrong more often"
    )
    mistakes_share: float = mistakes_share_setting(0.5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierSettings(ThreePhasesSettings, NewClassifierSettings, TechniqueSettings):
    """Phase 1."""

    HEADING: ClassVar[str] = "phase 1"

    steps: int | None = setting(
        None, tuned=1500, minimum=1, instead_of="epochs", help="number of batches"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskSettings(ThreePhasesSettings):
    """Phase 2."""

    HEADING: ClassVar[str] = "phase 2"

    model: str = positional(help="classifier that phase 1 wrote")
    binarize: str = positional(default="otsu", choices=BINARIZATIONS, help="threshold of the masks")
    loss: str = setting("abs", choices=("abs", "squared"), help="penalty on area beyond --area")
    area: float = setting(0.2, minimum=0, maximum=1, help="share of the image that a mask may take")
    total_variation: float = setting(0.1, minimum=0, help="weight of the masks' total variation")
    mistakes_share: float = mistakes_share_setting(1.0)
    debug: bool = setting(
        False, may_change=True, help="write pictures of images and masks after each epoch"
    )
    learning_rate: float = setting(1e-5, tuned=1e-3, minimum=0, help="of Adam")
    steps: int | None = setting(
        None, tuned=400, minimum=1, instead_of="epochs", help="number of batches"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdversarialSettings(ThreePhasesSettings, TechniqueSettings):
    """Phase 3."""

    HEADING: ClassVar[str] = "phase 3"

    model: str = positional(help="classifier that phase 1 wrote")
    unet_model: str = positional(
        help="mask generator that phase 2 wrote, heuristic (image > 0), or given (the data's own)"
    )
    binarize: str = positional(default="otsu", choices=BINARIZATIONS, help="threshold of the masks")
    back: str = positional(
        default="adv", choices=("black", "noise", "adv", "real"), help="kind of backgrounds"
    )
    tiles: tuple[int, ...] = setting(
        (2,), tuned=(1, 2, 4), minimum=1, help="t for t x t tiles; a generator for each number"
    )
    area: float = setting(0.2, minimum=0, maximum=1, help="share of foreground for quantile")
    backgrounds: str | None = setting(None, help="folder of photographs for back = real")
    crops: str = setting(
        "native", tuned="any", choices=("native", "any"), help="of photographs: pixels, or any size"
    )
    noise: str = setting(
        "normal", tuned="uniform", choices=("normal", "uniform"), help="values for back = noise"
    )
    generator_learning_rate: float = setting(1e-5, tuned=1e-3, minimum=0, help="of Adam")
    decay: str = setting(
        "none", tuned="cosine", choices=("none", "cosine"), help="of the learning rate, to 0"
    )
    average: float = setting(
        0.0, tuned=0.998, minimum=0, maximum=0.99999, help="momentum of averaged weights; 0: off"
    )
    tile_uses: int = setting(
        1, tuned=3, minimum=1, help="lay each generated tile so often, and generate fewer"
    )
    clean_fraction: float = setting(
        0.0, tuned=0.25, minimum=0, maximum=1, help="share of a batch that keeps its background"
    )
    restart_every: int = setting(
        0, tuned=600, minimum=0, help="steps after which a generator starts afresh; 0: never"
    )
    mask_growth: int = setting(
        0, tuned=3, minimum=0, help="grow each mask by 0 to N pixels, drawn anew at each step"
    )
    align_masks: bool = setting(
        False, tuned=True, help="augment image and mask together, not the image alone"
    )
    steps: int | None = setting(
        None, tuned=6000, minimum=1, instead_of="epochs", help="number of batches"
    )


PHASES: dict[str, type[ThreePhasesSettings]] = {
    "classifier": ClassifierSettings,
    "masks": MaskSettings,
    "adversarial": AdversarialSettings,
}


PHOTOGRAPHS = "photographs"
LEARNED, HEURISTIC, GIVEN = "learned", "heuristic", "given"
"""Where the masks of the three phases come from."""
_MADE_BY_RUN = {"model": "classifier.keras", "unet_model": "mask_unet.keras", "output": None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings(CommonSettings):
    """The three phases and the evaluation, in one folder."""

    recipe: str = setting(
        "tuned",
        choices=(*RECIPES, PHOTOGRAPHS),
        help="values of unset options; photographs, a pretrained network fine-tuned on other "
        "pictures' backgrounds, is the default for folders of photographs of 128 pixels and more",
    )
    run_dir: str | None = setting(
        None, may_change=True, help="folder for everything (default: runs/DATASET)"
    )
    masks: str = setting(
        "learned",
        metavar="SOURCE",
        help="learned, by phase 2; heuristic, image > 0; given, the data's own; for photographs "
        "also auto (their default: given, else saliency, else learned), saliency[:NAME or PATH], "
        "boxes:PATH, cam, model:PATH, command:PROGRAM",
    )


def add_run_flags(parser: argparse.ArgumentParser, recipe: str) -> None:
    """Flags of `RunSettings`, then those of the phases.

    A setting that several phases have gets one flag for all of them and one for each, with the
    phase's name in front.
    """
    add_flags(parser, RunSettings, recipe)
    for name, phases in _run_names().items():
        phase, field = next(iter(phases.items()))
        if len(phases) == 1:
            add_option(parser, PHASES[phase], field, option_name(name), recipe)
            continue
        shared_help = _shared_help(phases, recipe)
        add_option(parser, PHASES[phase], field, option_name(name), recipe, shared_help)
        for phase, field in phases.items():
            option = option_name(f"{phase}_{name}")
            add_option(parser, PHASES[phase], field, option, recipe, argparse.SUPPRESS)
    parser.epilog = (
        "An option that several phases have may be given for one of them: "
        f"{', '.join(f'--{phase}-steps' for phase in PHASES)}."
    )


def _shared_help(phases: Mapping[str, dataclasses.Field], recipe: str) -> str:
    """Help of a setting that several phases have, in one text or in that of each."""
    helps = {phase: field.metadata["help"] for phase, field in phases.items()}
    values = {phase: show_default(field, recipe) for phase, field in phases.items()}
    if len(set(helps.values())) > 1:
        phases_of: dict[str, list[str]] = {}
        for phase, text in helps.items():
            full = text if DEFAULT in text else f"{text} {DEFAULT}{values[phase]})"
            phases_of.setdefault(full, []).append(phase)
        return "; ".join(f"{' and '.join(own)}: {text}" for text, own in phases_of.items())
    same = len(set(values.values())) == 1
    defaults = next(iter(values.values())) if same else ", ".join(map(" ".join, values.items()))
    return f"{next(iter(helps.values()))} {DEFAULT}{defaults})"


def resolve_phases(given: Mapping[str, Any], recipe: str) -> dict[str, ThreePhasesSettings]:
    """Each phase's settings from the flags of `add_run_flags`.

    Raises:
        UserError: as `config.resolve`.
    """
    resolved = {}
    for phase, settings in PHASES.items():
        prefix = f"{phase}_"
        own = {
            name.removeprefix(prefix): value
            for name, value in given.items()
            if name.startswith(prefix)
        }
        excluded = {"epochs"} if "steps" in own else {"steps"} if "epochs" in own else set()
        shared = {name: value for name, value in given.items() if name not in excluded}
        try:
            resolved[phase] = resolve(settings, {**shared, **own, **_MADE_BY_RUN}, recipe)
        except UserError as error:
            raise UserError(f"{phase}: {error}") from None
    return resolved


def phase_setting_names() -> set[str]:
    """Every name that `resolve_phases` takes: shared ones, and those with a phase in front."""
    names = _run_names()
    own = (f"{phase}_{name}" for name, phases in names.items() for phase in phases)
    return {*names, *own}


def _run_names() -> dict[str, dict[str, dataclasses.Field]]:
    """Names of the phases' own settings -> phase -> field."""
    common = setting_names(RunSettings) | _MADE_BY_RUN.keys()
    names: dict[str, dict[str, dataclasses.Field]] = {}
    for phase, settings in PHASES.items():
        for field in dataclasses.fields(settings):
            if field.name not in common:
                names.setdefault(field.name, {})[phase] = field
    return names
