"""A run on photographs: a classifier, masks, the classifier on other backgrounds, and the proof."""

import dataclasses
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.composites import WithEmptied, composite_tests
from bginv.data.emptied import emptied
from bginv.data.held_out import hold_out
from bginv.data.sources import Dataset, Source
from bginv.interop.model_files import save_model
from bginv.masks.source import MaskSource
from bginv.masks.store import Found, find_masks
from bginv.masks.trust import Trust, trust_of, verdict
from bginv.methods.photographs.judging import Decision, Judge, Judged, decide
from bginv.methods.photographs.phases import Phase, run_phase
from bginv.methods.photographs.settings import PhotographSettings
from bginv.report.strips import write_strip
from bginv.run_folder import RunFolder
from bginv.runs.results import Results

VALIDATION, TRAIN = "validation", "train"
BEFORE, AFTER = "phase 1", "phase 3"
TEST_DRAWS, CLEAN_COPIES, SHOWN_MASKS = 2, 1, 8
MakeMasks = Callable[[keras.Model, Dataset], tuple[MaskSource, str]]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run on photographs found and decided.

    Attributes:
        results: rows of accuracies, and the data set with composites among its tests.
        masks: where masks are from, and why.
        trust: measured of them.
        doubts: what speaks against them, in sentences; empty where nothing does.
        decision: whether phase 3 was kept.
        validation: accuracies on validation images, before and after.
    """

    results: Results
    masks: str
    trust: Trust
    doubts: list[str]
    decision: Decision
    validation: Mapping[str, Judged]


class PhotographRun:
    """Trains a classifier on photographs so that it looks at objects.

    Args:
        dataset: photographs; a test named "validation" is what choices are made on.
        classifier: images to logits, trained in place.
        make_masks: gives the source of masks and the reason for it, once phase 1 is done.
        settings: see there.
        folder: of the run, which has a path.
        train_first: whether there is a phase 1.
        save: whether models are saved.
    """

    def __init__(
        self,
        dataset: Dataset,
        classifier: keras.Model,
        make_masks: MakeMasks,
        settings: PhotographSettings,
        folder: RunFolder,
        train_first: bool = True,
        save: bool = True,
    ):
        tests = dict(dataset.tests)
        self._own_validation = tests.pop(VALIDATION, None) if len(tests) > 1 else None
        self.dataset = dataclasses.replace(dataset, tests=tests)
        self.classifier, self.settings, self.folder = classifier, settings, folder
        self._make_masks, self._train_first, self._save = make_masks, train_first, save
        share = 0.0 if self._own_validation else settings.validation
        self._rows, self._held = hold_out(dataset.train, share)

    def run(self) -> Outcome:
        """Train, save models, measure, and decide which classifier is kept."""
        if self._train_first:
            self._phase1()
        self._save_model("classifier")
        source, reason = self._make_masks(self.classifier, self.dataset)
        logging.info("masks: %s", reason)
        found = find_masks(self.dataset.train, source)
        trust = trust_of(found)
        usable, doubts = verdict(trust)
        train, validation = self._emptied(found.source)
        results = Results(self._with_composites(source), self.folder, BEFORE, AFTER)
        results.add_row(BEFORE, self.classifier)
        judge = self._judge(validation)
        before = judge.judge(self.classifier) if judge else None
        if usable:
            decision, after = self._phase3(train, judge, before)
        else:
            decision, after = Decision(False, f"masks cannot be used: {doubts[0]}"), before
        self._save_model("robust_classifier")
        if decision.kept:
            results.add_row(AFTER, self.classifier)
        else:
            results.rows[AFTER] = results.rows[BEFORE]
        judged = {BEFORE: before, AFTER: after} if before else {}
        return Outcome(results, reason, trust, doubts, decision, judged)

    def _phase1(self) -> None:
        train = self.dataset.train.without_masks()
        held = self._own_validation or (train.take(self._held) if len(self._held) else None)
        own = self.settings
        phase = Phase(
            "classifier", train.take(self._rows), 0.0, CLEAN_COPIES, own.classifier_epochs
        )
        run_phase(phase, self.classifier, own, self.folder, self._judge(held), 0.0)

    def _phase3(
        self, train: WithEmptied, judge: Judge | None, before: Judged | None
    ) -> tuple[Decision, Judged | None]:
        own = self.settings
        floor = before.clean - own.max_clean_loss / 100 if before else 0.0
        start = self.classifier.get_weights()
        phase = Phase("adversarial", train, own.composites, own.copies, own.epochs or 0)
        run_phase(phase, self.classifier, own, self.folder, judge, floor)
        if judge is None or before is None:
            return Decision(True, "nothing was held out to judge it by (--validation 0)"), None
        after = judge.judge(self.classifier)
        decision = decide(before, after, own.max_clean_loss)
        if not decision.kept:
            self.classifier.set_weights(start)
        return decision, after

    def _judge(self, held: Source | None) -> Judge | None:
        return held and Judge(held, self.dataset.num_classes, self.settings.seed)

    def _emptied(self, masked: Source) -> tuple[WithEmptied, WithEmptied | Source | None]:
        """Training and validation images with masks and backgrounds."""
        whole = WithEmptied(masked, emptied(masked, self.folder.emptied(TRAIN)))
        validation = whole.take(self._held) if len(self._held) else self._own_validation
        return whole.take(self._rows), validation

    def _with_composites(self, source: MaskSource) -> Dataset:
        """The data set, the first test's objects on other backgrounds before its own tests."""
        name, first = next(iter(self.dataset.tests.items()))
        masked = find_masks(first, source).source
        whole = WithEmptied(masked, emptied(masked, self.folder.emptied(name)))
        made = composite_tests(whole, self.dataset.num_classes, TEST_DRAWS, self.settings.seed)
        new = {own: test for own, test in made.items() if own not in self.dataset.tests}
        return dataclasses.replace(self.dataset, tests={**self.dataset.tests, **new})

    def _save_model(self, name: str) -> None:
        if self._save:
            save_model(self.classifier, self.folder.path / f"{name}.keras")


def write_mask_strips(found: Found, folder: RunFolder) -> None:
    """Pictures of a few images with their masks, the least certain first."""
    rows = np.argsort(found.confidence, kind="stable")
    rows = rows[np.linspace(0, len(rows) - 1, min(SHOWN_MASKS, len(rows)), dtype=int)]
    records = found.source.gather(tf.constant(rows, tf.int64))
    images, masks = records["image"].numpy(), records["mask"].numpy()
    binary = (masks > 0.5).astype(np.float32)
    for kind, own in (("image", images), ("soft", masks), ("binary", binary)):
        write_strip(folder.strips / f"masks_{kind}.png", own)
