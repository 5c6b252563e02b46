"""The three phases as runs: each for itself, as the paper's scripts, and one after the other."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import keras
import tensorflow as tf
from absl import logging

from bginv.data.catalog import proof_name
from bginv.data.photographs import Photographs
from bginv.data.sources import Dataset
from bginv.engine.experiment import (
    Experiment,
    Stage,
    inputs,
    load,
    make_classifier,
    of_worker,
    paper_command_line,
    print_accuracies,
    print_table,
)
from bginv.engine.loop import total_steps
from bginv.engine.results import Results
from bginv.engine.run_folder import RunFolder, default_run_dir
from bginv.errors import UserError
from bginv.interop.model_files import (
    check_ending_for,
    load_classifier,
    load_mask_unet,
    save_model,
)
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.mask_training import MaskTraining
from bginv.methods.background_invariance.settings import (
    GIVEN,
    HEURISTIC,
    LEARNED,
    AdversarialSettings,
    ClassifierSettings,
    MaskSettings,
    RunSettings,
    ThreePhasesSettings,
)
from bginv.methods.background_invariance.stages import (
    AdversarialStage,
    ClassifierStage,
    MaskStage,
)
from bginv.nn.paper_networks import build_mask_unet
from bginv.ops.augment import Augmentation
from bginv.ops.losses import Loss, cross_entropy
from bginv.output_files import refuse_existing
from bginv.report.metrics import training_seconds

LONGEST_PREFIX = 200
"""A file's name has room for 255 bytes."""


class ClassifierExperiment(Experiment):
    """Phase 1: train a classifier; see `Experiment`."""

    name = "classifier"

    def __init__(self, settings: ClassifierSettings, strategy: tf.distribute.Strategy):
        super().__init__(settings, strategy)
        settings = self.settings
        self.dataset = load(settings)
        with strategy.scope():
            self._classifier = make_classifier(settings, self.dataset)
            method = ClassifierTraining(self._classifier, settings)
        self.stages = [ClassifierStage(method, self.dataset, settings, self.folder)]
        mixes = settings.background_mixing > 0
        self.folder.check_inputs(inputs(self.dataset, settings.mistakes_of, masks=mixes))
        check_ending_for(self._classifier, settings.output)
        self.models = {settings.output: self._classifier}

    def report(self) -> None:
        """The classifier's accuracies."""
        print_accuracies(self._classifier, self.dataset, self.folder)


class MaskExperiment(Experiment):
    """Phase 2: train a mask generator; see `Experiment`."""

    name = "masks"

    def __init__(self, settings: MaskSettings, strategy: tf.distribute.Strategy):
        super().__init__(settings, strategy)
        settings = self.settings
        self.dataset = load(settings)
        with strategy.scope():
            self._classifier = load_classifier(settings.model, self.dataset, needs_logits=True)
            unet = build_mask_unet(self.dataset.image_shape, settings.seed)
            method = MaskTraining(unet, self._classifier, settings)
        prefix = paper_command_line().replace(os.sep, "_")[:LONGEST_PREFIX]
        self.stages = [MaskStage(method, self.dataset, settings, self.folder, prefix)]
        self.folder.check_inputs(inputs(self.dataset, settings.model, settings.mistakes_of))
        self.models = {settings.output: unet}

    def report(self) -> None:
        """The accuracies of the classifier that the masks are for, as in the paper's code."""
        print_accuracies(self._classifier, self.dataset, self.folder)


class AdversarialExperiment(Experiment):
    """Phase 3: train the classifier against backgrounds; see `Experiment`."""

    name = "adversarial"

    def __init__(self, settings: AdversarialSettings, strategy: tf.distribute.Strategy):
        super().__init__(settings, strategy)
        settings = self.settings
        generator_files = _generator_files(settings)
        refuse_existing(generator_files, self.folder.may_replace)
        self.dataset = dataset = load(settings)
        _check_masks(settings.unet_model, dataset)
        masks = settings.unet_model if settings.unet_model in (GIVEN, HEURISTIC) else LEARNED
        unet_file = settings.unet_model if masks == LEARNED else None
        steps = total_steps(settings, len(dataset.train))
        with strategy.scope():
            self._classifier = load_classifier(settings.model, dataset, needs_logits=True)
            unet = load_mask_unet(unet_file, dataset) if unet_file else None
            method = AdversarialTraining(self._classifier, dataset.image_shape, settings, steps)
        check_ending_for(self._classifier, settings.output)
        photographs = _load_photographs(settings, dataset)
        self.stages = [
            AdversarialStage(method, dataset, settings, self.folder, unet, masks, photographs)
        ]
        files = (settings.model, unet_file, settings.mistakes_of)
        given = masks == GIVEN
        self.folder.check_inputs(inputs(dataset, *files, photographs=photographs, masks=given))
        generators = [adversary.generator for adversary in method.adversaries]
        own = dict(zip(generator_files, generators, strict=False))
        self.models = {**own, settings.output: self._classifier}

    def report(self) -> None:
        """The classifier's accuracies."""
        print_accuracies(self._classifier, self.dataset, self.folder)


