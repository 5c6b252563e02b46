"""Every subcommand of `bginv`, and the script of the same name.

Settings and experiments are named, "module:Name", so that a command imports its own alone.
"""

import dataclasses
import pkgutil


@dataclasses.dataclass(frozen=True)
class Command:
    """A subcommand, and the script of the same name.

    Attributes:
        where: the dataclass of its flags.
        help: one line.
        recipe: the default of `--recipe`.
        made_by: what takes settings and devices, checks them, and gives an `Experiment`, or
            anything else to `run`, or a function.
    """

    where: str
    help: str
    made_by: str = ""
    recipe: str = "paper"

    @property
    def settings(self) -> type:
        """The dataclass of its flags."""
        return pkgutil.resolve_name(self.where)


BACKGROUND_INVARIANCE = "bginv.methods.background_invariance.experiment"
PHOTOGRAPH_RUN = "bginv.methods.photographs.experiment:PhotographRun"
"""What `run` does with photographs."""
COMMANDS = {
    "run": Command(
        "bginv.methods.background_invariance.settings:RunSettings",
        "the three phases, the evaluation and the table",
        recipe="tuned",
        made_by=f"{BACKGROUND_INVARIANCE}:ThreePhasesRun",
    ),
    "train1": Command(
        "bginv.methods.background_invariance.settings:ClassifierSettings",
        "phase 1: train a classifier",
        made_by=f"{BACKGROUND_INVARIANCE}:ClassifierExperiment",
    ),
    "train2": Command(
        "bginv.methods.background_invariance.settings:MaskSettings",
        "phase 2: train a mask generator",
        made_by=f"{BACKGROUND_INVARIANCE}:MaskExperiment",
    ),
    "train3": Command(
        "bginv.methods.background_invariance.settings:AdversarialSettings",
        "phase 3: train the classifier against backgrounds",
        made_by=f"{BACKGROUND_INVARIANCE}:AdversarialExperiment",
    ),
    "train-att": Command(
        "bginv.methods.attention.settings:AttentionSettings",
        "attention-guided baseline: train it",
        made_by="bginv.methods.attention.experiment:AttentionExperiment",
    ),
    "train-acol": Command(
        "bginv.methods.acol.settings:AcolSettings",
        "adversarial complementary learning: train it",
        made_by="bginv.methods.acol.experiment:AcolExperiment",
    ),
    "train-erasing": Command(
        "bginv.methods.erasing.settings:ErasingSettings",
        "adversarial erasing (EADER): train it",
        made_by="bginv.methods.erasing.experiment:erasing_run",
    ),
    "train-adapt": Command(
        "bginv.methods.adaptation.settings:AdaptationSettings",
        "output-space adaptation of a segmentation network",
        made_by="bginv.methods.adaptation.experiment:AdaptationExperiment",
    ),
    "evaluate": Command(
        "bginv.commands.settings:EvaluateSettings",
        "accuracy of a classifier on every test",
        made_by="bginv.commands.evaluations:prepare_evaluate",
    ),
    "calibrate": Command(
        "bginv.commands.settings:CalibrateSettings",
        "temperature scaling of a classifier's logits",
        made_by="bginv.commands.evaluations:prepare_calibrate",
    ),
    "evaluate-seg": Command(
        "bginv.commands.settings:EvaluateSegmentationSettings",
        "masks of a mask generator: pictures, and agreement with true masks",
        made_by="bginv.commands.evaluations:prepare_evaluate_seg",
    ),
    "evaluate-backgrounds": Command(
        "bginv.commands.settings:EvaluateBackgroundsSettings",
        "the Backgrounds Challenge: accuracy on every variation, and vulnerable foregrounds",
        made_by="bginv.commands.backgrounds:prepare_evaluate_backgrounds",
    ),
    "evaluate-domain": Command(
        "bginv.methods.adaptation.settings:EvaluateDomainSettings",
        "IoU of a segmentation network on a domain",
        made_by="bginv.methods.adaptation.experiment:DomainEvaluation",
    ),
    "masks": Command(
        "bginv.commands.settings:FindMasksSettings",
        "masks of your own photographs as files, and whether they can be trusted",
        made_by="bginv.commands.masks:prepare_masks",
    ),
    "make-variations": Command(
        "bginv.commands.settings:MakeVariationsSettings",
        "the Backgrounds Challenge's variations of your own images",
        made_by="bginv.commands.variations:prepare_make_variations",
    ),
    "convert-weights": Command(
        "bginv.commands.settings:ConvertSettings",
        "a checkpoint of PyTorch to a Keras model",
        made_by="bginv.commands.exports:prepare_convert_weights",
    ),
    "export": Command(
        "bginv.commands.settings:ExportSettings",
        "a model for other runtimes: SavedModel, ONNX, LiteRT; each compared with the model",
        made_by="bginv.commands.exports:prepare_export",
    ),
    "compare": Command(
        "bginv.commands.settings:CompareSettings",
        "runs side by side, as one page",
        made_by="bginv.commands.evaluations:prepare_compare",
    ),
    "completion": Command(
        "bginv.commands.settings:CompletionSettings",
        "print what lets a shell complete command lines",
    ),
    "datasets": Command(
        "bginv.commands.settings:DatasetsSettings",
        "every data set, or what one of them holds",
        made_by="bginv.commands.evaluations:prepare_datasets",
    ),
}
