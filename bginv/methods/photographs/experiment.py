"""A run on photographs: a classifier, masks, the classifier on other backgrounds, and the proof."""

import dataclasses
import time
import types

import keras
import tensorflow as tf
from absl import logging

from bginv.data.composites import WithEmptied, emptied
from bginv.data.sources import Dataset, Source
from bginv.data.wrapped import hold_out
from bginv.engine.experiment import (
    Experiment,
    inputs,
    load,
    make_classifier,
    of_worker,
    print_table,
)
from bginv.engine.results import Results
from bginv.engine.run_folder import RunFolder, default_run_dir
from bginv.errors import UserError
from bginv.evaluation.last_layers import LastLayers
from bginv.interop.model_files import save_model
from bginv.masks.choice import GIVEN, Choice, choose
from bginv.masks.store import Found, count_missing
from bginv.methods.background_invariance.settings import PHOTOGRAPHS
from bginv.methods.photographs.auditing import RunAudit
from bginv.methods.photographs.estimate import estimated_seconds, told
from bginv.methods.photographs.judging import (
    AFTER,
    BEFORE,
    Decision,
    Judge,
    Judged,
    Outcome,
    decide,
)
from bginv.methods.photographs.masking import Masking
from bginv.methods.photographs.phases import (
    COPIES_OF_PHASE_1,
    Chosen,
    Phase,
    repeat_phase,
    run_phase,
)
from bginv.methods.photographs.settings import IMAGE_SIZE, PhotographSettings
from bginv.nn.backbones import AUTO, LITE0
from bginv.nn.fine_tuning import split_head

Done = tuple[Phase, Chosen]
"""A phase, and what of it was kept."""
VALIDATION, TRAIN = "validation", "train"
TRAINED_ON = "images trained on"
"""Among tests, one of which may be called train."""
LOOKED_AT = 256
"""Training images whose accuracy is told, as their order is a mixed one."""


