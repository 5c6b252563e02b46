"""Epochs in which chosen records have a share."""

import numpy as np
import pytest

from bginv.data.photographs import Photographs, WithBackgrounds
from bginv.data.sources import ArraySource
from bginv.data.wrapped import RepeatedSource, StratifiedSource

NUM = 20
CHOSEN = np.arange(NUM) % 7 == 0


@pytest.fixture
def source():
    images = np.arange(NUM, dtype=np.uint8)[:, None, None, None] * np.ones((8, 8, 1), np.uint8)
    return ArraySource(images, np.arange(NUM), images)


def stratified(source, share):
    """With a share of chosen records."""
    return StratifiedSource(source, np.where(CHOSEN, 0, 1), (share, 1 - share))


def epochs(source, count, seed=0):
    """Labels of a few epochs, int [count, N]."""
    batches = source.batches(10, shuffle=True, seed=seed).take(2 * count)
    found = np.concatenate([batch["label"] for batch in batches])
    return found.reshape(count, NUM)


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5, 0.8, 1.0])
def test_each_epoch_has_the_share(source, share):
    for epoch in epochs(stratified(source, share), 3):
        counts = np.bincount(epoch, minlength=NUM)
        assert counts[CHOSEN].sum() == round(share * NUM)
        for stratum in (counts[CHOSEN], counts[~CHOSEN]):
            assert stratum.max() - stratum.min() <= 1


def test_order_and_records_change_with_epoch_and_seed_alone(source):
    drawn = stratified(source, 0.5)
    first, second = epochs(drawn, 2)
    assert set(first) != set(second)
    np.testing.assert_array_equal(epochs(drawn, 2), [first, second])
    assert np.any(epochs(drawn, 1, seed=1)[0] != first)
    on_chosen = CHOSEN[first]
    assert 0 < on_chosen[:10].sum() < 10, "strata must not come one after the other"


def test_a_stream_that_starts_later_is_the_rest_of_the_stream(source):
    drawn = stratified(source, 0.5)
    rest = [batch["label"] for batch in drawn.batches(10, shuffle=True, start=3).take(2)]
    np.testing.assert_array_equal(np.concatenate(rest), epochs(drawn, 3).ravel()[30:50])


def test_in_order_it_is_the_source(source):
    (batch,) = stratified(source, 1.0).batches(NUM)
    np.testing.assert_array_equal(batch["label"], np.arange(NUM))
    np.testing.assert_allclose(batch["mask"][:, 0, 0, 0], np.arange(NUM) / 255, rtol=1e-6)


def test_parts_keep_what_is_chosen(source):
    part = stratified(source, 1.0).take(np.array([13, 14])).without_masks()
    (batch,) = part.batches(2, shuffle=True).take(1)
    np.testing.assert_array_equal(batch["label"], [14, 14])
    assert not part.has_masks and "mask" not in batch


def test_photographs_go_behind_what_is_drawn(source):
    photographs = Photographs.held(np.zeros((2, 8, 8, 1), np.uint8), (8, 8, 1), "any")
    drawn = WithBackgrounds(stratified(source, 1.0), photographs)
    (batch,) = drawn.batches(10, shuffle=True).take(1)
    assert np.all(CHOSEN[batch["label"]]) and batch["background"].shape == (10, 8, 8, 1)


def test_every_kind_comes_as_often(source):
    """Of 20 records, 6, 7 and 7 are of each of three kinds of 3, 4 and 13 records."""
    strata = np.repeat([0, 1, 2], [3, 4, 13])
    for epoch in epochs(StratifiedSource(source, strata, (1 / 3, 1 / 3, 1 / 3)), 3):
        assert np.bincount(strata[epoch]).tolist() == [7, 6, 7]
        assert np.bincount(epoch, minlength=NUM)[:3].tolist() in ([3, 2, 2], [2, 3, 2], [2, 2, 3])


@pytest.mark.parametrize("strata", [np.zeros(NUM, int), np.ones(NUM, int)])
def test_a_kind_without_records_is_refused(source, strata):
    with pytest.raises(
        ValueError, match=f"each of 2 kinds.*20 records are of the kinds {strata[0]}$"
    ):
        StratifiedSource(source, strata, (0.5, 0.5))


def test_repeated_records_are_those_of_the_rows(source):
    rows = np.array([3, 3, 19, 0, 3])
    repeated = RepeatedSource(source.with_places(np.arange(NUM) % 2), rows)
    np.testing.assert_array_equal(repeated.labels, rows)
    np.testing.assert_array_equal(repeated.places, rows % 2)
    (batch,) = repeated.batches(5, shuffle=True).take(1)
    np.testing.assert_array_equal(np.sort(batch["label"]), np.sort(rows))
    np.testing.assert_array_equal(rows[batch["index"]], batch["label"])
    np.testing.assert_array_equal(repeated.take(np.array([2, 4])).labels, [19, 3])
    assert repeated.digest() != RepeatedSource(source, rows[::-1]).digest()
