"""What every setting means and its value in both recipes.

"paper" is the paper's published code, quirks included; "tuned" is ours.
"""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

from bginv.config import (
    RECIPES,
    add_flags,
    add_option,
    option_name,
    positional,
    resolve,
    setting,
    show_default,
)

BINARIZATIONS = ("otsu", "0.5", "quantile", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSettings:
    """What every command takes."""

    dataset: str = positional(help="name of a data set, such as digits, or folder:PATH")
    data_dir: str | None = setting(None, may_change=True, help="folder with the data set's files")
    image_size: int | None = setting(
        None,
        minimum=8,
        help="side of the images of folder:PATH, tfds:NAME and shapes (default: 64)",
    )
    skip_bad_files: bool = setting(
        False, help="leave out image files that cannot be read, instead of stopping"
    )
    limit: int | None = setting(None, minimum=1, help="use the first N training images only")
    overwrite: bool = setting(
        False, may_change=True, help="begin again, and replace what was written"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommonSettings(DataSettings):
    """What every command that trains takes."""

    recipe: str = setting("paper", choices=RECIPES, help="values of unset options")
    seed: int = setting(
        0, minimum=0, maximum=2**31 - 1, help="of initial weights, order, augmentation and noise"
    )
    run_dir: str | None = setting(
        None, may_change=True, help="folder for configuration, checkpoints, metrics and pictures"
    )
    resume: bool = setting(
        False,
        may_change=True,
        help="go on with an unfinished run, with the settings it was made with",
    )
    distribute: str = setting(
        "none",
        may_change=True,
        choices=("none", "mirrored", "multiworker"),
        help="one device, all GPUs of this machine, or the machines that TF_CONFIG names",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhaseSettings(CommonSettings):
    """What every phase takes."""

    output: str | None = setting(
        None, may_change=True, help="file for the trained model, .keras or .h5"
    )
    epochs: int | None = setting(100, tuned=None, minimum=1, help="passes over the training images")
    steps: int | None = setting(None, minimum=1, instead_of="epochs", help="number of batches")
    batchsize: int = setting(8, tuned=64, minimum=1, help="images a batch")
    flip: bool = setting(True, tuned=False, help="mirror half of the images")
    steps_per_call: int = setting(
        20, may_change=True, minimum=1, help="steps between two progress reports"
    )
    precision: str = setting(
        "float32",
        choices=("float32", "bfloat16", "float16"),
        help="of the layers' arithmetic; weights and what is saved stay float32",
    )
    xla: str = setting(
        "auto",
        may_change=True,
        choices=("auto", "on", "off"),
        help="compile each step with XLA; auto: on one GPU, not on CPUs, where it is slower",
    )
    checkpoint_steps: int = setting(
        0, may_change=True, minimum=0, help="save a checkpoint every N steps too; 0: do not"
    )
    checkpoint_minutes: float = setting(
        10.0, may_change=True, minimum=0, help="save a checkpoint every X minutes; 0: do not"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierTrainingSettings(PhaseSettings):
    """What the phases take that train the classifier."""

    learning_rate: float | None = setting(
        None,
        minimum=0,
        help="of Adam (default: 1e-3, and 1e-5 from 128 rows on or on a network of Keras)",
    )
    evaluate_every: int = setting(
        1,
        tuned=0,
        may_change=True,
        minimum=0,
        help="epochs between two evaluations; 0: at the end only",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewClassifierSettings(ClassifierTrainingSettings):
    """What the commands take that make a classifier."""

    architecture: str = setting(
        "auto", help="auto (VGG19 from 128 rows on), small, or a name of keras.applications"
    )
    weights: str = setting(
        "imagenet",
        help="of a network of Keras: imagenet, none (random), or an .h5 file without top",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierSettings(NewClassifierSettings):
    """Phase 1."""

    steps: int | None = setting(
        None, tuned=1500, minimum=1, instead_of="epochs", help="number of batches"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskSettings(PhaseSettings):
    """Phase 2."""

    model: str = positional(help="classifier that phase 1 wrote")
    binarize: str = positional(default="otsu", choices=BINARIZATIONS, help="threshold of the masks")
    loss: str = setting("abs", choices=("abs", "squared"), help="penalty on area beyond --area")
    area: float = setting(0.2, minimum=0, maximum=1, help="share of the image that a mask may take")
    total_variation: float = setting(0.1, minimum=0, help="weight of the masks' total variation")
    debug: bool = setting(
        False, may_change=True, help="write pictures of images and masks after each epoch"
    )
    learning_rate: float = setting(1e-5, tuned=1e-3, minimum=0, help="of Adam")
    steps: int | None = setting(
        None, tuned=400, minimum=1, instead_of="epochs", help="number of batches"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdversarialSettings(ClassifierTrainingSettings):
    """Phase 3."""

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
    imsave: bool = setting(
        False, may_change=True, help="write pictures of composites after each epoch"
    )
    generator_learning_rate: float = setting(1e-5, tuned=1e-3, minimum=0, help="of Adam")
    decay: str = setting(
        "none", tuned="cosine", choices=("none", "cosine"), help="of the learning rate, to 0"
    )
    average: float = setting(
        0.0, tuned=0.998, minimum=0, maximum=0.99999, help="momentum of averaged weights; 0: off"
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
        None, tuned=3000, minimum=1, instead_of="epochs", help="number of batches"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionSettings(NewClassifierSettings):
    """The attention-guided baseline."""

    tau: float = setting(0.7, minimum=0, maximum=1, help="threshold of the heat map")
    fusion: str = setting(
        "joint",
        choices=("joint", "paper"),
        help="joint: local and fusion branch behind a frozen classifier; paper: AG-CNN",
    )
    threshold: str = setting(
        "otsu", choices=("otsu", "tau"), help="of the heat map, for --fusion paper"
    )
    head: str = setting(
        "linear",
        tuned="relu",
        choices=("linear", "relu"),
        help="between dense layers of the fusion",
    )
    global_model: str | None = setting(
        None, help="classifier that is there already, instead of training one"
    )
    fusion_learning_rate: float = setting(1e-3, minimum=0, help="of Adam, for the fusion branch")
    decay: str = setting(
        "none", tuned="cosine", choices=("none", "cosine"), help="of that rate, to 0"
    )
    steps: int | None = setting(
        None, tuned=1500, minimum=1, instead_of="epochs", help="number of batches"
    )
    fusion_steps: int | None = setting(
        None,
        tuned=2500,
        minimum=1,
        help="number of batches of the second stage of joint (default: as long as the first)",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateSettings(DataSettings):
    """Accuracy of a classifier."""

    model: str = positional(help="classifier, .keras or .h5")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateSegmentationSettings(DataSettings):
    """Masks of a mask generator."""

    model: str = positional(help="mask generator, .keras or .h5")
    output: str = setting(".", help="folder for seg-0.png, seg-1.png, ...")
    area: float = setting(0.2, minimum=0, maximum=1, help="share of foreground for quantile")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetsSettings(DataSettings):
    """Every data set, or what one of them holds."""

    dataset: str | None = positional(default=None, help="name of a data set; none lists them all")
    output: str = setting(".", help="folder for a contact sheet of each split")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings(CommonSettings):
    """The three phases and the evaluation, in one folder."""

    recipe: str = setting("tuned", choices=RECIPES, help="values of unset options")
    run_dir: str | None = setting(
        None, may_change=True, help="folder for everything (default: runs/DATASET)"
    )
    masks: str = setting(
        "learned",
        choices=("learned", "heuristic", "given"),
        help="by phase 2; or without it: image > 0, or the data set's own",
    )


PHASES: dict[str, type[PhaseSettings]] = {
    "classifier": ClassifierSettings,
    "masks": MaskSettings,
    "adversarial": AdversarialSettings,
}
_MADE_BY_RUN = {"model": "classifier.keras", "unet_model": "mask_unet.keras", "output": None}


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
        defaults = ", ".join(
            f"{phase} {show_default(field, recipe)}" for phase, field in phases.items()
        )
        shared_help = f"{field.metadata['help']} (default: {defaults})"
        add_option(parser, PHASES[phase], field, option_name(name), recipe, shared_help)
        for phase, field in phases.items():
            option = option_name(f"{phase}_{name}")
            add_option(parser, PHASES[phase], field, option, recipe, argparse.SUPPRESS)
    parser.epilog = (
        "An option that several phases have may be given for one of them: "
        f"{', '.join(f'--{phase}-steps' for phase in PHASES)}."
    )


def resolve_phases(given: Mapping[str, Any], recipe: str) -> dict[str, PhaseSettings]:
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


def _run_names() -> dict[str, dict[str, dataclasses.Field]]:
    """Names of the phases' own settings -> phase -> field."""
    common = {field.name for field in dataclasses.fields(RunSettings)} | _MADE_BY_RUN.keys()
    names: dict[str, dict[str, dataclasses.Field]] = {}
    for phase, settings in PHASES.items():
        for field in dataclasses.fields(settings):
            if field.name not in common:
                names.setdefault(field.name, {})[phase] = field
    return names
