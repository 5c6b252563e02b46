"""A run on photographs: a classifier, masks, the classifier on other backgrounds, and the proof."""

import functools
import time
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.composites import WithEmptied
from bginv.data.sources import Dataset, Source
from bginv.engine.callbacks import Watch
from bginv.engine.experiment import print_table
from bginv.engine.results import Results
from bginv.engine.run_folder import RunFolder
from bginv.errors import UserError
from bginv.evaluation.groups import group_numbers
from bginv.masks.choice import GIVEN, Choice
from bginv.masks.store import Found, count_missing
from bginv.methods.background_invariance.settings import PHOTOGRAPHS
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
from bginv.methods.photographs.measured import TRAIN, VALIDATION, MeasuredRun, begin
from bginv.methods.photographs.phases import (
    Chosen,
    Phase,
    repeat_phase,
    run_phase,
)
from bginv.methods.photographs.settings import BALANCES, PhotographSettings, check_photographs
from bginv.nn.fine_tuning import split_head

Done = tuple[Phase, Chosen]
"""A phase, and what of it was kept."""


class PhotographExperiment(MeasuredRun):
    """Trains a classifier on photographs so that it looks at objects; see `MeasuredRun`.

    Choices between the stages are made on held-out images, so it has a `train` of its own.

    Args:
        dataset: see `MeasuredRun`.
        classifier: see there.
        choice: see there.
        settings: see there.
        folder: see there.
        strategy: see there.
        train_first: whether there is a phase 1.
        save: whether models are saved.

    Raises:
        UserError: see `check_photographs`.

    Attributes:
        outcome: what a run found, when it is done.
        watches: who is told of the epochs of "classifier" and "adversarial", by phase.
        held_out: the images that choices are made on; None where there are none.
    """

    name = PHOTOGRAPHS
    outcome: Outcome

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
        check_photographs(settings)
        super().__init__(dataset, classifier, choice, settings, folder, strategy, save)
        self.watches: Mapping[str, Watch] = {}
        self._train_first = train_first
        self._trained_on, self._trained_later = (
            balanced(dataset, rows, settings.balance) for rows in (self._rows, self._held)
        )

    def train(self) -> None:
        """Train, save models, measure, and decide which classifier is kept.

        Choices are made with classifiers that have not seen the held-out images. What is measured
        on the tests and saved has then been trained in the same way on those too.
        """
        logging.info("%s", told(self._estimated))
        start = self.classifier.get_weights()
        first = self._phase1() if self._train_first else None
        masking = self._masking()
        masked = masking.of(self.dataset.train)
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
        looked_at = self._looked_at()
        results, splits = Results(looked_at, self.folder, BEFORE, AFTER), self._splits(looked_at)
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
        self._write_results(results)

    def expected(self) -> dict[str, float]:
        """See `Experiment.expected`; the estimate in the order of `train`."""
        own, seconds = self.settings, self._estimated
        clean = own.classifier_epochs if self._train_first else 0
        first, again = len(self._rows), len(self.dataset.train) if self._refits else 0
        passes = ((own.epochs or 0) + clean) * (first + again)
        each = seconds["the whole network"] / passes if passes else 0.0
        return {
            "first layer": seconds["new last layers"] / 2,
            "classifier": each * clean * first,
            "masks": seconds["masks"],
            "second layer": seconds["new last layers"] / 2,
            "adversarial": each * (own.epochs or 0) * first,
            "validation": seconds["validation"],
            "classifier_on_all": each * clean * again,
            "adversarial_on_all": each * (own.epochs or 0) * again,
            "tests": seconds["tests"],
        }

    @functools.cached_property
    def _estimated(self) -> dict[str, float]:
        held, tests = self._own_validation, self.dataset.tests
        counts = (
            len(self._rows),
            len(self.dataset.train) if self._refits else 0,
            len(held) if held else len(self._held),
            sum(map(len, tests.values())),
        )
        missing, source = 0, self._choice.source
        if source:
            asked = [(self.dataset.train, source), (next(iter(tests.values())), source.exact)]
            asked += [(held, source)] if held else []
            missing = sum(count_missing(own.without_masks(), which) for own, which in asked)
        return estimated_seconds(self.classifier, self._choice, self.settings, counts, missing)

    @property
    def _refits(self) -> bool:
        """Whether there are held-out images to train on in the end."""
        return self.settings.refit and len(self._held) > 0

    @property
    def held_out(self) -> Source | None:
        """See the class."""
        held = self.dataset.train.take(self._held) if len(self._held) else None
        return self._own_validation or held

    def _judges_by(self, validation: Source, choice: Choice) -> bool:
        """See `MeasuredRun`; without masks, it tells nothing of other backgrounds."""
        if choice.name != GIVEN or validation.has_masks:
            return True
        logging.warning(
            "the validation images have no masks, and those of the training images are given: "
            "choices are made on a share of the training images, and these are one more test"
        )
        return False

    def _phase1(self) -> Done:
        train, held = self.dataset.train.without_masks(), self.held_out
        own = self.settings
        epochs = own.classifier_epochs
        if split_head(self.classifier) is None:  # there is no other way to a first classifier
            epochs = epochs or own.epochs or 0
        phase = self._phase("classifier", train, 0.0, 0, epochs)
        judge = self._judge(held and held.without_masks())
        return phase, run_phase(phase, self.classifier, own, self.folder, judge)

    def _phase3(self, train: WithEmptied, judge: Judge | None, before: Judged | None) -> Done:
        own = self.settings
        phase = self._phase(
            "adversarial", train, own.composites, own.copies or None, own.epochs or 0
        )
        return phase, run_phase(phase, self.classifier, own, self.folder, judge, before)

    def _phase(self, name: str, source: Source, *settings) -> Phase:
        rows = (self._trained_on, self._trained_later)
        return Phase(name, source, *rows, *settings, watch=self.watches.get(name))

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


def balanced(dataset: Dataset, rows: np.ndarray, balance: str) -> np.ndarray:
    """Rows of training images, those of small classes or groups repeated, int [M].

    Args:
        dataset: its training images.
        rows: int [N].
        balance: one of `BALANCES`, each of which then comes as often as the largest; or "none".

    Raises:
        UserError: "groups", and places are not known.
    """
    train = dataset.train
    if balance not in BALANCES or not len(rows):
        return rows
    if balance == BALANCES[0]:
        kinds = train.labels[rows]
    elif train.places is None:
        raise UserError(
            f"--balance groups needs the place of each picture, and {dataset.name} has none: "
            "waterbirds:PATH, folders PATH/train/CLASS/PLACE, or --groups FILE.csv"
        )
    else:
        kinds = group_numbers(train.labels, train.places, len(dataset.place_names))[rows]
    members = [rows[kinds == own] for own in np.unique(kinds)]
    return np.concatenate([np.resize(own, max(map(len, members))) for own in members])


class PhotographRun(PhotographExperiment):
    """What `bginv run` does with photographs: a pretrained network, and the table printed."""

    def __init__(self, settings: PhotographSettings, strategy: tf.distribute.Strategy):
        super().__init__(*begin(settings, PHOTOGRAPHS, strategy))

    def run(self) -> None:
        """See `Experiment.run`; then print the decision and the table."""
        began = time.monotonic()
        super().run()
        logging.info("all of it took %.0f s", time.monotonic() - began)
        print_table(self.folder, self.settings)
