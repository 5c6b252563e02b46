"""Every subcommand of `bginv`; some have a script of the same name.

Settings and experiments are named, "module:Name", so that a command imports its own alone.
"""

import dataclasses
import pkgutil

OTHERS = "more"
"""Heading of subcommands that name none."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A subcommand, and for some a script of the same name.

    Attributes:
        settings_path: the dataclass of its flags.
        help: one line.
        group: the heading in the help, what somebody wants to do.
        recipe: the default of `--recipe`.
        maker_path: what takes settings and devices, checks them, and returns an object with `run`,
            such as an `Experiment`, or a function to call; empty for what `cli` does itself.
        alone: the maker takes the settings alone, and looks after TensorFlow itself.
    """

    settings_path: str
    help: str
    maker_path: str = ""
    recipe: str = "paper"
    group: str = OTHERS
    alone: bool = False

    @property
    def settings(self) -> type:
        """The dataclass of its flags."""
        return pkgutil.resolve_name(self.settings_path)


BACKGROUND_INVARIANCE = "bginv.methods.background_invariance.experiment"
OTHER_RUNS = {
    "photographs": "bginv.methods.photographs.experiment:PhotographRun",
    "rival": "bginv.methods.rivals.experiment:RivalRun",
}
"""What `run` does in place of the three phases, by the name of its settings."""
COMMANDS = {
    "audit": Command(
        "bginv.commands.settings:AuditSettings",
        "whether models look at the background: no training, three minutes",
        maker_path="bginv.commands.audit:prepare_audit",
        group="diagnose",
    ),
    "evaluate": Command(
        "bginv.commands.settings:EvaluateSettings",
        "accuracy of a classifier on every test",
        maker_path="bginv.commands.evaluations:prepare_evaluate",
        group="diagnose",
    ),
    "evaluate-backgrounds": Command(
        "bginv.commands.settings:EvaluateBackgroundsSettings",
        "the Backgrounds Challenge: accuracy on every variation, and vulnerable foregrounds",
        maker_path="bginv.commands.backgrounds:prepare_evaluate_backgrounds",
        group="diagnose",
    ),
    "calibrate": Command(
        "bginv.commands.settings:CalibrateSettings",
        "temperature scaling of a classifier's logits",
        maker_path="bginv.commands.evaluations:prepare_calibrate",
        group="diagnose",
    ),
    "compare": Command(
        "bginv.commands.settings:CompareSettings",
        "runs side by side, as one page",
        maker_path="bginv.commands.evaluations:prepare_compare",
        group="diagnose",
    ),
    "run": Command(
        "bginv.methods.background_invariance.settings:RunSettings",
        "the three phases, the evaluation and the table",
        recipe="tuned",
        maker_path=f"{BACKGROUND_INVARIANCE}:ThreePhasesRun",
        group="make robust",
    ),
    "train1": Command(
        "bginv.methods.background_invariance.settings:ClassifierSettings",
        "phase 1: train a classifier",
        maker_path=f"{BACKGROUND_INVARIANCE}:ClassifierExperiment",
        group="make robust",
    ),
    "train2": Command(
        "bginv.methods.background_invariance.settings:MaskSettings",
        "phase 2: train a mask generator",
        maker_path=f"{BACKGROUND_INVARIANCE}:MaskExperiment",
        group="make robust",
    ),
    "train3": Command(
        "bginv.methods.background_invariance.settings:AdversarialSettings",
        "phase 3: train the classifier against backgrounds",
        maker_path=f"{BACKGROUND_INVARIANCE}:AdversarialExperiment",
        group="make robust",
    ),
    "masks": Command(
        "bginv.commands.settings:FindMasksSettings",
        "masks of your own photographs as files, and whether they can be trusted",
        maker_path="bginv.commands.masks:prepare_masks",
        group="masks and data",
    ),
    "app": Command(
        "bginv.app.settings:AppSettings",
        "look through masks in a browser, mend them, audit a model with them",
        maker_path="bginv.app.command:prepare_app",
        group="masks and data",
    ),
    "evaluate-seg": Command(
        "bginv.commands.settings:EvaluateSegmentationSettings",
        "masks of a mask generator: pictures, and agreement with true masks",
        maker_path="bginv.commands.evaluations:prepare_evaluate_seg",
        group="masks and data",
    ),
    "datasets": Command(
        "bginv.commands.settings:DatasetsSettings",
        "every data set, or what one of them holds",
        maker_path="bginv.commands.evaluations:prepare_datasets",
        group="masks and data",
    ),
    "make-variations": Command(
        "bginv.commands.settings:MakeVariationsSettings",
        "the Backgrounds Challenge's variations of your own images",
        maker_path="bginv.commands.variations:prepare_make_variations",
        group="masks and data",
    ),
    "make-correlated": Command(
        "bginv.commands.settings:MakeCorrelatedSettings",
        "a set like Waterbirds of your own objects and places: each class has a place of its own",
        maker_path="bginv.commands.correlated:prepare_make_correlated",
        group="masks and data",
    ),
    "export": Command(
        "bginv.commands.settings:ExportSettings",
        "a model for other runtimes: SavedModel, ONNX, LiteRT; each compared with the model",
        maker_path="bginv.commands.exports:prepare_export",
        group="ship",
    ),
    "convert-weights": Command(
        "bginv.commands.settings:ConvertSettings",
        "a checkpoint of PyTorch to a Keras model",
        maker_path="bginv.commands.exports:prepare_convert_weights",
        group="ship",
    ),
    "train-att": Command(
        "bginv.methods.attention.settings:AttentionSettings",
        "attention-guided baseline: train it",
        maker_path="bginv.methods.attention.experiment:AttentionExperiment",
        group="the papers' methods",
    ),
    "train-acol": Command(
        "bginv.methods.acol.settings:AcolSettings",
        "adversarial complementary learning: train it",
        maker_path="bginv.methods.acol.experiment:AcolExperiment",
        group="the papers' methods",
    ),
    "train-erasing": Command(
        "bginv.methods.erasing.settings:ErasingSettings",
        "adversarial erasing (EADER): train it",
        maker_path="bginv.methods.erasing.experiment:erasing_run",
        group="the papers' methods",
    ),
    "train-adapt": Command(
        "bginv.methods.adaptation.settings:AdaptationSettings",
        "output-space adaptation of a segmentation network",
        maker_path="bginv.methods.adaptation.experiment:AdaptationExperiment",
        group="the papers' methods",
    ),
    "evaluate-domain": Command(
        "bginv.methods.adaptation.settings:EvaluateDomainSettings",
        "IoU of a segmentation network on a domain",
        maker_path="bginv.methods.adaptation.experiment:DomainEvaluation",
        group="the papers' methods",
    ),
    "demo": Command(
        "bginv.commands.settings:DemoSettings",
        "the three phases on digits that come along, in a few minutes",
        maker_path="bginv.commands.demo:prepare_demo",
        recipe="tuned",
        group="this program",
    ),
    "doctor": Command(
        "bginv.commands.settings:DoctorSettings",
        "versions, devices, memory, extras and a timed step, for a report of a fault",
        maker_path="bginv.commands.doctor:prepare_doctor",
        alone=True,
        group="this program",
    ),
    "completion": Command(
        "bginv.commands.settings:CompletionSettings",
        "print what lets a shell complete command lines",
        group="this program",
    ),
}
"""Each subcommand by its name, in the order of the help."""
