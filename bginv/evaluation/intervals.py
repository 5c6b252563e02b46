"""Shares with 95 % intervals, which hold in small samples and near 0 and 1 (Wilson 1927)."""

import dataclasses
import math

Z = 1.959964
"""The normal distribution's quantile at 0.975, each side of a 95 % interval."""


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


def wilson(share: float, trials: float) -> tuple[float, float]:
    """Wilson's interval of a share of so many independent trials, which may be a broken number."""
    centre = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    half = Z * math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    half /= 1 + Z**2 / trials
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return 0.0 if share == 0 else low, 1.0 if share == 1 else high