class PhotographExperiment(Experiment):
    """Trains a classifier on photographs so that it looks at objects; see `Experiment`.

    Choices between the stages are made on held-out images, so it has a `train` of its own.

    Args:
        dataset: photographs; a test named "validation" is what choices are made on.
        classifier: images to logits, trained in place.
        choice: of the masks.
        settings: see there.
        folder: of the run, which has a path.
        strategy: the devices.
        train_first: whether there is a phase 1.
        save: whether models are saved.

    Attributes:
        outcome: what a run found, when it is done.
        audit: of the first test, before and after; None where it has no masks.
    """

    name = PHOTOGRAPHS
    in_one_folder = True
    models = types.MappingProxyType({})
    stages = ()
    outcome: Outcome
    audit: RunAudit | None = None

    def __init__(
        self,
        dataset: Dataset,
        classifier: keras.Model,
        choice: Choice,
        settings: PhotographSettings,
        folder: RunFolder,
        strategy: tf.distribute.Strategy,
        train_first: bool = True,
        save: bool = True,
    ):
        super().__init__(settings, strategy, folder)
        tests = dict(dataset.tests)
        self._own_validation = tests.pop(VALIDATION, None) if len(tests) > 1 else None
        self.dataset = dataclasses.replace(dataset, tests=tests)
        self.classifier = classifier
        self._choice, self._train_first, self._save = choice, train_first, save
        share = 0.0 if self._own_validation else settings.validation
        self._rows, self._held = hold_out(dataset.train, share)

    def train(self) -> None:
        """Train, save models, measure, and decide which classifier is kept.

        Choices are made with classifiers that have not seen the held-out images. What is measured
        on the tests and saved has then been trained in the same way on those too.
        """
        logging.info("%s", told(self._estimate()))
        start = self.classifier.get_weights()
        first = self._phase1() if self._train_first else None
        train, seed = self.dataset.train, self.settings.seed
        own = dataclasses.replace(self.dataset, train=train.take(self._rows))
        masking = Masking(self._choice, self.classifier, own, seed)
        masked = masking.of(train)
        trusted = masking.trusted(masked, self.folder)
        self.audit, unmasked = self._run_audit(masking)
        train, validation = self._emptied(masked, masking)
        judge = self._judge(validation)
        before = judge.judge(self.classifier) if judge else None
        third, after = None, None
        decision = Decision(False, "its masks cannot be used")
        if trusted.usable:
            third = self._phase3(train, judge, before)
            after = judge.judge(self.classifier) if judge else None
            decision = decide(before, after, self.settings.max_clean_loss)
        some = self.dataset.train.first(LOOKED_AT).without_masks()
        looked_at = dataclasses.replace(self.dataset, train=some)
        results = Results(looked_at, self.folder, BEFORE, AFTER)
        others = dict(list(looked_at.tests.items())[1 if self.audit else 0 :])
        splits = LastLayers({TRAINED_ON: looked_at.train, **others})
        self.classifier.set_weights(start)
        if first:
            self._finish(*first)
        self._save_model("classifier")
        self._add_row(results, BEFORE, splits)
        if third and decision.kept:
            self._finish(*third)
            self._add_row(results, AFTER, splits)
        else:  # nothing has changed
            results.rows[AFTER] = results.rows[BEFORE]
        self._save_model("robust_classifier")
        self.outcome = Outcome(
            results, self._choice.reason, trusted, decision, before, after, unmasked
        )

    def report(self) -> None:
        """Write the decision and the results."""
        results = self.outcome.results
        results.headline, results.more = self.outcome.headline(), self.outcome.as_json()
        if self.audit:
            found = self.audit.result()
            results.headline += found.comparisons()
            results.more["audit"] = found.as_json()
            self.audit.write_page(self.folder.path)
        results.write()

    def _add_row(self, results: Results, name: str, splits: LastLayers) -> None:
        model, own = splits.of(self.classifier)
        train = own.pop(TRAINED_ON)
        taken = dataclasses.replace(
            results.dataset, train=train, tests=own, image_shape=train.image_shape
        )
        answers = self.audit.ask(name, self.classifier) if self.audit else {}
        results.add_row(name, model, taken, answers)

    def _estimate(self) -> dict[str, float]:
        held, tests = self._own_validation, self.dataset.tests
        counts = (
            len(self._rows),
            len(self.dataset.train) if self._refits else 0,
            len(held) if held else len(self._held),
            sum(map(len, tests.values())),
        )
        masked = [self.dataset.train, next(iter(tests.values())), *([held] if held else [])]
        source = self._choice.source
        missing = sum(count_missing(own.without_masks(), source) for own in masked if source)
        return estimated_seconds(self.classifier, self._choice, self.settings, counts, missing)

    @property
    def _refits(self) -> bool:
        """Whether there are held-out images to train on in the end."""
        return self.settings.refit and len(self._held) > 0

    def _phase1(self) -> Done:
        train = self.dataset.train.without_masks()
        held = self._own_validation or (train.take(self._held) if len(self._held) else None)
        own = self.settings
        epochs = own.classifier_epochs
        if split_head(self.classifier) is None:  # there is no other way to a first classifier
            epochs = epochs or own.epochs or 0
        phase = self._phase("classifier", train, 0.0, COPIES_OF_PHASE_1, epochs)
        judge = self._judge(held and held.without_masks())
        return phase, run_phase(phase, self.classifier, own, self.folder, judge)

    def _phase3(self, train: WithEmptied, judge: Judge | None, before: Judged | None) -> Done:
        own = self.settings
        phase = self._phase("adversarial", train, own.composites, own.copies, own.epochs or 0)
        return phase, run_phase(phase, self.classifier, own, self.folder, judge, before)

    def _phase(self, name: str, source: Source, *settings) -> Phase:
        return Phase(name, source, self._rows, self._held, *settings)

    def _finish(self, phase: Phase, chosen: Chosen) -> None:
        """Give the classifier what a phase leaves in the end."""
        if self._refits:
            repeat_phase(phase, self.classifier, self.settings, self.folder, chosen)
        else:
            self.classifier.set_weights(chosen.weights)

    def _judge(self, held: Source | None) -> Judge | None:
        return Judge(held, self.dataset.num_classes, self.settings.seed) if held else None

    def _emptied(self, masked: Found, masking: Masking) -> tuple[WithEmptied, WithEmptied | None]:
        """Training images, held-out ones among them, and validation images, with backgrounds."""
        whole = self._whole(masked, TRAIN)
        if self._own_validation:
            found = masking.of(self._own_validation)
            return whole, self._whole(found, VALIDATION) if found else None
        return whole, whole.take(self._held) if len(self._held) else None

    def _whole(self, found: Found, split: str) -> WithEmptied:
        behind = emptied(found.source, self.folder.emptied(split))
        return WithEmptied(found.source, behind, found.confidence > 0)

    def _run_audit(self, masking: Masking) -> tuple[RunAudit | None, dict[str, str]]:
        """The audit of the first test, and which of its images have no mask, and why.

        There is none where fewer than two classes show an object.
        """
        found = masking.of(next(iter(self.dataset.tests.values())))
        if found is None:
            return None, {}
        try:
            audit = RunAudit(self.dataset, found, self._choice.reason, self.settings.seed)
        except UserError as error:
            logging.warning("no audit of the test: %s", error)
            return None, found.failures
        return audit, found.failures

    def _save_model(self, name: str) -> None:
        if self._save:
            save_model(self.classifier, self.folder.path / f"{name}.keras")


class PhotographRun(PhotographExperiment):
    """What `bginv run` does with photographs: a pretrained network, and the table printed."""

    def __init__(self, settings: PhotographSettings, strategy: tf.distribute.Strategy):
        own = dataclasses.replace(
            settings,
            run_dir=settings.run_dir or default_run_dir(settings.dataset),
            image_size=settings.image_size or IMAGE_SIZE,
            architecture=LITE0 if settings.architecture == AUTO else settings.architecture,
        )
        own = of_worker(own, strategy)
        folder = RunFolder(own.run_dir, None, own.overwrite, {PHOTOGRAPHS: settings})
        dataset = load(own)
        choice = choose(own.masks, dataset)
        folder.check_inputs(inputs(dataset, masks=choice.name == GIVEN))
        with strategy.scope():
            classifier = make_classifier(own, dataset)
        super().__init__(dataset, classifier, choice, own, folder, strategy)

    def run(self) -> None:
        """See `Experiment.run`; then print the decision and the table."""
        began = time.monotonic()
        super().run()
        logging.info("all of it took %.0f s", time.monotonic() - began)
        print_table(self.folder)
