"""Which pictures of a run are shown before and after."""

import numpy as np

from bginv.evaluation.accuracy import Predictions
from bginv.report.same_pictures import choose_rows


def answers(labels: np.ndarray, right: float) -> Predictions:
    """So large a share of right answers, at the beginning."""
    wrong = np.arange(len(labels)) >= right * len(labels)
    return Predictions(labels, (labels + wrong) % 3, np.ones(len(labels)), 3)


LABELS = np.arange(60) % 3


def test_the_same_records_are_taken_of_the_hardest_paired_test():
    found = {
        "clean": answers(LABELS, 1.0),
        "easy": answers(LABELS, 0.9),
        "hard": answers(LABELS, 0),
    }
    same = {name: np.arange(60) for name in found}
    rows = choose_rows(found, same)
    assert list(rows) == ["clean", "hard"]
    np.testing.assert_array_equal(rows["clean"], rows["hard"])
    assert len(set(rows["clean"])) == 20
    assert np.bincount(LABELS[rows["clean"]]).tolist() in ([7, 7, 6], [7, 6, 7], [6, 7, 7])
    assert (rows["clean"] == choose_rows(found, same)["clean"]).all()


def test_a_picture_on_several_backgrounds_comes_once_and_is_found_in_the_first_test():
    kept = np.array([5, 2, 9, 40, 41])
    rows_of = np.tile(kept, 2)
    found = {
        "clean": answers(LABELS, 1.0),
        "only_fg": answers(LABELS[kept], 0.0),
        "mixed_rand": answers(LABELS[rows_of], 0.5),
    }
    same = {"clean": np.arange(60), "only_fg": kept, "mixed_rand": rows_of}
    rows = choose_rows(found, same)
    assert list(rows) == ["clean", "mixed_rand"]
    np.testing.assert_array_equal(rows_of[rows["mixed_rand"]], rows["clean"])
    assert sorted(rows["clean"]) == sorted(kept)


def test_other_pictures_are_shown_alone():
    found = {"clean": answers(LABELS, 1.0), "lab": answers(LABELS[:30], 0.2)}
    assert list(choose_rows(found, {"clean": np.arange(60)})) == ["lab"]
    alone = choose_rows({"clean": answers(LABELS[:3], 0.5)}, {"clean": np.arange(3)})
    assert list(alone) == ["clean"] and sorted(alone["clean"]) == [0, 1, 2]
