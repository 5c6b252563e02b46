"""Techniques against overfitting and overconfidence, for what trains the classifier."""

import dataclasses
from typing import ClassVar

from bginv.config import setting
from bginv.recipes.training import ClassifierTrainingSettings

ENSEMBLES = ("none", "mimo", "batch-ensemble")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TechniqueSettings(ClassifierTrainingSettings):
    """What both phases take that train the classifier."""

    HEADING: ClassVar[str] = "techniques"

    mixup: float = setting(
        0.0,
        minimum=0,
        help="mix pairs of images and labels, shares from Beta(X, X), X >= 0.1; 0: off",
    )
    cutmix: float = setting(
        0.0, minimum=0, maximum=1, help="paste boxes of other images, areas from Beta(X, X); 0: off"
    )
    background_mixing: float = setting(
        0.0,
        minimum=0,
        maximum=1,
        help="share of images that get another one's background (phase 3: of those left clean)",
    )
    label_smoothing: float = setting(
        0.0, minimum=0, maximum=1, help="share of a label that goes to all classes alike"
    )
    focal: float = setting(
        0.0, minimum=0, help="gamma of the focal loss, which plays down easy images; 0: off"
    )
    swa: float = setting(
        0.0,
        minimum=0,
        maximum=1,
        help="share of the steps, at the end, whose weights are averaged; it replaces --average",
    )
