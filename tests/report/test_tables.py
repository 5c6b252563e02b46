import json

import pytest

from bginv.evaluation.accuracy import Accuracies
from bginv.report.tables import json_results, markdown_table, published_rows

ROWS = {
    "Traditional": Accuracies({"clean": 0.99, "stripes": 0.3, "salt_pepper": 0.5}, train=1.0),
    "Published": Accuracies({"stripes": 0.38}),
}


def test_markdown_has_a_row_a_model_and_the_mean_without_clean():
    header, rule, traditional, published = markdown_table(ROWS).splitlines()
    cells = [cell.strip() for cell in header.strip("|").split("|")]
    assert cells == ["accuracy in %", "clean", "stripes", "salt pepper", "mean of backgrounds"]
    assert set(rule) <= set("|-: ")
    assert traditional.replace(" ", "") == "|Traditional|99.0|30.0|50.0|40.0|"
    assert published.replace(" ", "") == "|Published|-|38.0|-|38.0|"


def test_json_keeps_the_ratios():
    content = json.loads(json_results(ROWS, dataset="digits"))
    assert content["dataset"] == "digits"
    assert content["accuracy"]["Traditional"]["tests"]["stripes"] == 0.3
    assert content["accuracy"]["Traditional"]["mean_of_backgrounds"] == pytest.approx(0.4)
    assert content["accuracy"]["Published"]["train"] is None


def test_the_papers_mean_on_mnist():
    rows = published_rows("mnist_backgrounds")
    assert rows["Proposal (published)"].mean_background == pytest.approx(0.855, abs=5e-4)
    assert published_rows("digits_backgrounds") == {}
