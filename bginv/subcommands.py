"""Every subcommand of `bginv`, and the script of the same name."""

import dataclasses

from bginv.commands.settings import (
    CalibrateSettings,
    CompareSettings,
    CompletionSettings,
    ConvertSettings,
    DatasetsSettings,
    EvaluateBackgroundsSettings,
    EvaluateSegmentationSettings,
    EvaluateSettings,
    ExportSettings,
    FindMasksSettings,
    MakeVariationsSettings,
)
from bginv.methods.acol.settings import AcolSettings
from bginv.methods.adaptation.settings import AdaptationSettings, EvaluateDomainSettings
from bginv.methods.attention.settings import AttentionSettings
from bginv.methods.background_invariance.settings import (
    AdversarialSettings,
    ClassifierSettings,
    MaskSettings,
    RunSettings,
)
from bginv.methods.erasing.settings import ErasingSettings


@dataclasses.dataclass(frozen=True)
class Command:
    """A subcommand, and the script of the same name.

    Attributes:
        settings: its flags.
        help: one line.
        recipe: the default of `--recipe`.
        experiment: where its `Experiment` is made, the module and the name.
        module: of `bginv.commands`, that prepares what trains nothing.
    """

    settings: type
    help: str
    recipe: str = "paper"
    module: str = ""
    experiment: str | None = None


BACKGROUND_INVARIANCE = "bginv.methods.background_invariance.experiment"
PHOTOGRAPH_RUN = "bginv.methods.photographs.experiment:PhotographRun"
"""What `run` does with photographs."""
COMMANDS = {
    "run": Command(
        RunSettings,
        "the three phases, the evaluation and the table",
        "tuned",
        experiment=f"{BACKGROUND_INVARIANCE}:ThreePhasesRun",
    ),
    "train1": Command(
        ClassifierSettings,
        "phase 1: train a classifier",
        experiment=f"{BACKGROUND_INVARIANCE}:ClassifierExperiment",
    ),
    "train2": Command(
        MaskSettings,
        "phase 2: train a mask generator",
        experiment=f"{BACKGROUND_INVARIANCE}:MaskExperiment",
    ),
    "train3": Command(
        AdversarialSettings,
        "phase 3: train the classifier against backgrounds",
        experiment=f"{BACKGROUND_INVARIANCE}:AdversarialExperiment",
    ),
    "train-att": Command(
        AttentionSettings,
        "attention-guided baseline: train it",
        experiment="bginv.methods.attention.experiment:AttentionExperiment",
    ),
    "train-acol": Command(
        AcolSettings,
        "adversarial complementary learning: train it",
        experiment="bginv.methods.acol.experiment:AcolExperiment",
    ),
    "train-erasing": Command(
        ErasingSettings,
        "adversarial erasing (EADER): train it",
        experiment="bginv.methods.erasing.experiment:erasing_run",
    ),
    "train-adapt": Command(
        AdaptationSettings,
        "output-space adaptation of a segmentation network",
        experiment="bginv.methods.adaptation.experiment:AdaptationExperiment",
    ),
    "evaluate": Command(
        EvaluateSettings, "accuracy of a classifier on every test", module="evaluations"
    ),
    "calibrate": Command(
        CalibrateSettings, "temperature scaling of a classifier's logits", module="calibration"
    ),
    "evaluate-seg": Command(
        EvaluateSegmentationSettings,
        "masks of a mask generator: pictures, and agreement with true masks",
        module="evaluations",
    ),
    "evaluate-backgrounds": Command(
        EvaluateBackgroundsSettings,
        "the Backgrounds Challenge: accuracy on every variation, and vulnerable foregrounds",
        module="backgrounds",
    ),
    "evaluate-domain": Command(
        EvaluateDomainSettings,
        "IoU of a segmentation network on a domain",
        experiment="bginv.methods.adaptation.experiment:DomainEvaluation",
    ),
    "masks": Command(
        FindMasksSettings,
        "masks of your own photographs as files, and whether they can be trusted",
        module="masks",
    ),
    "make-variations": Command(
        MakeVariationsSettings,
        "the Backgrounds Challenge's variations of your own images",
        module="variations",
    ),
    "convert-weights": Command(
        ConvertSettings, "a checkpoint of PyTorch to a Keras model", module="conversions"
    ),
    "export": Command(
        ExportSettings,
        "a model for other runtimes: SavedModel, ONNX, LiteRT; each compared with the model",
        module="exports",
    ),
    "compare": Command(CompareSettings, "runs side by side, as one page", module="comparisons"),
    "completion": Command(CompletionSettings, "print what lets a shell complete command lines"),
    "datasets": Command(
        DatasetsSettings, "every data set, or what one of them holds", module="evaluations"
    ),
}
