"""`bginv run`: its own settings, and the flags of its phases."""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

from bginv.config import (
    RECIPES,
    add_flags,
    add_option,
    option_name,
    resolve,
    setting,
    show_default,
)
from bginv.recipes.phases import PHASES, ThreePhasesSettings
from bginv.recipes.training import CommonSettings

PHOTOGRAPHS = "photographs"
_MADE_BY_RUN = {"model": "classifier.keras", "unet_model": "mask_unet.keras", "output": None}
DEFAULT = "(default: "


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
        ValueError: as `config.resolve`.
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
        except ValueError as error:
            raise ValueError(f"{phase}: {error}") from None
    return resolved


def phase_setting_names() -> set[str]:
    """Every name that `resolve_phases` takes: shared ones, and those with a phase in front."""
    names = _run_names()
    own = (f"{phase}_{name}" for name, phases in names.items() for phase in phases)
    return {*names, *own}


def _run_names() -> dict[str, dict[str, dataclasses.Field]]:
    """Names of the phases' own settings -> phase -> field."""
    common = {field.name for field in dataclasses.fields(RunSettings)} | _MADE_BY_RUN.keys()
    names: dict[str, dict[str, dataclasses.Field]] = {}
    for phase, settings in PHASES.items():
        for field in dataclasses.fields(settings):
            if field.name not in common:
                names.setdefault(field.name, {})[phase] = field
    return names
