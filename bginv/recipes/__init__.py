"""What every setting means and its value in both recipes.

"paper" is the published code of each paper, quirks included; "tuned" is ours.
"""

from bginv.recipes.evaluations import (
    CalibrateSettings,
    CompareSettings,
    CompletionSettings,
    ConvertSettings,
    DatasetsSettings,
    EvaluateBackgroundsSettings,
    EvaluateSegmentationSettings,
    EvaluateSettings,
    ExportSettings,
    MakeVariationsSettings,
)
from bginv.recipes.phases import (
    PHASES,
    AdversarialSettings,
    ClassifierSettings,
    MaskSettings,
    ThreePhasesSettings,
)
from bginv.recipes.pipeline import (
    PHOTOGRAPHS,
    RunSettings,
    add_run_flags,
    phase_setting_names,
    resolve_phases,
)
from bginv.recipes.techniques import TechniqueSettings
from bginv.recipes.training import (
    AugmentedSettings,
    ClassifierTrainingSettings,
    CommonSettings,
    DataSettings,
    NewClassifierSettings,
    PhaseSettings,
)

__all__ = [
    "PHASES",
    "PHOTOGRAPHS",
    "AdversarialSettings",
    "AugmentedSettings",
    "CalibrateSettings",
    "ClassifierSettings",
    "ClassifierTrainingSettings",
    "CommonSettings",
    "CompareSettings",
    "CompletionSettings",
    "ConvertSettings",
    "DataSettings",
    "DatasetsSettings",
    "EvaluateBackgroundsSettings",
    "EvaluateSegmentationSettings",
    "EvaluateSettings",
    "ExportSettings",
    "MakeVariationsSettings",
    "MaskSettings",
    "NewClassifierSettings",
    "PhaseSettings",
    "RunSettings",
    "TechniqueSettings",
    "ThreePhasesSettings",
    "add_run_flags",
    "phase_setting_names",
    "resolve_phases",
]
