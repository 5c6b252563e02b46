"""Shares with 95 % intervals, which hold in small samples and near 0 and 1 (Wilson 1927)."""

import dataclasses
import math

import scipy.special

TAIL, Z = 0.025, 1.959964
"""Of each side of a 95 % interval, and the normal distribution's quantile there."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        value: a share, or a difference of shares.
        low: lower end.
        high: upper end.
        count: pictures that it is from.
    """

    value: float
    low: float
    high: float
    count: int

    def as_json(self, name: str = "value") -> dict[str, float | int | None]:
        """The numbers by name; None for what is not known."""
        numbers = {name: self.value, "low": self.low, "high": self.high}
        rounded = {key: None if math.isnan(own) else round(own, 6) for key, own in numbers.items()}
        return {**rounded, "count": self.count}


UNKNOWN = Interval(math.nan, math.nan, math.nan, 0)


def wilson(share: float, trials: float, z: float = Z) -> tuple[float, float]:
    """Wilson's interval of a share of so many independent trials, which may be a broken number.

    Args:
        share: of the trials.
        trials: how many.
        z: the normal distribution's quantile at each end.
    """
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    half /= 1 + z**2 / trials
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return 0.0 if share == 0 else low, 1.0 if share == 1 else high


def independent_difference(one: Interval, other: Interval, comparisons: int = 1) -> Interval:
    """The share of one minus that of another, about other pictures (Newcombe 1998, method 10).

    Args:
        one: a share of `one.count` pictures.
        other: likewise.
        comparisons: how many differences are looked at; all intervals together hold with 95 %
            (Bonferroni).
    """
    z = float(scipy.special.ndtri(1 - TAIL / comparisons))
    ends = [wilson(own.value, own.count, z) for own in (one, other)]
    value = one.value - other.value
    down = math.hypot(one.value - ends[0][0], ends[1][1] - other.value)
    up = math.hypot(ends[0][1] - one.value, other.value - ends[1][0])
    return Interval(value, max(-1.0, value - down), min(1.0, value + up), one.count + other.count)
