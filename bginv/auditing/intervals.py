"""Shares and their differences, with intervals that hold for pictures that share backgrounds.

An answer belongs to a picture and, on another background, to the picture that lends it. Answers
that share a picture are not independent, so variances are summed over all pairs of answers that do
(Aronow, Samii and Assenova 2015, cluster-robust variance of dyads). Intervals of shares are
Wilson's (1927) with the number of independent answers that such a variance stands for; those of
differences are put together from them and from the correlation (Zou and Donner 2008). Both hold in
small samples and near 0 and 1, where the percentiles of a bootstrap do not.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import scipy.special

from bginv.evaluation.intervals import UNKNOWN, Interval, Z, wilson

CONFIDENCE = 0.975
"""Of each side of a 95 % interval."""


@dataclasses.dataclass(frozen=True)
class Answers:
    """Whether answers are right, and which pictures they are about.

    Attributes:
        right: float [N, D] of 0 and 1, of picture n on its d-th background.
        pictures: int [N], the pictures' numbers.
        donors: int [N, D], the numbers of the pictures that lend the backgrounds; None where each
            picture has its own.
    """

    right: np.ndarray
    pictures: np.ndarray
    donors: np.ndarray | None = None

    @property
    def mean(self) -> float:
        """Share of right answers."""
        return float(self.right.mean()) if self.right.size else math.nan

    def of(self, chosen: np.ndarray) -> "Answers":
        """Those of some pictures, bool [N]."""
        donors = None if self.donors is None else self.donors[chosen]
        return Answers(self.right[chosen], self.pictures[chosen], donors)

    def influences(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each answer adds to the deviation of the mean, its picture and its donor."""
        values = (self.right - self.right.mean()) / self.right.size
        pictures = np.broadcast_to(self.pictures[:, None], values.shape)
        donors = pictures if self.donors is None else self.donors
        return values.ravel(), pictures.ravel(), donors.ravel()


def variance(parts: Sequence[tuple[float, Answers]]) -> float:
    """Variance of a sum of means, each with a factor.

    Args:
        parts: factors and answers, all about the same pictures.
    """
    found = [(factor, *answers.influences()) for factor, answers in parts]
    values = np.concatenate([factor * own for factor, own, _, _ in found])
    pictures = np.concatenate([own for _, _, own, _ in found])
    donors = np.concatenate([own for _, _, _, own in found])
    nodes = int(max(pictures.max(), donors.max())) + 1
    apart = pictures != donors
    sums = np.bincount(pictures, values, nodes)
    own_variance = float((sums**2).sum())
    sums += np.bincount(donors[apart], values[apart], nodes)
    # a pair of answers about the same two pictures was counted for both
    low, high = np.minimum(pictures, donors)[apart], np.maximum(pictures, donors)[apart]
    _, dyads = np.unique(low.astype(np.int64) * nodes + high, return_inverse=True)
    twice = np.bincount(dyads, values[apart]) if len(dyads) else np.zeros(1)
    count = max(len(np.unique(pictures)), 2)
    few = float(scipy.special.stdtrit(count - 1, CONFIDENCE)) / Z  # Student's, as it is estimated
    scale = count / (count - 1) * few**2
    return max(float((sums**2).sum() - (twice**2).sum()), own_variance) * scale


def share_of(answers: Answers) -> Interval:
    """The share of right answers."""
    count = len(answers.pictures)
    if not count:
        return UNKNOWN
    return Interval(answers.mean, *wilson(answers.mean, _trials(answers)), count)


def difference(one: Answers, other: Answers) -> Interval:
    """The share of right answers of one minus that of another, about the same pictures."""
    count = len(one.pictures)
    if not count:
        return UNKNOWN
    shares, trials = (one.mean, other.mean), (_trials(one), _trials(other))
    ends = [wilson(*pair) for pair in zip(shares, trials, strict=True)]
    below = [share - low for share, (low, _) in zip(shares, ends, strict=True)]
    above = [high - share for share, (_, high) in zip(shares, ends, strict=True)]
    variances = variance([(1.0, one)]), variance([(1.0, other)])
    together = variance([(1.0, one), (-1.0, other)])
    product = math.sqrt(variances[0] * variances[1])
    correlation = (sum(variances) - together) / (2 * product) if product > 0 else 0.0
    correlation = min(1.0, max(-1.0, correlation))
    down = below[0] ** 2 + above[1] ** 2 - 2 * correlation * below[0] * above[1]
    up = above[0] ** 2 + below[1] ** 2 - 2 * correlation * above[0] * below[1]
    value = shares[0] - shares[1]
    return Interval(
        value,
        max(-1.0, value - math.sqrt(max(down, 0.0))),
        min(1.0, value + math.sqrt(max(up, 0.0))),
        count,
    )


def difference_of_sums(parts: Sequence[tuple[float, Answers]]) -> Interval:
    """A sum of means, each with a factor, about the same pictures; by its variance alone."""
    count = len(parts[0][1].pictures)
    if not count:
        return UNKNOWN
    value = sum(factor * answers.mean for factor, answers in parts)
    half = Z * math.sqrt(variance(parts))
    return Interval(value, value - half, value + half, count)


def _trials(answers: Answers) -> float:
    """How many independent answers would leave a share as uncertain as these do."""
    share, pictures = answers.mean, len(answers.pictures)
    if answers.donors is None or not 0 < share < 1:
        return pictures
    found = variance([(1.0, answers)])
    return min(share * (1 - share) / found, answers.right.size) if found else pictures
