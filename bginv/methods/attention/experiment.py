"""A run of the attention-guided baseline."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.sources import Dataset, take_in_memory
from bginv.engine.experiment import (
    Experiment,
    Stage,
    inputs,
    load,
    make_classifier,
    print_accuracies,
)
from bginv.engine.loop import total_steps
from bginv.engine.method import Method
from bginv.engine.results import evaluate_and_log, evaluation_of_epochs
from bginv.engine.run_folder import RunFolder
from bginv.engine.settings import option_name
from bginv.errors import UserError
from bginv.evaluation.attention import crop_statistics, evaluate_auroc
from bginv.interop.model_files import check_ending_for, load_classifier
from bginv.methods.attention.model import (
    build_ag_cnn,
    build_attention_branch,
    features_of,
    join,
)
from bginv.methods.attention.settings import AttentionSettings
from bginv.methods.attention.training import AgCnnTraining, AttentionTraining
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.nn.features import logits_alone
from bginv.report.pictures import draw_boxes, write_sheet
from bginv.report.tables import auroc_table

NUM_PICTURED = 12
BRANCHES = {"global": "global_logits", "local": "local_logits", "fusion": "logits"}


class AttentionExperiment(Experiment):
    """A global classifier and a branch behind it, or AG-CNN as a whole; see `Experiment`."""

    name = "train-att"

    def __init__(self, settings: AttentionSettings, strategy: tf.distribute.Strategy):
        _check_fusion(settings)
        super().__init__(settings, strategy)
        settings = self.settings
        self.dataset = load(settings, several_labels=settings.fusion == "paper")
        with strategy.scope():
            self._classifier, methods, self._whole = _build(settings, self.dataset)
            self._saved = logits_alone(self._whole)
        check_ending_for(self._saved, settings.output)
        models = [settings.global_model] if settings.global_model else []
        self.folder.check_inputs(inputs(self.dataset, *models))
        images = self.dataset.train.without_masks()
        self.stages = [
            Stage(method, images, method.settings, self._evaluation(method)) for method in methods
        ]
        self.models = {settings.output: self._saved}

    def report(self) -> None:
        """Accuracies of both branches, and what the local one sees."""
        if self._classifier:
            evaluate_and_log(self._classifier, self.dataset, "global branch")
        _report_crops(self._whole, self.dataset, self.folder)
        if self.settings.fusion == "paper":
            _report_auroc(self._whole, self.dataset)
        print_accuracies(self._saved, self.dataset, self.folder)

    def _evaluation(self, method: Method) -> Callable[[int], None] | None:
        """What looks at a method's own classifier after its epochs."""
        own = self._classifier if isinstance(method, ClassifierTraining) else self._saved
        return evaluation_of_epochs(own, self.dataset, method.settings)


def _check_fusion(settings: AttentionSettings) -> None:
    """Raise if an option would not be used.

    Raises:
        UserError: it names the option.
    """
    if settings.fusion == "paper" and settings.global_model:
        raise UserError(
            "--global-model is for --fusion joint; --fusion paper trains its branches together"
        )
    if settings.fusion == "paper" and settings.recipe == "paper":  # the other sets some of them
        unused = {"fusion_steps": None, "head": "linear"}
        if settings.threshold != "tau":
            unused["tau"] = AttentionSettings.tau
        for name, default in unused.items():
            if getattr(settings, name) != default:
                other = " or --threshold tau" if name == "tau" else ""
                raise UserError(f"{option_name(name)} is for --fusion joint{other}: leave it out")
    if settings.fusion == "joint" and settings.threshold == "tau":
        raise UserError("--threshold is for --fusion paper; --fusion joint always takes --tau")
    if settings.architecture != "auto" and (settings.global_model or settings.fusion == "paper"):
        other = "--global-model" if settings.global_model else "--fusion paper"
        raise UserError(
            f"--architecture is for a global classifier that is to be trained, not for {other}"
        )
    if settings.weights != "imagenet" and settings.global_model:
        raise UserError("--weights is for networks that are to be trained, not --global-model")


def _build(
    settings: AttentionSettings, dataset: Dataset
) -> tuple[keras.Model | None, list[Method], keras.Model]:
    """The global classifier (None where it is a part of the model), the stages, and the model."""
    shape, num_classes = dataset.image_shape, dataset.num_classes
    if settings.fusion == "paper":
        threshold = settings.tau if settings.threshold == "tau" else settings.threshold
        model = build_ag_cnn(shape, num_classes, threshold, settings.weights, settings.seed)
        steps = total_steps(settings, len(dataset.train))
        return None, [AgCnnTraining(model, settings, steps)], model
    if settings.global_model:
        classifier, stages = load_classifier(settings.global_model, dataset, needs_logits=True), []
    else:
        classifier = make_classifier(settings, dataset)
        stages = [ClassifierTraining(classifier, settings)]
    try:
        features = features_of(classifier)
    except UserError as error:
        raise UserError(f"{settings.global_model or 'the global classifier'}: {error}") from error
    branch = build_attention_branch(
        shape,
        features.compute_output_shape((None, *shape))[1:],
        num_classes,
        settings.tau,
        settings.head,
        settings.seed + 1,
    )
    if settings.fusion_steps:
        settings = dataclasses.replace(settings, steps=settings.fusion_steps, epochs=None)
    steps = total_steps(settings, len(dataset.train))
    stages.append(AttentionTraining(features, branch, settings, steps))
    return classifier, stages, join(features, branch)


def _report_crops(model: keras.Model, dataset: Dataset, folder: RunFolder) -> None:
    """Tell how large the crops are, and draw some of the first test."""
    splits = {"train": dataset.train, **dataset.tests}
    found = crop_statistics(model, splits.values())
    for (name, split), crops in zip(splits.items(), found, strict=True):
        logging.info(
            "Crops - %s: mean height %.2f and width %.2f of the image; %d of %d heat maps show "
            "nothing, and the whole image is used",
            *(name, crops.height, crops.width, crops.degenerate, len(split)),
        )
    if folder.pictures:
        test = next(iter(dataset.tests))
        images = take_in_memory(dataset.tests[test], np.arange(NUM_PICTURED)).images / np.float32(
            255
        )
        found = {name: np.asarray(part) for name, part in model(images, training=False).items()}
        rows = {
            "image, box": draw_boxes(images, found["box"]),
            "heat map": found["heat"][..., None],
            "crop": found["crop"],
        }
        write_sheet(folder.pictures / "attention.png", rows, f"what the local branch sees, {test}")


def _report_auroc(model: keras.Model, dataset: Dataset) -> None:
    per_test = evaluate_auroc(model, dataset.tests.values(), tuple(BRANCHES.values()))
    for name, found in zip(dataset.tests, per_test, strict=True):
        rows = {branch: found[output] for branch, output in BRANCHES.items()}
        logging.info("\n%s", auroc_table(rows, dataset.class_names, f"AUROC on {name}, in %"))
