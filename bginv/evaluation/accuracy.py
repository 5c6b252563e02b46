"""How well a model does on every test of a data set: counts first, ratios second."""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from bginv.data.sources import Dataset, Source
from bginv.evaluation.attention import mean_auroc
from bginv.evaluation.calibration import collect_all_logits, probabilities
from bginv.evaluation.groups import GroupAccuracies, count_groups, group_names, group_numbers
from bginv.evaluation.segmentation import Confusion, count_confusion
from bginv.nn.inference import compiled

SAME_PLACES = (
    *("clean", "test", "original", "validation", "valid", "val", "dev", "holdout", "rest"),
    *("id_test", "id_val"),
)
NO_OBJECTS = "background_only"
"""A test where one can only guess."""


def is_same_place(test: str) -> bool:
    """Whether a test shows the places of the training images, as its name tells: Test, val, ..."""
    return test.casefold().strip() in SAME_PLACES


ACCURACY, AUROC, ERROR = "accuracy", "mean AUROC", "mean absolute error"


def count_correct(classifier: keras.Model, sources: Iterable[Source]) -> list[int]:
    """Number of records of each source whose largest logit is that of their label.

    Args:
        classifier: images to logits.
        sources: labelled images.
    """
    return [int(right.sum()) for right in right_answers(classifier, sources)]


def right_answers(classifier: keras.Model, sources: Iterable[Source]) -> list[np.ndarray]:
    """Whether the largest logit of each record is that of its label: bool [N] of each source.

    Args:
        classifier: images to logits.
        sources: labelled images.
    """
    images = [source.without_masks() for source in sources]
    found = collect_all_logits(classifier, images, np.float32)
    return [logits.argmax(1) == labels for logits, labels in found]


def groups_of(right: np.ndarray, source: Source, dataset: Dataset) -> GroupAccuracies | None:
    """Right answers by group; None where the records have no places.

    Args:
        right: bool [N], whether each record is told right.
        source: a split.
        dataset: of the split, for the names of classes and places.
    """
    if source.places is None:
        return None
    numbers = group_numbers(source.labels, source.places, len(dataset.place_names))
    return count_groups(right, numbers, group_names(dataset.class_names, dataset.place_names))


def mean_absolute_errors(model: keras.Model, sources: Iterable[Source]) -> list[float]:
    """Mean distance of a model's outputs from the numbers that each source has for labels."""
    means = []
    for source in sources:
        batches = source.without_masks().batches(source.pass_batch)
        run = compiled(model, source.image_shape)
        found = np.concatenate([run(batch["image"]) for batch in batches])
        means.append(float(np.abs(found.reshape(source.labels.shape) - source.labels).mean()))
    return means


@dataclasses.dataclass(frozen=True)
class Accuracies:
    """Accuracies in [0, 1], or what else tells how well a model does.

    Attributes:
        tests: by the test's name, in the data set's order.
        train: on the training split, without augmentation; None if it was not looked at.
        measure: "accuracy"; of images with several classes "mean AUROC"; of a regressor "mean
            absolute error".
        groups: by the test's name, where its images have places.
    """

    tests: Mapping[str, float]
    train: float | None = None
    measure: str = ACCURACY
    groups: Mapping[str, GroupAccuracies] = dataclasses.field(default_factory=dict)

    @property
    def mean_background(self) -> float | None:
        """Mean over tests of objects on other backgrounds; None where there is none."""
        backgrounds = [
            value
            for name, value in self.tests.items()
            if name != NO_OBJECTS and not is_same_place(name)
        ]
        return statistics.fmean(backgrounds) if backgrounds else None

    def line(self) -> str:
        """The paper code's last line: training accuracy, then each test's, with commas."""
        return ",".join(map(str, [self.train, *self.tests.values()]))


def evaluate_accuracy(
    classifier: keras.Model, dataset: Dataset, with_train: bool = True
) -> Accuracies:
    """How well a model does on every test and, if asked for, on the training split.

    Args:
        classifier: images to logits, or to the numbers that are labels.
        dataset: its splits.
        with_train: look at the training split too.
    """
    splits = [*dataset.tests.values(), *([dataset.train] if with_train else [])]
    measure, groups = ACCURACY, {}
    if dataset.multi_label:
        measure, ratios = AUROC, mean_auroc(classifier, splits)
    elif dataset.regression:
        measure, ratios = ERROR, mean_absolute_errors(classifier, splits)
    else:
        answers = right_answers(classifier, splits)
        ratios = [int(right.sum()) / len(right) for right in answers]
        tested = zip(dataset.tests.items(), answers, strict=False)
        found = {name: groups_of(right, split, dataset) for (name, split), right in tested}
        groups = {name: own for name, own in found.items() if own}
    return Accuracies(
        tests=dict(zip(dataset.tests, ratios, strict=False)),
        train=ratios[-1] if with_train else None,
        measure=measure,
        groups=groups,
    )


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The class that a classifier gives to each image.

    Attributes:
        labels: int [N].
        predicted: int [N].
        confidence: float [N], the softmax probability of the predicted class.
        num_classes: K.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    num_classes: int

    @property
    def accuracy(self) -> float:
        """Share of images whose class is predicted."""
        return float((self.labels == self.predicted).mean())

    @property
    def confusion(self) -> Confusion:
        """Images by true and predicted class."""
        return count_confusion(self.labels, self.predicted, self.num_classes)

    def mistakes(self, count: int) -> np.ndarray:
        """Rows of the most confident mistakes, the most confident first: int [at most `count`]."""
        wrong = np.flatnonzero(self.labels != self.predicted)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:count]


def predict(classifier: keras.Model, sources: Iterable[Source]) -> list[Predictions]:
    """Predictions of a classifier on each source.

    Args:
        classifier: images to logits.
        sources: labelled images.
    """
    found = []
    for logits, labels in collect_all_logits(classifier, (own.without_masks() for own in sources)):
        shares = probabilities(logits)
        found.append(
            Predictions(labels, shares.argmax(-1), shares.max(-1), num_classes=shares.shape[-1])
        )
    return found
