"""The commands that train nothing."""

import dataclasses

from bginv.config import positional, setting
from bginv.recipes.training import DataSettings


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
