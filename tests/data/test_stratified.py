"""Epochs in which chosen records have a share."""

import numpy as np
import pytest

from bginv.data.photographs import Photographs, WithBackgrounds
from bginv.data.sources import ArraySource
from bginv.data.wrapped import StratifiedSource

NUM = 20
CHOSEN = np.arange(NUM) % 7 == 0


@pytest.fixture
def source():
    images = np.arange(NUM, dtype=np.uint8)[:, None, None, None] * np.ones((8, 8, 1), np.uint8)
    return ArraySource(images, np.arange(NUM), images)


def epochs(source, count, seed=0):
    """Labels of a few epochs, int [count, N]."""
    batches = source.batches(10, shuffle=True, seed=seed).take(2 * count)
    found = np.concatenate([batch["label"] for batch in batches])
    return found.reshape(count, NUM)


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5, 0.8, 1.0])
def test_each_epoch_has_the_share(source, share):
    for epoch in epochs(StratifiedSource(source, CHOSEN, share), 3):
        counts = np.bincount(epoch, minlength=NUM)
        assert counts[CHOSEN].sum() == round(share * NUM)
        for stratum in (counts[CHOSEN], counts[~CHOSEN]):
            assert stratum.max() - stratum.min() <= 1


def test_order_and_records_change_with_epoch_and_seed_alone(source):
    drawn = StratifiedSource(source, CHOSEN, 0.5)
    first, second = epochs(drawn, 2)
    assert set(first) != set(second)
    np.testing.assert_array_equal(epochs(drawn, 2), [first, second])
    assert np.any(epochs(drawn, 1, seed=1)[0] != first)
    on_chosen = CHOSEN[first]
    assert 0 < on_chosen[:10].sum() < 10, "strata must not come one after the other"


def test_a_stream_that_starts_later_is_the_rest_of_the_stream(source):
    drawn = StratifiedSource(source, CHOSEN, 0.5)
    rest = [batch["label"] for batch in drawn.batches(10, shuffle=True, start=3).take(2)]
    np.testing.assert_array_equal(np.concatenate(rest), epochs(drawn, 3).ravel()[30:50])


def test_in_order_it_is_the_source(source):
    (batch,) = StratifiedSource(source, CHOSEN, 1.0).batches(NUM)
    np.testing.assert_array_equal(batch["label"], np.arange(NUM))
    np.testing.assert_allclose(batch["mask"][:, 0, 0, 0], np.arange(NUM) / 255, rtol=1e-6)


def test_parts_keep_what_is_chosen(source):
    part = StratifiedSource(source, CHOSEN, 1.0).take(np.array([13, 14])).without_masks()
    (batch,) = part.batches(2, shuffle=True).take(1)
    np.testing.assert_array_equal(batch["label"], [14, 14])
    assert not part.has_masks and "mask" not in batch


def test_photographs_go_behind_what_is_drawn(source):
    photographs = Photographs.held(np.zeros((2, 8, 8, 1), np.uint8), (8, 8, 1), "any")
    drawn = WithBackgrounds(StratifiedSource(source, CHOSEN, 1.0), photographs)
    (batch,) = drawn.batches(10, shuffle=True).take(1)
    assert np.all(CHOSEN[batch["label"]]) and batch["background"].shape == (10, 8, 8, 1)


@pytest.mark.parametrize("chosen", [np.zeros(NUM, bool), np.ones(NUM, bool)])
def test_none_or_all_are_refused(source, chosen):
    with pytest.raises(ValueError, match=f"{chosen.sum()} of {NUM} records"):
        StratifiedSource(source, chosen, 0.5)
