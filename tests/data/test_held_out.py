import numpy as np
import pytest

from bginv.data.sources import ArraySource
from bginv.data.wrapped import hold_out


@pytest.fixture
def source() -> ArraySource:
    images = np.random.default_rng(0).integers(0, 256, (400, 8, 8, 3), np.uint8)
    return ArraySource(images, np.arange(400) % 4)


def test_a_share_is_held_out_and_nothing_is_on_both_sides(source):
    kept, held = hold_out(source, 0.2)
    assert sorted([*kept, *held]) == list(range(400))
    assert 50 < len(held) < 110


def test_an_image_stays_on_its_side_whatever_else_is_there(source):
    _, held = hold_out(source, 0.2)
    order = np.random.default_rng(1).permutation(400)[:200]
    _, again = hold_out(source.take(order), 0.2)
    assert set(order[again]) == set(held) & set(order)


def test_copies_are_on_one_side(source):
    images = np.concatenate([source.images, source.images[:100]])
    twice = ArraySource(images, np.concatenate([source.labels, source.labels[:100]]))
    _, held = hold_out(twice, 0.2)
    assert {row for row in held if row < 100} == {row - 400 for row in held if row >= 400}


def test_every_class_is_on_both_sides():
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    source = ArraySource(images, np.repeat(np.arange(6), 2))
    for share in (0.01, 0.5):
        kept, held = hold_out(source, share)
        assert set(source.labels[kept]) == set(source.labels[held]) == set(range(6))


def test_a_class_with_one_image_is_trained_on():
    for seed in range(20):
        images = np.random.default_rng(seed).integers(0, 256, (10, 8, 8, 3), np.uint8)
        kept, _ = hold_out(ArraySource(images, np.array([0] * 8 + [1, 2])), 0.4)
        assert {8, 9} <= set(kept)


def test_a_class_of_copies_alone_is_trained_on():
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    images[8:] = images[8]
    for share in (0.05, 0.2, 0.5):
        kept, _ = hold_out(ArraySource(images, np.array([0] * 8 + [1] * 4)), share)
        assert set(range(8, 12)) <= set(kept)


def test_nothing_is_held_out_where_none_is_asked_for(source):
    kept, held = hold_out(source, 0.0)
    assert len(kept) == 400 and len(held) == 0
