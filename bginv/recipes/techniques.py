"""Techniques against overfitting and overconfidence, for what trains the classifier."""

import dataclasses
from typing import ClassVar

from bginv.config import setting
from bginv.recipes.training import ClassifierTrainingSettings


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
