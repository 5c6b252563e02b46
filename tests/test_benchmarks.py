"""The scripts in benchmarks/: what they share, and the table of them."""

import argparse
import importlib
import pathlib
import re
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def measuring(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("measuring")


def test_readme_names_every_script():
    scripts = {own.stem for own in FOLDER.glob("*.py") if "__main__" in own.read_text()}
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == scripts


def test_commands_are_measured_and_failures_told(measuring, tmp_path):
    ended = measuring.run([sys.executable, "-c", "import bginv; print('done')"], tmp_path)
    assert ended.text == "done\n" and ended.seconds > 0 and ended.peak_kib > 1000
    failing = [sys.executable, "-c", "print('why'); raise SystemExit(3)"]
    with pytest.raises(SystemExit, match="why"):
        measuring.run(failing)
    assert measuring.run(failing, check=False).text == "why\n"


def test_contenders_take_turns(measuring):
    calls: list[str] = []
    contenders = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = measuring.alternate(contenders, rounds=2, warm_up=1)
    assert calls == list("ababab") and [len(own) for own in seconds.values()] == [2, 2]
    assert measuring.summary([3.0, 1.0, 2.0]) == {"median": 2.0, "range": [1.0, 3.0]}
    assert measuring.paired_ratio([2.0, 9.0, 8.0], [1.0, 3.0, 2.0]) == 3.0


def test_figures_over_seeds(measuring):
    assert measuring.spread([0.5, None, 0.7]) == "60.0 +- 14.1"
    assert measuring.spread([0.5]) == "50.0" and measuring.spread([None]) == "-"
    shown = measuring.seeds_table(
        {"row": {"0": {"a": 0.5, "b": 1}, "1": {"a": 0.7, "b": 0}}}, "a", "b"
    )
    assert shown.splitlines() == [
        "| | seeds | a | b |",
        "|---|---|---:|---:|",
        "| row | 2 | 60.0 +- 14.1 | 50.0 |",
    ]


def test_results_are_kept_with_their_options(measuring, tmp_path):
    path, options = tmp_path / "kept.json", argparse.Namespace(steps=3, seeds=[0])
    measuring.KeptResults(path, options, ["seeds"]).complete("row", 0, lambda: {"a": 1})
    again = measuring.KeptResults(path, argparse.Namespace(steps=3, seeds=[1]), ["seeds"])
    again.complete("row", 0, lambda: pytest.fail("measured again"))
    assert again.rows == {"row": {"0": {"a": 1}}}
    with pytest.raises(SystemExit, match="other options"):
        measuring.KeptResults(path, argparse.Namespace(steps=4), ["seeds"])
