"""How often the intervals of an audit hold the truth, in simulated audits.

A model answers right where an object's strength, and a background's pull to its own class, are
together above nought. The truth is the mean of large draws.
"""

import argparse

import numpy as np
from measuring import head, line

from bginv.auditing.intervals import Answers, difference, share_of
from bginv.data.variations import draw_donors

CLASSES, DRAWS, NOISE = 7, 3, 0.3
SIZES = (50, 200, 1000)
LARGE, LARGE_DRAWS = 4000, 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audits", type=int, default=400)
    arguments = parser.parse_args()
    columns = [
        f"{what}, {size}" for size in SIZES for what in ("gap held", "accuracy held", "fired")
    ]
    print(head("strength", "pull", "gap", "accuracy", *columns, left=0))
    for strength in (1.0, 2.5, 4.0):
        for pull in (0.0, 1.0, 3.0):
            large = [drawn(LARGE, strength, pull, 10**6 + seed) for seed in range(LARGE_DRAWS)]
            gap = np.mean([difference(*own).value for own in large])
            accuracy = np.mean([own[1].mean for own in large])
            cells = [f"{100 * gap:.1f}", f"{100 * accuracy:.1f}"]
            for size in SIZES:
                cells += held(size, strength, pull, gap, accuracy, arguments.audits)
            print(line(strength, pull, *cells), flush=True)


def held(
    size: int, strength: float, pull: float, gap: float, accuracy: float, audits: int
) -> list[str]:
    """Of 100 intervals, how many hold the gap, the accuracy, and are above a gap of nought."""
    counts = np.zeros(3)
    for seed in range(audits):
        same, mixed = drawn(size, strength, pull, 7 * seed + size)
        own, share = difference(same, mixed), share_of(mixed)
        counts += own.low <= gap <= own.high, share.low <= accuracy <= share.high, own.low > 0
    return [f"{100 * count / audits:.1f}" for count in counts]


def drawn(size: int, strength: float, pull: float, seed: int) -> tuple[Answers, Answers]:
    """Answers on backgrounds of the same class, and of any."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(size) % CLASSES)
    strengths = rng.normal(strength, 1.5, size)
    pulls = np.abs(rng.normal(0, pull, size)) * rng.integers(0, 2, size)
    found = []
    donors = draw_donors(labels, CLASSES, DRAWS, seed)
    for name in ("mixed_same", "mixed_rand"):
        sign = np.where(labels[donors[name]] == labels[:, None], 1, -1)
        noise = rng.normal(0, NOISE, donors[name].shape)
        right = strengths[:, None] + sign * pulls[donors[name]] + noise > 0
        found.append(Answers(right.astype(float), np.arange(size), donors[name]))
    return found[0], found[1]


if __name__ == "__main__":
    main()
