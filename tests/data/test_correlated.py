"""Which object stands on which place: counts by hand, splits by content, refusals."""

import numpy as np
import pytest

from bginv.data.correlated import (
    TRAIN,
    check_correlation,
    check_shares,
    correlated_counts,
    distinct_rows,
    even_counts,
    largest_remainder,
    own_places,
    pair_objects,
    reached_correlation,
    split_by_content,
    uses_of,
)
from bginv.errors import UserError


@pytest.mark.parametrize(
    "sizes, own, correlation, expected",
    [
        ([40, 60], [0, 1], 0.95, [[38, 2], [3, 57]]),
        # 6.3 + 5.4 = 11.7, so 12 are at home, the twelfth of the class with the larger remainder
        ([7, 6], [0, 1], 0.9, [[6, 1], [0, 6]]),
        ([7, 6], [1, 0], 0.9, [[1, 6], [6, 0]]),
        ([12, 12, 12], [0, 1, 2], 0.75, [[9, 2, 1], [1, 9, 2], [2, 1, 9]]),
        ([10, 10, 10], [0, 1, 0], 1.0, [[10, 0], [0, 10], [10, 0]]),
        ([10, 11], [0, 1], 0.5, [[5, 5], [5, 6]]),
        ([100, 0], [0, 1], 0.29, [[29, 71], [0, 0]]),
    ],
)
def test_counts_of_training(sizes, own, correlation, expected):
    found = correlated_counts(np.array(sizes), np.array(own), correlation)
    np.testing.assert_array_equal(found, expected)


def test_other_splits_have_all_places_equally_often():
    np.testing.assert_array_equal(even_counts(np.array([5, 7, 4]), 2), [[3, 2], [3, 4], [2, 2]])
    np.testing.assert_array_equal(even_counts(np.array([4, 5]), 3), [[2, 1, 1], [1, 2, 2]])


@pytest.mark.parametrize("correlation", [0.5, 0.733, 0.95, 1.0])
def test_shares_are_half_an_object_off_at_most(correlation):
    rng = np.random.default_rng(0)
    for _ in range(50):
        own = np.resize(np.arange(2), rng.integers(2, 6))
        sizes = rng.integers(0, 40, len(own))
        counts = correlated_counts(sizes, own, correlation)
        np.testing.assert_array_equal(counts.sum(1), sizes)
        assert counts.min() >= 0
        home = counts[np.arange(len(own)), own].sum()
        assert abs(home - correlation * sizes.sum()) <= 0.5 + 1e-9


def test_largest_remainder():
    np.testing.assert_array_equal(largest_remainder(10, np.array([3.4, 3.3, 3.3])), [4, 3, 3])
    np.testing.assert_array_equal(largest_remainder(5, np.array([2.5, 2.5])), [3, 2])


def test_pictures_of_a_place_stay_in_their_split_and_are_used_evenly():
    rng = np.random.default_rng(1)
    labels, splits = np.arange(200) % 2, np.repeat([0, 1, 2], [120, 40, 40])
    picture_places = np.arange(26) % 2
    picture_splits = np.repeat([0, 1, 2], [14, 6, 6])
    order = rng.permutation(200)
    labels, splits = labels[order], splits[order]
    given = (splits, labels, np.array([0, 1]), picture_places, picture_splits, 0.95)
    found = pair_objects(*given, seed=0)
    np.testing.assert_array_equal(picture_places[found.pictures], found.places)
    np.testing.assert_array_equal(picture_splits[found.pictures], splits)
    assert reached_correlation(found, labels, np.array([0, 1])) == 0.95
    assert reached_correlation(found, labels, np.array([0, 1]), 2) == 0.5
    uses = uses_of(found, picture_places)
    # 60 of 120 training objects on each place: seven pictures, 4 of 9 and 3 of 8 times
    assert sorted(uses[TRAIN, 0].tolist()) == [8, 8, 8, 9, 9, 9, 9]
    assert all(own.max() - own.min() <= 1 for own in uses.values())
    again, other = pair_objects(*given, seed=0), pair_objects(*given, seed=1)
    np.testing.assert_array_equal(again.pictures, found.pictures)
    assert (other.pictures != found.pictures).any() and (other.places != found.places).any()


def test_splits_follow_contents_whatever_their_order():
    contents = [bytes([number]) for number in range(10)]
    found = split_by_content(contents, (0.6, 0.2, 0.2))
    np.testing.assert_array_equal(np.bincount(found), [6, 2, 2])
    np.testing.assert_array_equal(split_by_content(contents[::-1], (0.6, 0.2, 0.2)), found[::-1])
    assert sorted(split_by_content(contents[:3], (0.98, 0.01, 0.01))) == [0, 1, 2]


def test_copies_are_left_out():
    np.testing.assert_array_equal(distinct_rows([b"a", b"b", b"a", b"c", b"b"]), [0, 1, 3])


def test_own_places():
    classes, places = ("cat", "dog", "ox"), ("land", "water")
    np.testing.assert_array_equal(own_places(classes, places), [0, 1, 0])
    np.testing.assert_array_equal(
        own_places(classes, places, ["cat=water", "ox=water", "dog=land"]), [1, 0, 1]
    )
    for pairs, told in (
        (["cat"], "takes CLASS=PLACE,CLASS=PLACE; received 'cat'"),
        (["cow=land"], "names the class 'cow'; there are cat, dog, ox"),
        (["cat=sea"], "names the place 'sea'; there are land, water"),
        (["cat=land", "cat=water"], "names a class twice"),
        (["dog=land"], "no class has water as its own place"),
    ):
        with pytest.raises(UserError, match=told):
            own_places(classes, places, pairs)


def test_ranges():
    check_correlation(0.33, 3)
    with pytest.raises(UserError, match=r"from 0.5 \(all of 2 places .* received 0.49"):
        check_correlation(0.49, 2)
    check_shares((0.6, 0.2, 0.2))
    for shares in ((0.5, 0.5), (0.6, 0.2, 0.3), (0.8, 0.2, 0.0)):
        with pytest.raises(UserError, match="three numbers above 0 that add up to 1"):
            check_shares(shares)
