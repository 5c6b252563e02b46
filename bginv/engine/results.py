"""The results of a run: accuracies, mistakes, noises, time and memory, in `results.json`."""

import pathlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl import logging

import bginv
from bginv.data.catalog import noise_tests
from bginv.data.sources import Dataset, take_in_memory
from bginv.engine.common_settings import ClassifierTrainingSettings, PhaseSettings
from bginv.engine.loop import last_epoch
from bginv.engine.run_folder import METRICS, RESULTS, RunFolder
from bginv.errors import UserError
from bginv.evaluation.accuracy import (
    ACCURACY,
    Accuracies,
    Predictions,
    count_correct,
    evaluate_accuracy,
    groups_of,
    predict,
)
from bginv.evaluation.groups import GroupAccuracies
from bginv.output_files import write_text
from bginv.report.groups import group_tables
from bginv.report.metrics import EVENTS, log_pictures, put_evaluation, training_seconds
from bginv.report.pictures import write_strip
from bginv.report.run_page import write_report
from bginv.report.same_pictures import SamePictures
from bginv.report.tables import accuracy_table, json_results, published_rows

try:
    import resource
except ImportError:  # there is none on Windows
    resource = None  # type: ignore[assignment]

NUM_MISTAKES = 8
MOST_CLASSES = 50
"""Of a confusion matrix that is kept."""


class KnownAnswers(NamedTuple):
    """What a classifier was found to answer on a test.

    Attributes:
        predictions: its classes.
        images: rows of the test, int [M], to images uint8 [M, H, W, C].
        same: int [N], of which record of the first test each answer is; None where there is none.
    """

    predictions: Predictions
    images: Callable[[np.ndarray], np.ndarray]
    same: np.ndarray | None = None


class Results:
    """Rows of accuracies, and what a report shows beside them.

    Args:
        dataset: its tests.
        folder: of the run.
        before: name of the row of the classifier before phase 3.
        after: and after it.

    Attributes:
        rows: by name.
        headline: sentences that come before the table, on the page and in `results.md`.
        more: what else `results.json` holds.
        model: what the classifier is called, for titles.
    """

    def __init__(
        self,
        dataset: Dataset,
        folder: RunFolder,
        before: str = "Traditional",
        after: str = "Proposal",
    ):
        self.dataset, self.folder, self.before, self.after = dataset, folder, before, after
        self.rows: dict[str, Accuracies] = {}
        self.headline: list[str] = []
        self.more: dict[str, Any] = {}
        self.model = ""
        self._confusion: dict[str, dict[str, list]] = {}
        self._mistakes: dict[str, list[dict[str, Any]]] = {}
        self._noises: dict[str, dict[str, float]] = {}
        self._answers: Mapping[str, KnownAnswers] = {}
        self._same: SamePictures | None = None

    def add_row(
        self,
        name: str,
        classifier: keras.Model,
        dataset: Dataset | None = None,
        answers: Mapping[str, KnownAnswers] = types.MappingProxyType({}),
    ) -> Accuracies:
        """Evaluate a classifier; its most confident mistakes take the place of those before.

        Args:
            name: of the row.
            classifier: images to logits.
            dataset: the same records as this classifier takes them, where those are no images.
            answers: what is known of tests, the data set's or further ones.
        """
        dataset = dataset or self.dataset
        self.model = self.model or classifier.name
        if dataset.regression or dataset.multi_label:
            self.rows[name] = evaluate_accuracy(classifier, dataset)
        else:
            noisy = noise_tests(dataset)
            left = {test: own for test, own in dataset.tests.items() if test not in answers}
            found = dict(zip(left, predict(classifier, left.values()), strict=True))
            found |= {test: own.predictions for test, own in answers.items()}
            order = dict.fromkeys((*self.dataset.tests, *found))
            found = {test: found[test] for test in order}

            counted = {"train": dataset.train, **noisy}
            counts = count_correct(classifier, counted.values())
            train, *noises = (
                count / len(own) for own, count in zip(counted.values(), counts, strict=True)
            )
            tests = {test: own.accuracy for test, own in found.items()}
            self.rows[name] = Accuracies(tests, train, groups=self._groups(found))
            self._keep(name, found, answers)
            self._noises[name] = dict(zip(noisy, noises, strict=True))
        row = self.rows[name]
        values = {"measure": row.measure, "train": row.train, "tests": dict(row.tests)}
        put_evaluation(self._path / METRICS, name, values)
        return row

    def table(self) -> str:
        """The paper's table, with its own rows where it has some; then those of groups."""
        rows = {**self.rows, **self._published()}
        return "\n".join(map(str, [accuracy_table(rows), *group_tables(self.rows)]))

    def write(self) -> None:
        """Write `results.json`, and the table last: with it the run is finished."""
        path = self._path
        versions = {
            "bginv": bginv.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }
        results = json_results(
            {**self.rows, **self._published()},
            dataset=self.dataset.name,
            measure=next(iter(self.rows.values())).measure,
            image_shape=self.dataset.image_shape,
            class_names=self.dataset.class_names,
            training_seconds=training_seconds(self._path / METRICS),
            peak_memory_bytes=peak_memory(),
            versions=versions,
            noises=self._noises,
            confusion=self._confusion,
            mistakes=self._mistakes,
            same_pictures=self._same.as_json() if self._same else {},
            model=self.model,
            headline=self.headline,
            **self.more,
        )
        write_text(path / "results.json", results)
        lines = "".join(f"{sentence}\n" for sentence in self.headline)
        write_text(path / RESULTS, f"{lines}\n{self.table()}" if lines else self.table())

    @property
    def _path(self) -> pathlib.Path:
        if self.folder.path is None:
            raise UserError("a run without a folder has no results")
        return self.folder.path

    def _groups(self, found: Mapping[str, Predictions]) -> dict[str, GroupAccuracies]:
        """Accuracies by group, of answers that are about a test's records in their order."""
        groups: dict[str, GroupAccuracies] = {}
        for test, source in self.dataset.tests.items():
            own = found[test]
            if np.array_equal(own.labels, source.labels):
                counted = groups_of(own.labels == own.predicted, source, self.dataset)
                groups |= {test: counted} if counted else {}
        return groups

    def _published(self) -> dict[str, Accuracies]:
        measure = next(iter(self.rows.values())).measure
        return published_rows(self.dataset.name) if measure == ACCURACY else {}

    def _keep(
        self, row: str, found: Mapping[str, Predictions], answers: Mapping[str, KnownAnswers]
    ) -> None:
        self._confusion[row] = {
            test: own.confusion.counts.tolist()
            for test, own in found.items()
            if own.num_classes <= MOST_CLASSES
        }
        self._answers = answers
        if self._same is None:
            self._same = SamePictures(self.folder.strips, self._class_name, self._images)
        self._same.add(row, found, self._same_records(found))
        for number, (test, own) in enumerate(found.items()):
            rows = own.mistakes(NUM_MISTAKES)
            file = f"mistakes_{number:02}.png"
            self._mistakes[test] = [
                {
                    "file": file,
                    "true": self.dataset.class_names[own.labels[i]],
                    "predicted": self._class_name(own.predicted[i]),
                    "confidence": round(float(own.confidence[i]), 4),
                }
                for i in rows
            ]
            if len(rows):
                write_strip(self.folder.strips / file, self._images(test, rows) / np.float32(255))

    def _images(self, test: str, rows: np.ndarray) -> np.ndarray:
        if test in self._answers:
            return self._answers[test].images(rows)
        return take_in_memory(self.dataset.tests[test].without_masks(), rows).images

    def _same_records(self, found: Mapping[str, Predictions]) -> dict[str, np.ndarray]:
        """By test: of which record of the first test each answer is, where that is known.

        Tests that are made of one another, such as those with backgrounds injected, share labels.
        """
        labels = {test: own.labels for test, own in self.dataset.tests.items()}
        first = next(iter(labels))
        same = {
            test: np.arange(len(own))
            for test, own in labels.items()
            if np.shares_memory(own, labels[first]) and len(own) == len(found[test].labels)
        }
        known = {test: own.same for test, own in self._answers.items() if own.same is not None}
        return same | known

    def _class_name(self, label: int) -> str:
        """A classifier may know more classes than the data has."""
        names = self.dataset.class_names
        return names[label] if label < len(names) else "another class"


