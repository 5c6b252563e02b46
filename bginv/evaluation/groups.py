"""Accuracy of each group, a class at a place (Sagawa et al. 2020): counts first, ratios second."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bginv.errors import UserError
from bginv.evaluation.intervals import (
    UNKNOWN,
    Interval,
    independent_difference,
    wilson,
)


@dataclasses.dataclass(frozen=True)
class GroupAccuracies:
    """How many pictures of each group are told right.

    A group without pictures has no accuracy: `worst` and `mean` leave it out.

    Attributes:
        names: "CLASS/PLACE" of each group.
        correct: its pictures that are told right.
        counts: its pictures.

    Raises:
        UserError: other lengths than one, no picture, or more right ones than there are.
    """

    names: tuple[str, ...]
    correct: tuple[int, ...]
    counts: tuple[int, ...]

    def __post_init__(self):
        if not len(self.names) == len(self.correct) == len(self.counts):
            raise UserError(
                f"groups need a name and two counts each; received {len(self.names)} names, "
                f"{len(self.correct)} and {len(self.counts)} counts"
            )
        pairs = zip(self.correct, self.counts, strict=True)
        if not sum(self.counts) or any(not 0 <= right <= count for right, count in pairs):
            raise UserError(
                "groups need some pictures, and no more right ones than there are; received "
                f"{self.correct} of {self.counts}"
            )

    @property
    def intervals(self) -> dict[str, Interval]:
        """Accuracy of each group by its name, with Wilson's 95 % interval; the worst first."""
        found = {
            name: Interval(right / count, *wilson(right / count, count), count)
            for name, right, count in zip(self.names, self.correct, self.counts, strict=True)
            if count
        }
        return dict(sorted(found.items(), key=lambda item: item[1].value))

    def interval(self, name: str) -> Interval:
        """Accuracy of a group; unknown where it has no picture, or is not there."""
        return self.intervals.get(name, UNKNOWN)

    @property
    def worst_name(self) -> str:
        """Name of the group with the smallest accuracy; of several the first."""
        return next(iter(self.intervals))

    @property
    def worst(self) -> float:
        """The smallest accuracy of a group."""
        return self.interval(self.worst_name).value

    @property
    def mean(self) -> float:
        """Mean over groups of their accuracies: each group counts the same."""
        values = [own.value for own in self.intervals.values()]
        return math.fsum(values) / len(values)

    def surest_difference(self, class_names: Sequence[str]) -> tuple[str, str, Interval] | None:
        """Two groups of one class, of which one is told better than the other, and by how much.

        Of all pairs, the one whose difference has the highest lower end; intervals hold for all
        pairs together. None where no class has pictures at two places.

        Args:
            class_names: what names of groups begin with.
        """
        own = self.intervals
        of_class: dict[str, list[str]] = {name: [] for name in class_names}
        for name in own:
            fits = [known for known in class_names if name.startswith(f"{known}/")]
            if fits:  # a class may be called as another one, a slash and more
                of_class[max(fits, key=len)].append(name)
        pairs = [
            (better, worse)
            for names in of_class.values()
            for place, worse in enumerate(names)  # the worst first
            for better in names[place + 1 :]
        ]
        found = [
            (better, worse, independent_difference(own[better], own[worse], len(pairs)))
            for better, worse in pairs
        ]
        return max(found, key=lambda difference: difference[2].low, default=None)

    def as_json(self) -> dict[str, Any]:
        """The figures by name, the worst group first."""
        correct = dict(zip(self.names, self.correct, strict=True))
        return {
            "worst": self.worst_name,
            "worst_accuracy": self.worst,
            "mean_of_groups": self.mean,
            "groups": {
                name: {**own.as_json("accuracy"), "correct": correct[name]}
                for name, own in self.intervals.items()
            },
        }


def groups_from_json(content: dict[str, Any]) -> GroupAccuracies:
    """What `GroupAccuracies.as_json` wrote."""
    groups = content["groups"]
    return GroupAccuracies(
        tuple(groups),
        tuple(own["correct"] for own in groups.values()),
        tuple(own["count"] for own in groups.values()),
    )


def group_numbers(labels: np.ndarray, places: np.ndarray, num_places: int) -> np.ndarray:
    """The group of each picture, int32 [N]: `label * num_places + place`.

    Args:
        labels: int [N], class numbers.
        places: int [N], from 0 to `num_places` - 1.
        num_places: of the data set.

    Raises:
        UserError: another number of places than of labels, or a place that there is not.
    """
    labels, places = np.asarray(labels), np.asarray(places)
    if labels.ndim != 1 or labels.shape != places.shape:
        raise UserError(
            "groups need one class and one place an image; received labels of shape "
            f"{labels.shape} and places of shape {places.shape}"
        )
    wrong = np.flatnonzero((places < 0) | (places >= num_places))
    if len(wrong):
        raise UserError(
            f"record {wrong[0]} has place {places[wrong[0]]}, but there are {num_places} places, "
            f"0 to {num_places - 1}"
        )
    return (labels * num_places + places).astype(np.int32)


def group_names(class_names: Sequence[str], place_names: Sequence[str]) -> tuple[str, ...]:
    """ "CLASS/PLACE" of each group number, those without pictures too."""
    return tuple(f"{own}/{place}" for own in class_names for place in place_names)


def count_groups(right: np.ndarray, groups: np.ndarray, names: Sequence[str]) -> GroupAccuracies:
    """Count right answers of each group; groups without a picture are left out.

    Args:
        right: bool [N], whether each picture is told right.
        groups: int [N], see `group_numbers`.
        names: of all groups, see `group_names`.

    Raises:
        UserError: other lengths than one, or no picture.
    """
    right, groups = np.asarray(right, bool), np.asarray(groups)
    if right.shape != groups.shape:
        raise UserError(f"{len(groups)} pictures with a group need as many answers: {len(right)}")
    counts = np.bincount(groups, minlength=len(names))
    correct = np.bincount(groups[right], minlength=len(names))
    shown = np.flatnonzero(counts)
    return GroupAccuracies(
        tuple(names[number] for number in shown),
        tuple(correct[shown].tolist()),
        tuple(counts[shown].tolist()),
    )
