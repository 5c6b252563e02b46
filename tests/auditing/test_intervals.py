"""Intervals hold the truth as often as they say, for pictures that lend each other backgrounds."""

import math

import numpy as np
import pytest

from bginv.auditing.intervals import Answers, difference, difference_of_sums, share_of
from bginv.data.variations import draw_donors
from bginv.evaluation.intervals import wilson

CLASSES, DRAWS = 5, 3


def drawn(count: int, pull: float, seed: int) -> dict[str, Answers]:
    """Answers of a model that backgrounds pull by so much to their own class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    strengths = rng.normal(2.0, 1.5, count)
    pulls = pull * np.abs(rng.normal(size=count)) * rng.integers(0, 2, count)
    found = {}
    for name, donors in draw_donors(labels, CLASSES, DRAWS, seed).items():
        sign = np.where(labels[donors] == labels[:, None], 1, -1)
        noise = rng.normal(0, 0.3, donors.shape)
        right = strengths[:, None] + sign * pulls[donors] + noise > 0
        found[name] = Answers(right.astype(float), np.arange(count), donors)
    return found


def gap(answers: dict[str, Answers]):
    return difference(answers["mixed_same"], answers["mixed_rand"])


def test_wilsons_interval():
    low, high = wilson(0.9, 10)  # Wilson 1927 by hand: (0.9 + 0.192) / 1.384 -+ 0.194
    assert low == pytest.approx(0.5958, abs=1e-3) and high == pytest.approx(0.9821, abs=1e-3)
    assert wilson(1.0, 10)[1] == 1.0


def test_one_answer_a_picture_is_an_ordinary_share():
    right = np.repeat([1.0, 0.0], [45, 5])[:, None]
    found = share_of(Answers(right, np.arange(50)))
    assert (found.value, found.count) == (0.9, 50)
    assert (found.low, found.high) == wilson(0.9, 50)


@pytest.mark.parametrize("count", [50, 200])
@pytest.mark.parametrize("pull", [1.0, 2.0])
def test_intervals_hold_the_truth(count, pull):
    truth = np.mean([gap(drawn(4000, pull, 1000 + seed)).value for seed in range(3)])
    held = sum(
        own.low <= truth <= own.high for own in (gap(drawn(count, pull, s)) for s in range(200))
    )
    assert 0.91 <= held / 200 <= 0.99


def test_backgrounds_that_are_shared_count():
    """Answers that share a donor go together, and a share of them is less certain."""
    answers = drawn(200, 2.0, 0)["mixed_rand"]
    apart = Answers(answers.right, answers.pictures)
    assert share_of(answers).low < share_of(Answers(apart.right.reshape(-1, 1), np.arange(600))).low


def test_a_model_without_a_gap_has_none():
    fired = sum(gap(drawn(200, 0.0, seed)).low > 0 for seed in range(200))
    assert fired <= 6


def test_models_are_compared_in_pairs():
    """The difference between two models is more certain than each of them."""
    one, other = drawn(200, 2.0, 0), drawn(200, 1.9, 0)
    signs = (1.0, -1.0, -1.0, 1.0)
    parts = [own[name] for own in (one, other) for name in ("mixed_same", "mixed_rand")]
    found = difference_of_sums(list(zip(signs, parts, strict=True)))
    assert found.value == pytest.approx(gap(one).value - gap(other).value)
    assert found.high - found.low < gap(one).high - gap(one).low


def test_nothing_is_known_of_no_pictures():
    empty = Answers(np.zeros((0, 3)), np.zeros(0, int), np.zeros((0, 3), int))
    assert share_of(empty).count == 0 and math.isnan(difference(empty, empty).value)
