"""What the documents show is run: Python blocks, and the tutorial."""

import doctest
import os
import re
import subprocess
import sys

import pytest

import bginv
from tests.conftest import ROOT

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def blocks(name: str) -> list[str]:
    return BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_readme_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    program = "\n".join(blocks("README.md"))
    assert program.count("bginv.robustify(") == 2
    # the first training takes the steps of the recipe; here a few are enough
    shorter = program.replace(
        'bginv.robustify(model, "digits")',
        'bginv.robustify(model, "digits", classifier_steps=3, masks_steps=2, adversarial_steps=2)',
    )
    assert shorter != program
    names: dict = {}
    exec(compile(shorter, "README.md", "exec"), names)
    out = capsys.readouterr().out
    assert "| after" in out and "mean of backgrounds" in out and "saved_model" in out
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    assert float(names["metrics"]["loss"]) > 0


@pytest.mark.parametrize("name", ["docs/ports.md"])
def test_imports_that_documents_name_are_there(name):
    for block in blocks(name):
        for line in block.splitlines():
            if line.startswith("import "):
                exec(line, {})


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path):
    ended = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "tutorial.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TUTORIAL_STEPS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "mean absolute error" in ended.stdout and "| after" in ended.stdout
    assert (tmp_path / "exported" / "model.keras").is_file()


def test_doctests_of_the_package():
    found = doctest.testmod(bginv)
    assert found.attempted and not found.failed


def test_links_and_files_that_documents_name_are_there():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = document.read_text(encoding="utf-8")
        for path in re.findall(r"`((?:docs|benchmarks|bginv|tests)/[\w./]+\.\w+)`", text):
            assert (ROOT / path).exists(), f"{document.name} names {path}"
        for path in re.findall(r"\]\((?!http)([\w./]+)\)", text):
            assert (document.parent / path).exists(), f"{document.name} links to {path}"
