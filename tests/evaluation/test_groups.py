import numpy as np
import pytest

from bginv.errors import UserError
from bginv.evaluation.groups import (
    GroupAccuracies,
    count_groups,
    group_names,
    group_numbers,
    groups_from_json,
)
from bginv.evaluation.intervals import Interval, independent_difference

NAMES = ("landbird/land", "landbird/water", "waterbird/land", "waterbird/water")


def test_a_group_is_a_class_at_a_place():
    assert group_names(("landbird", "waterbird"), ("land", "water")) == NAMES
    found = group_numbers(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 0]), 3)
    assert found.tolist() == [0, 2, 4, 6] and found.dtype == np.int32


def test_the_worst_group_and_the_mean_over_groups():
    groups = np.repeat([0, 1, 3], [10, 4, 2])
    right = np.array([True] * 9 + [False] + [True, False, False, False] + [True, True])
    found = count_groups(right, groups, NAMES)
    assert found == GroupAccuracies((NAMES[0], NAMES[1], NAMES[3]), (9, 1, 2), (10, 4, 2))
    assert (found.worst_name, found.worst) == ("landbird/water", 0.25)
    assert found.mean == pytest.approx((0.9 + 0.25 + 1.0) / 3)
    assert list(found.intervals) == ["landbird/water", "landbird/land", "waterbird/water"]
    own = found.interval("landbird/land")  # Wilson 1927 by hand, see tests/auditing
    assert (own.value, own.count) == (0.9, 10)
    assert own.low == pytest.approx(0.5958, abs=1e-3) and own.high == pytest.approx(
        0.9821, abs=1e-3
    )
    assert groups_from_json(found.as_json()).intervals == found.intervals


def test_one_picture_tells_next_to_nothing():
    own = count_groups(np.array([True]), np.array([2]), NAMES).interval("waterbird/land")
    assert own.low == pytest.approx(1 / (1 + 1.96**2), abs=1e-3) and own.high == 1.0


def test_a_group_without_pictures_has_no_accuracy():
    found = GroupAccuracies(NAMES[:2], (0, 3), (0, 4))
    assert (found.worst_name, found.worst, found.mean) == ("landbird/water", 0.75, 0.75)
    assert found.interval("landbird/land").count == 0


def test_what_is_no_group_is_refused():
    with pytest.raises(UserError, match="record 1 has place 2, but there are 2 places, 0 to 1"):
        group_numbers(np.array([0, 0]), np.array([1, 2]), 2)
    with pytest.raises(UserError, match="3 pictures with a group need as many answers: 2"):
        count_groups(np.array([True, False]), np.array([0, 1, 1]), NAMES)
    with pytest.raises(UserError, match="groups need some pictures"):
        GroupAccuracies(NAMES[:1], (2,), (1,))


def test_differences_of_places_as_in_print():
    """56 of 70 against 48 of 80: 0.0524 to 0.3339 (Newcombe 1998, table II, method 10)."""
    one, other = (Interval(a / b, 0.0, 1.0, b) for a, b in ((56, 70), (48, 80)))
    found = independent_difference(one, other)
    assert (found.value, found.count) == (pytest.approx(0.2), 150)
    assert (found.low, found.high) == (
        pytest.approx(0.0524, abs=1e-4),
        pytest.approx(0.3339, abs=1e-4),
    )
    wider = independent_difference(one, other, comparisons=6)
    assert wider.low < found.low and wider.high > found.high


def test_the_surest_difference_is_between_places_of_one_class():
    found = GroupAccuracies(NAMES, (95, 60, 1, 40), (100, 100, 2, 40))
    better, worse, own = found.surest_difference(("landbird", "waterbird"))
    assert (better, worse) == ("landbird/land", "landbird/water")
    assert own.value == pytest.approx(0.35) and 0.2 < own.low < 0.35
    names = ("cat/big/day", "cat/day", "cat/night")
    nested = GroupAccuracies(names, (1, 90, 80), (100, 100, 100))
    assert nested.surest_difference(("cat", "cat/big"))[:2] == ("cat/day", "cat/night")
    alone = GroupAccuracies((NAMES[0], NAMES[3]), (9, 1), (10, 10))
    assert alone.surest_difference(("landbird", "waterbird")) is None
