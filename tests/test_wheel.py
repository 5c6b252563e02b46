"""The wheel that `pip install` takes: what is in it, and that it runs outside the checkout."""

import os
import subprocess
import sys
import time
import zipfile

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", str(folder), str(ROOT)],
        check=True,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


def test_it_is_small_and_holds_the_templates(wheel):
    assert wheel.stat().st_size < 1_000_000
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"bginv/py.typed", "bginv/report/run.html.j2", "bginv/runs/three_phases.py"} <= names
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


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


def test_importing_takes_no_time_and_warns_of_nothing():
    seconds = {}
    for module in ("numpy", "bginv"):
        program = [sys.executable, "-W", "error", "-c", f"import {module}"]
        took = []
        for _ in range(3):
            began = time.monotonic()
            subprocess.run(program, check=True, cwd=ROOT)
            took.append(time.monotonic() - began)
        seconds[module] = min(took)
    assert seconds["bginv"] < seconds["numpy"] + 0.3
