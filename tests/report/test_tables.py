import numpy as np
import pytest

from bginv.checksums import read_sealed_json
from bginv.data.sources import ArraySource, Dataset
from bginv.evaluation.accuracy import Accuracies
from bginv.evaluation.segmentation import Agreement
from bginv.report.tables import (
    accuracy_table,
    agreement_table,
    auroc_table,
    catalog_table,
    json_results,
    published_rows,
    splits_table,
)

ROWS = {
    "Traditional": Accuracies({"clean": 0.99, "stripes": 0.3, "salt_pepper": 0.5}, train=1.0),
    "Published": Accuracies({"stripes": 0.38}),
}


def test_markdown_has_a_row_a_model_and_the_mean_without_clean():
    header, rule, traditional, published = str(accuracy_table(ROWS)).splitlines()
    cells = [cell.strip() for cell in header.strip("|").split("|")]
    assert cells == ["accuracy in %", "clean", "stripes", "salt pepper", "mean of backgrounds"]
    assert set(rule) <= set("|-: ")
    assert traditional.replace(" ", "") == "|Traditional|99.0|30.0|50.0|40.0|"
    assert published.replace(" ", "") == "|Published|-|38.0|-|38.0|"


def test_the_mean_tells_which_tests_it_leaves_out():
    rows = {"a": Accuracies({"Validation": 0.9, "lab": 0.5, "field": 0.3}, train=1.0)}
    header, _, row = str(accuracy_table(rows)).splitlines()
    assert "mean of backgrounds (without Validation)" in header and " 40.0 |" in row


def test_json_keeps_the_ratios():
    content = read_sealed_json(json_results(ROWS, dataset="digits"))
    assert content["dataset"] == "digits"
    assert content["accuracy"]["Traditional"]["tests"]["stripes"] == 0.3
    assert content["accuracy"]["Traditional"]["mean_of_backgrounds"] == pytest.approx(0.4)
    assert content["accuracy"]["Published"]["train"] is None


def test_the_papers_mean_on_mnist():
    rows = published_rows("mnist_backgrounds")
    assert rows["Proposal (published)"].mean_background == pytest.approx(0.855, abs=5e-4)
    assert published_rows("digits_backgrounds") == {}


def cells(table: str) -> list[list[str]]:
    """The cells of each line, but for the rule, of a table whose lines are of one length."""
    lines = table.splitlines()
    assert len(set(map(len, lines))) == 1
    assert set(lines[1]) <= set("|-: ")
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in (lines[0], *lines[2:])]


def test_agreement_is_in_percent():
    rows = {"otsu": Agreement(0.5, 1.0, 0.25, 0.1234), "all foreground": Agreement(0, 0, 1, 1)}
    assert cells(agreement_table(rows, "masks of train")) == [
        ["masks of train", "IoU", "precision", "recall", "area"],
        ["otsu", "50.0", "100.0", "25.0", "12.3"],
        ["all foreground", "0.0", "0.0", "100.0", "100.0"],
    ]


def test_auroc_has_a_column_a_class_and_the_mean_of_those_that_are_known():
    rows = {"global": [0.5, None, 1.0], "local": [None, None, None]}
    assert cells(auroc_table(rows, ("a", "b", "c"), "AUROC")) == [
        ["AUROC", "a", "b", "c", "mean"],
        ["global", "50.0", "-", "100.0", "75.0"],
        ["local", "-", "-", "-", "-"],
    ]


def test_the_catalog_is_aligned_to_the_left():
    table = catalog_table([("digits", "digits", "32x32 grey", "embedded", "yes"), ("b", *"abcd")])
    assert cells(table)[0] == ["name", "what", "images", "data", "present"]
    assert table.splitlines()[3].startswith("| b      | a      | b          | c        | d       |")
    assert ":" not in table.splitlines()[1]


def test_splits_show_what_a_data_set_holds():
    images = np.zeros((4, 8, 6, 3), np.uint8)
    train = ArraySource(images + 51, np.array([0, 2, 2, 0]), images[..., :1])
    images[1, 2, 3, 0] = 255
    tests = {"clean": ArraySource(images, np.array([1, 1, 1, 2]))}
    dataset = Dataset("d", train, tests, ("one", "two", "three"), (8, 6, 3))
    assert cells(splits_table(dataset)) == [
        ["split", "images", "size", "pixels", "masks", "one", "two", "three"],
        ["train", "4", "8x6x3", "0.20 to 0.20", "yes", "2", "0", "2"],
        ["clean", "4", "8x6x3", "0.00 to 1.00", "no", "0", "3", "1"],
    ]