@dataclasses.dataclass(frozen=True)
class Start:
    """What the three phases start from.

    Attributes:
        dataset: what is trained on and evaluated.
        classifier: images to logits, or to what the loss takes; it is trained in place.
        masks: "learned", by phase 2 or by the `unet` given; "heuristic", `image > 0`; or
            "given", the data set's own.
        unet: a mask generator that is there already.
        photographs: for `back` = "real".
        loss: what the classifier is trained for.
        augmentation: ranges of the random transforms; None means those of the phases.
        train_classifier: whether there is a phase 1.
        save: whether models are saved, which those with layers of the user's may not allow.
        scores: the classifier's logits, where it gives something else to its loss.
    """

    dataset: Dataset
    classifier: keras.Model
    masks: str = LEARNED
    unet: keras.Model | None = None
    photographs: Photographs | None = None
    loss: Loss = cross_entropy
    augmentation: Augmentation | None = None
    train_classifier: bool = True
    save: bool = True
    scores: keras.Model | None = None

    @property
    def evaluated(self) -> keras.Model:
        """What is evaluated and saved: images to logits, or to numbers."""
        return self.scores or self.classifier


class BackgroundInvariance(Experiment):
    """A classifier, a mask generator, and the classifier against generators of backgrounds.

    Phases that are done are not done again: their checkpoints are kept until the run is finished.

    Args:
        start: see there.
        settings: of the run.
        phases: settings of "classifier", "masks" and "adversarial".
        strategy: the devices.
        folder: of the run; only a worker that writes nothing has one without a path.
        rows: names of the rows of results before and after phase 3.

    Raises:
        UserError: settings that do not go together, or with the data.

    Attributes:
        unet: the mask generator, or None.
        adversaries: the background generators of phase 3, each with its optimizer.
        uses_given_masks: whether the masks of the data set matter.
        results: rows of accuracies.
    """

    name = "run"
    in_one_folder = True

    def __init__(
        self,
        start: Start,
        settings: RunSettings,
        phases: Mapping[str, ThreePhasesSettings],
        strategy: tf.distribute.Strategy,
        folder: RunFolder,
        rows: tuple[str, str] = ("Traditional", "Proposal"),
    ):
        super().__init__(settings, strategy, folder)
        self.start = start
        self.results = Results(start.dataset, folder, *rows)
        phases = {name: of_worker(own, strategy) for name, own in phases.items()}
        self._first = self._masks = None
        self.unet = start.unet
        with strategy.scope():
            if start.train_classifier:
                self._first = self._classifier_stage(phases["classifier"])
            if start.masks == LEARNED and self.unet is None:
                self.unet = build_mask_unet(start.dataset.image_shape, phases["masks"].seed)
                self._masks = self._mask_stage(phases["masks"])
            self._last = self._adversarial_stage(phases["adversarial"])
        self.stages = [stage for stage in (self._first, self._masks, self._last) if stage]
        if start.augmentation:
            for stage in self.stages:
                stage.method.augmentation = start.augmentation
        self.adversaries = self._last.method.adversaries
        mixes = start.train_classifier and phases["classifier"].background_mixing > 0
        self.uses_given_masks: bool = start.masks == GIVEN or mixes
        saved = [(start.evaluated, "robust_classifier")]
        saved += [(own.generator, own.generator.name) for own in self.adversaries]
        self.models = {self._file(name): model for model, name in saved}

    def train(self) -> None:
        """See `Experiment.train`; what the phases before the last one leave is saved at once."""
        if not self._first:
            self._keep(self.start.evaluated, "classifier")
        for stage in self.stages:
            stage.run(self.folder)
            if stage is self._first:
                self._keep(self.start.evaluated, "classifier")
            elif stage is self._masks:
                self._keep(self.unet, "mask_unet")

    def report(self) -> None:
        """Add the last row of accuracies, and write the results."""
        self.results.add_row(self.results.after, self.start.evaluated)
        self.results.write()
        seconds = training_seconds(self.folder.metrics_file)
        times = ", ".join(f"{name} {taken:.0f} s" for name, taken in seconds.items())
        logging.info("training took %.0f s: %s", sum(seconds.values()), times)

    def _classifier_stage(self, settings: ClassifierSettings) -> Stage:
        start = self.start
        method = ClassifierTraining(start.classifier, settings, start.loss)
        return ClassifierStage(method, start.dataset, settings, self.folder)

    def _mask_stage(self, settings: MaskSettings) -> Stage:
        start = self.start
        method = MaskTraining(self.unet, start.classifier, settings, start.loss)
        return MaskStage(method, start.dataset, settings, self.folder)

    def _adversarial_stage(self, settings: AdversarialSettings) -> Stage:
        start, shape = self.start, self.start.dataset.image_shape
        steps = total_steps(settings, len(start.dataset.train))
        method = AdversarialTraining(start.classifier, shape, settings, steps, start.loss)
        masks = (self.unet, start.masks)
        return AdversarialStage(
            method, start.dataset, settings, self.folder, *masks, start.photographs
        )

    def _file(self, name: str) -> pathlib.Path | None:
        saves = self.folder.path and self.start.save
        return self.folder.path / f"{name}.keras" if saves else None

    def _keep(self, model: keras.Model, name: str) -> None:
        """Save a model, and add a row of accuracies where it is the classifier."""
        path = self._file(name)
        if path:
            save_model(model, path)
        if self.folder.path and model is self.start.evaluated:
            self.results.add_row(self.results.before, model)


