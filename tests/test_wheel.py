"""The wheel that `pip install` takes: what is in it, and that it runs outside the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

import bginv
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # a copy without what an earlier build left
    left = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "source", ignore=left)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", str(folder), str(folder / "source")],
        check=True,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


def test_it_is_small_and_holds_the_templates(wheel):
    assert wheel.stat().st_size < 1_000_000
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "bginv/py.typed",
        "bginv/report/run.html.j2",
        "bginv/methods/background_invariance/stages.py",
    } <= names
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


@pytest.mark.slow
def test_it_runs_outside_the_checkout(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    command = [
        sys.executable, "-m", "bginv", "run", "digits", "--limit", "32", "--steps", "1",
        "--batchsize", "8", "--masks", "heuristic",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    (tmp_path / "work").mkdir()
    ended = subprocess.run(
        command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("| Proposal")
    assert (tmp_path / "work" / "runs" / "digits" / "report.html").is_file()


def test_importing_brings_nothing_slow_and_warns_of_nothing():
    slow = ("tensorflow", "keras", "matplotlib", "cv2")
    program = f"import sys, bginv; sys.exit(str(sys.modules.keys() & set({slow})))"
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == "set()\n"


def test_the_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {bginv.__version__}\n" in citation
    date = citation.split("\ndate-released: ")[1].split()[0]
    assert f"\n## [{bginv.__version__}] - {date}\n" in changelog
