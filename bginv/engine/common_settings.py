"""What every command takes, and every one that trains."""

import dataclasses
import functools
from typing import ClassVar

from bginv.engine.settings import RECIPES, positional, setting

OF_PHOTOGRAPHS = ("folder:", "waterbirds:", "csv:", "coco:", "voc:", "yolo:")
"""What names of photographs begin with, each with a class and on disk."""

precision_setting = functools.partial(
    setting,
    "float32",
    choices=("auto", "float32", "bfloat16", "float16"),
    help="of the layers' arithmetic; weights and what is saved stay float32; auto: bfloat16 where "
    "the processor is faster in it",
)
rotation_setting = functools.partial(
    setting, 15.0, minimum=0, maximum=180, help="of images, at most, in degrees"
)
shift_setting = functools.partial(
    setting, 0.15, minimum=0, maximum=1, help="of images, at most, as a share of their sides"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSettings:
    """What every command takes."""

    HEADING: ClassVar[str] = "data"

    dataset: str = positional(help="name of a data set, such as digits, or folder:PATH")
    data_dir: str | None = setting(None, may_change=True, help="folder with the data set's files")
    image_size: int | None = setting(
        None,
        minimum=8,
        help="side of the images of folder:PATH, other names with a colon, shapes "
        "(default: 64; bginv run with photographs: 224)",
    )
    skip_bad_files: bool = setting(
        False, help="leave out image files that cannot be read, instead of stopping"
    )
    groups: str | None = setting(
        None,
        metavar="FILE[:COLUMN]",
        help="places of the images of folder:PATH, a .csv of file names and places: accuracies "
        "by group, a class and a place, are told too",
    )
    limit: int | None = setting(None, minimum=1, help="use the first N training images only")
    overwrite: bool = setting(
        False, may_change=True, help="begin again, and replace what was written"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommonSettings(DataSettings):
    """What every command that trains takes."""

    HEADING: ClassVar[str] = "the run"

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
    pixel_cache: float = setting(
        4.0,
        may_change=True,
        minimum=0,
        help="GB of disk that pictures of image files may take while a run with a folder reads "
        "them again and again; 0: decode them each time",
    )
    tensorboard: bool = setting(
        False,
        may_change=True,
        help="write losses and pictures for TensorBoard into the run's folder too",
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

    HEADING: ClassVar[str] = "training"

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
    precision: str = precision_setting()
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
class AugmentedSettings(PhaseSettings):
    """What the phases take whose images are moved at random."""

    HEADING: ClassVar[str] = "training"

    rotation: float = rotation_setting()
    shift: float = shift_setting()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierTrainingSettings(AugmentedSettings):
    """What the phases take that train the classifier."""

    HEADING: ClassVar[str] = "training of a classifier"

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

    HEADING: ClassVar[str] = "the classifier"

    architecture: str = setting(
        "auto",
        metavar="NAME",
        help="auto (VGG19 from 128 rows on), small, or a name of keras.applications",
    )
    weights: str = setting(
        "imagenet",
        help="of a network of Keras: imagenet, none (random), or an .h5 file without top",
    )
