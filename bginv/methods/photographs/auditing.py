"""The audit of a run on photographs: its classifier before and after, on the first test."""

import pathlib

import keras
import numpy as np

from bginv.auditing.classes import OTHER, Matching
from bginv.auditing.diagnosis import Diagnosis, Plan
from bginv.auditing.models import AuditedModel
from bginv.auditing.result import AuditResult, MaskReport, ModelAudit
from bginv.auditing.variants import (
    CLEAN,
    MIXED_RAND,
    MIXED_SAME,
    NO_FG,
    ONLY_BG,
    ONLY_FG,
    CutPictures,
)
from bginv.data.sources import Dataset
from bginv.engine.results import KnownAnswers
from bginv.evaluation.accuracy import Predictions
from bginv.interop.classifiers import Classifier
from bginv.masks.store import Found
from bginv.masks.trust import measure_source, verdict
from bginv.nn.inference import compiled
from bginv.nn.pixel_range import ASSUMED, UNIT, PixelRange

PAGE = "audit.html"
DRAWS = 2
TESTS = (CLEAN, ONLY_FG, NO_FG, ONLY_BG, MIXED_SAME, MIXED_RAND)
SHOWN = (MIXED_SAME, MIXED_RAND, ONLY_FG)
"""Tests that get a column of the run's table beside the data's own."""


class RunAudit:
    """An audit of one classifier at several times.

    Args:
        dataset: its first test is looked at.
        found: that test with masks.
        reason: where masks are from, and why.
        seed: of the choice of donors.

    Raises:
        UserError: fewer than two classes have pictures with an object.
    """

    def __init__(self, dataset: Dataset, found: Found, reason: str, seed: int):
        self._dataset, self._test = dataset, next(iter(dataset.tests))
        trust = measure_source(found.source, found.confidence == 0, found.confidence)
        masks = MaskReport(reason, trust, *verdict(trust), found.failures)
        pictures = CutPictures(found.source, found.confidence > 0)
        plan = Plan(DRAWS, TESTS, seed, with_gradients=False)
        title = f"{dataset.name}, {self._test}"
        self._diagnosis = Diagnosis(
            pictures,
            dataset.class_names,
            masks,
            title,
            plan,
            place_names=dataset.place_names,
        )

    def ask(self, name: str, classifier: keras.Model) -> dict[str, KnownAnswers]:
        """Audit a classifier as it is now; its answers, for the run's table and its pictures.

        Args:
            name: of the row.
            classifier: images in [0, 1] to logits.
        """
        outputs = classifier.output_shape[-1]
        numbers = np.arange(outputs)
        classes = np.where(numbers < self._dataset.num_classes, numbers, OTHER)
        model = AuditedModel(
            name,
            Classifier(compiled(classifier), num_classes=outputs, model=classifier),
            outputs,
            Matching(classes, "as it was trained"),
            PixelRange(*UNIT, ASSUMED, "as it was trained"),
        )
        audited = self._diagnosis.ask(model)
        taken = {test: test for test in SHOWN if test not in self._dataset.tests}
        return {
            shown: self._answers(audited, test)
            for shown, test in {self._test: CLEAN, **taken}.items()
        }

    def result(self) -> AuditResult:
        """Everything that was found."""
        return self._diagnosis.result()

    def write_page(self, folder: pathlib.Path) -> None:
        """Write the page into the folder of the run."""
        self.result().write_page(folder / PAGE)

    def _answers(self, audited: ModelAudit, test: str) -> KnownAnswers:
        scored, pictures = audited.scored, self._diagnosis.pictures
        draws = scored.classes[test].shape[1]
        rows = np.tile(scored.rows[test], draws)
        known, classes = self._dataset.num_classes, scored.classes[test].T.ravel()
        donors = scored.donors[test].T.ravel() if test in scored.donors else rows

        def images(places: np.ndarray) -> np.ndarray:
            return pictures.show(test, rows[places], donors[places])

        return KnownAnswers(
            Predictions(
                scored.labels[rows],
                np.where(classes == OTHER, known, classes),
                scored.confidence[test].T.ravel(),
                known + bool((classes == OTHER).any()),
            ),
            images,
            rows,
        )
