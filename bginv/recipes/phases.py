"""The three phases."""

import dataclasses
import functools
from typing import ClassVar

from bginv.config import positional, setting
from bginv.recipes.techniques import TechniqueSettings
from bginv.recipes.training import (
    AugmentedSettings,
    NewClassifierSettings,
    precision_setting,
    rotation_setting,
    shift_setting,
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
