"""Whose backgrounds pictures get, and which pictures are looked at."""

import numpy as np

from bginv.auditing.variants import stratified
from bginv.data.variations import draw_donors

LABELS = np.repeat([0, 1, 3], [6, 4, 1])


def test_donors_are_of_the_classes_that_their_names_say():
    found = draw_donors(LABELS, 4, 3, seed=1)
    rows = np.arange(len(LABELS))[:, None]
    same = LABELS[found["mixed_same"]] == LABELS[:, None]
    assert same.all()
    following = {0: 1, 1: 3, 3: 0}
    wanted = np.array([following[label] for label in LABELS])[:, None]
    assert (LABELS[found["mixed_next"]] == wanted).all()
    for donors in found.values():
        alone = LABELS == 3
        assert (donors != rows)[~alone].all()  # none its own, where there are others


def test_each_class_lends_as_often():
    found = draw_donors(np.repeat([0, 1], [90, 10]), 2, 2, seed=0)["mixed_rand"]
    assert set((found >= 90).sum(1)) == {1}  # one of either class for every picture


def test_no_background_comes_twice_before_all_have():
    found = draw_donors(LABELS, 4, 5, seed=0)["mixed_same"]
    assert all(len(set(row)) == 5 for row in found[:6])


def test_a_limit_keeps_the_shares_of_the_classes():
    labels = np.repeat([0, 1], [80, 20])
    rows = stratified(labels, 10)
    assert np.bincount(labels[rows]).tolist() == [8, 2]
    assert (np.diff(rows) > 0).all()
    assert len(stratified(labels, 500)) == 100
