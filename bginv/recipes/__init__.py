"""What every setting means and its value in both recipes.

"paper" is the published code of each paper, quirks included; "tuned" is ours.
"""

from bginv.recipes.adaptation import AdaptationSettings, EvaluateDomainSettings
from bginv.recipes.comparisons import AcolSettings, AttentionSettings, ErasingSettings
from bginv.recipes.evaluations import (
    CalibrateSettings,
    ConvertSettings,
    DatasetsSettings,
    EvaluateBackgroundsSettings,
    EvaluateSegmentationSettings,
    EvaluateSettings,
    MakeVariationsSettings,
)
from bginv.recipes.phases import (
    PHASES,
    AdversarialSettings,
    ClassifierSettings,
    MaskSettings,
)
from bginv.recipes.pipeline import RunSettings, add_run_flags, resolve_phases
from bginv.recipes.techniques import TechniqueSettings
from bginv.recipes.training import (
    ClassifierTrainingSettings,
    CommonSettings,
    DataSettings,
    NewClassifierSettings,
    PhaseSettings,
)

__all__ = [
    "PHASES",
    "AcolSettings",
    "AdaptationSettings",
    "AdversarialSettings",
    "AttentionSettings",
    "CalibrateSettings",
    "ClassifierSettings",
    "ClassifierTrainingSettings",
    "CommonSettings",
    "ConvertSettings",
    "DataSettings",
    "DatasetsSettings",
    "ErasingSettings",
    "EvaluateBackgroundsSettings",
    "EvaluateDomainSettings",
    "EvaluateSegmentationSettings",
    "EvaluateSettings",
    "MakeVariationsSettings",
    "MaskSettings",
    "NewClassifierSettings",
    "PhaseSettings",
    "RunSettings",
    "TechniqueSettings",
    "add_run_flags",
    "resolve_phases",
]
