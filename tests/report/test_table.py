import sys

import pytest

from bginv.report.tables import PERCENT, Table, aligned

TABLE = Table(
    "model",
    {"share": PERCENT, "ms": ".2f"},
    {"a|b": {"share": 0.5, "ms": 1}, "<c>": {"share": None}},
)


def test_it_prints_as_markdown():
    assert str(TABLE).splitlines() == [
        "| model | share |   ms |",
        "| ----- | ----: | ---: |",
        "| a\\|b  |  50.0 | 1.00 |",
        "| <c>   |     - |    - |",
    ]


def test_it_shows_in_a_notebook():
    html = TABLE._repr_html_()
    assert '<th scope="col">share</th>' in html and "<td>50.0</td><td>1.00</td>" in html
    assert "&lt;c&gt;" in html and "<c>" not in html


def test_pandas_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match="to_pandas needs pandas: pip install pandas"):
        TABLE.to_pandas()


def test_pandas_gets_the_numbers_as_they_are():
    pandas = pytest.importorskip("pandas")
    frame = TABLE.to_pandas()
    assert frame.loc["a|b", "share"] == 0.5 and list(frame.columns) == ["share", "ms"]
    assert pandas.isna(frame.loc["<c>", "ms"])


def test_columns_to_the_left_are_padded_on_the_right():
    assert aligned(["a", "b"], [["xx", "y"]], left=2).splitlines()[2] == "| xx | y |"
