"""Fixtures that several rooms share."""

import collections
import json
import os
import pathlib
import sys
from collections.abc import Callable

import hypothesis
import keras
import numpy as np
import pytest
from absl import logging

from bginv import cli
from bginv.data.sources import ArraySource, Dataset

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden"
SHARED = pathlib.Path(os.environ.get("BGINV_SHARED", ROOT.parent / "shared"))
"""Real data that is not part of the repository."""

for _name, _examples in (("quick", 24), ("ci", 120), ("soak", 2000)):
    hypothesis.settings.register_profile(
        _name,
        max_examples=_examples,
        derandomize=_name != "soak",
        database=None,
        deadline=None,
        print_blob=True,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),  # to shrink takes minutes
        suppress_health_check=list(hypothesis.HealthCheck),
    )
hypothesis.settings.load_profile(os.environ.get("BGINV_PROPERTIES", "quick"))


def _needed(path: pathlib.Path) -> pathlib.Path:
    if not path.exists():
        reason = f"{path} is missing; BGINV_SHARED names the folder that holds it"
        if os.environ.get("BGINV_REQUIRE_SHARED"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def _golden_arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left alone with one."""
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True)
def _same_start_weights():
    """A test that fails fails again: weights, and all that has no seed of its own."""
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _same_verbosity():
    """Commands set it for their process."""
    verbosity = logging.get_verbosity()
    yield
    logging.set_verbosity(verbosity)


@pytest.fixture(scope="session")
def golden_dir() -> pathlib.Path:
    """Reference files of the paper's code."""
    return GOLDEN / "background_invariance"


@pytest.fixture(scope="session")
def golden(golden_dir) -> dict[str, np.ndarray]:
    """Reference arrays of the paper's code."""
    with np.load(golden_dir / "reference.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def golden_agcnn() -> dict[str, np.ndarray]:
    """Reference arrays of the published AG-CNN."""
    return _golden_arrays("agcnn")


@pytest.fixture(scope="session")
def golden_arrays() -> Callable[[str], dict[str, np.ndarray]]:
    """Reference arrays by the name of their file."""
    return _golden_arrays


@pytest.fixture(scope="session")
def golden_json() -> Callable[[str], dict]:
    """Reference settings and manifests by the name of their file."""
    return lambda name: json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def photographs_dir() -> pathlib.Path:
    """Real photographs."""
    return _needed(SHARED / "data" / "photos")


@pytest.fixture(scope="session")
def horses_dir() -> pathlib.Path:
    """Photographs of horses, and their true masks."""
    return _needed(SHARED / "data" / "horses")


@pytest.fixture(scope="session")
def tfds_dir() -> pathlib.Path:
    """A TFDS data directory with MNIST."""
    return _needed(SHARED / "data" / "tfds")


@pytest.fixture
def squares() -> Dataset:
    """16x16 images of a bright square, left (class 0) or right (class 1)."""
    images = np.zeros((24, 16, 16, 1), np.uint8)
    labels = np.arange(24) % 2
    for i, label in enumerate(labels):
        column = 2 + 7 * label
        images[i, 4 + i % 3 : 9 + i % 3, column : column + 5] = 200 + i
    source = ArraySource(images, labels, (images > 0).astype(np.uint8) * 255)
    return Dataset("squares", source, {"clean": source}, ("left", "right"), (16, 16, 1))


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command line in an empty folder; gives the exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(script: str | None, *arguments: str) -> tuple[int, str, str]:
        program = "bginv" if script is None else f"{script.replace('-', '_')}.py"
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        try:
            code = cli.run(cli.parse(list(arguments), script))
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return call