class ThreePhasesRun(BackgroundInvariance):
    """What `bginv run` does: everything made here, in one folder, and the table printed."""

    def __init__(
        self,
        settings: RunSettings,
        classifier: ClassifierSettings,
        masks: MaskSettings,
        adversarial: AdversarialSettings,
        strategy: tf.distribute.Strategy,
    ):
        if settings.masks not in (LEARNED, HEURISTIC, GIVEN):
            raise UserError(
                f"--masks must be {LEARNED}, {HEURISTIC} or {GIVEN} for --recipe "
                f"{settings.recipe}, other sources are for photographs; received {settings.masks!r}"
            )
        run_dir = settings.run_dir or default_run_dir(settings.dataset)
        settings = of_worker(dataclasses.replace(settings, run_dir=run_dir), strategy)
        phases = {"classifier": classifier, "masks": masks, "adversarial": adversarial}
        kept = {"run": settings, **phases}
        folder = RunFolder(settings.run_dir, None, settings.overwrite, kept)
        dataset = load(dataclasses.replace(settings, dataset=proof_name(settings.dataset)))
        photographs = _load_photographs(adversarial, dataset)
        _check_masks(settings.masks, dataset)
        with strategy.scope():
            model = make_classifier(classifier, dataset)
        start = Start(dataset, model, settings.masks, photographs=photographs)
        super().__init__(start, settings, phases, strategy, folder)
        early = [phase.mistakes_of for phase in phases.values()]
        given = self.uses_given_masks
        folder.check_inputs(inputs(dataset, *early, photographs=photographs, masks=given))

    def run(self) -> None:
        """See `Experiment.run`; then print the table."""
        super().run()
        print_table(self.folder, self.settings)


def _check_masks(masks: str, dataset: Dataset) -> None:
    """Raise if the data set's own masks are asked for, and it has none.

    Raises:
        UserError: it says where masks belong.
    """
    if masks == GIVEN and not dataset.train.has_masks:
        raise UserError(
            f"the training images of {dataset.name} have no masks of their own: name a mask "
            f"generator or {HEURISTIC}, or put masks into PATH/train/masks of a folder"
        )


def _load_photographs(settings: AdversarialSettings, dataset: Dataset) -> Photographs | None:
    """The photographs for `back` = "real", the user's or those of the data set; else None.

    Raises:
        UserError: no folder given, one without photographs, or one that would not be used.
    """
    if settings.back != "real" and settings.backgrounds is not None:
        raise UserError("--backgrounds is for back = real; give that, or leave it out")
    if settings.back != "real":
        return None
    folder = settings.backgrounds or dataset.backgrounds
    if folder is None:
        raise UserError("back = real needs --backgrounds with a folder of photographs")
    return Photographs(folder, dataset.image_shape, settings.crops, settings.skip_bad_files)


def _generator_files(settings: AdversarialSettings) -> list[pathlib.Path]:
    """Where the background generators go: `m3-back.h5` beside `m3.h5`, as in the paper's code."""
    if settings.output is None or settings.back != "adv":
        return []
    output = pathlib.Path(settings.output)
    if len(settings.tiles) == 1:
        return [output.with_name(f"{output.stem}-back{output.suffix}")]
    return [
        output.with_name(f"{output.stem}-back-{tiles}x{tiles}{output.suffix}")
        for tiles in settings.tiles
    ]