def write_page(folder: pathlib.Path) -> None:
    """Write the report of a run, and its pictures for TensorBoard where losses are there for it."""
    write_report(folder)
    if (folder / EVENTS).is_dir():
        log_pictures(folder)


def peak_memory() -> int | None:
    """The most memory that this process has had, in bytes; None where that is not known."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def on_evaluated_epochs(
    call: Callable[[int], None], every: int, settings: PhaseSettings, num_records: int
) -> Callable[[int], None]:
    """What calls that with the last epoch's number and, unless it is 0, every so many-th."""
    last = last_epoch(settings, num_records)

    def after_epoch(epoch: int) -> None:
        if epoch == last or (every and epoch % every == 0):
            call(epoch)

    return after_epoch


def evaluation_of_epochs(
    classifier: keras.Model, dataset: Dataset, settings: ClassifierTrainingSettings
) -> Callable[[int], None] | None:
    """What evaluates a classifier after an epoch, or None."""
    if not settings.evaluate_every:
        return None
    last = last_epoch(settings, len(dataset.train))

    def evaluate(epoch: int) -> None:
        # the last epoch is evaluated by the command, which prints its accuracy
        if epoch % settings.evaluate_every == 0 and epoch != last:
            evaluate_and_log(classifier, dataset)

    return evaluate


def evaluate_and_log(classifier: keras.Model, dataset: Dataset, part: str = "") -> Accuracies:
    """Evaluate a classifier, or a part of one with a name, on everything, and tell it."""
    accuracies = evaluate_accuracy(classifier, dataset)
    log_accuracies(accuracies, part)
    return accuracies


def log_accuracies(accuracies: Accuracies, part: str = "") -> None:
    """Tell the accuracies of a classifier, or of a part of one with a name."""
    tests = ", ".join(f"{name} {value:.4f}" for name, value in accuracies.tests.items())
    measure = accuracies.measure[0].upper() + accuracies.measure[1:]
    name = f"{measure} of the {part}" if part else measure
    logging.info("%s - train: %.4f, test: %s", name, accuracies.train, tests)
    for test, groups in accuracies.groups.items():
        worst = groups.interval(groups.worst_name)
        logging.info(
            "%s of groups of %s - worst: %.4f (%s, %d images), mean: %.4f",
            *(name, test, worst.value, groups.worst_name, worst.count, groups.mean),
        )
