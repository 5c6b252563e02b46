"""Imports point one way: ops <- models <- training, evaluation <- report, interop, commands."""

import ast
import pathlib
import subprocess
import sys

import pytest

import bginv

PACKAGE = pathlib.Path(bginv.__file__).parent
BELOW_ENGINE = (
    *("ops", "data", "nn", "models", "masks", "training", "evaluation", "interop", "report"),
    "runs",
)
ALLOWED = {
    "ops": set(),
    "data": {"ops"},
    "nn": {"ops"},
    "models": {"ops", "nn"},
    "training": {"ops", "data", "nn", "models"},
    "evaluation": {"ops", "data", "nn", "models"},
    "interop": {"ops", "data", "nn", "models", "training", "evaluation"},
    "masks": {"ops", "data", "nn", "models", "interop"},
    "report": {"ops", "data", "masks", "models", "training", "evaluation", "interop"},
    "recipes": set(),
    "runs": {"ops", "data", "nn", "models", "training", "evaluation", "interop", "report"},
    "engine": set(BELOW_ENGINE),
    "methods": {*BELOW_ENGINE, "engine"},
    "library": {*BELOW_ENGINE, "engine", "methods"},
    "commands": {*BELOW_ENGINE, "engine", "methods"},
    "subcommands": {"methods"},
    "__init__": {"data", "library", "models"},
    "cli": {"commands", "data", "engine", "methods", "training"},
}
TOP = {path.stem for path in PACKAGE.glob("*.py")} | {"recipes"}
TOP_ALLOWED = {
    "recipes": {"config", "recipes"},
    "data": {"artefacts", "errors"},
    "nn": {"artefacts"},
    "models": {"errors"},
    "training": {"artefacts", "errors", "recipes"},
    "interop": {"artefacts", "errors"},
    "masks": {"artefacts", "errors"},
    "report": {"artefacts"},
    "runs": {"artefacts", "recipes", "run_folder"},
    "engine": {"artefacts", "recipes", "run_folder"},
    "methods": {"artefacts", "config", "recipes", "run_folder"},
    "commands": {"artefacts", "config", "recipes", "run_folder", "saved_settings"},
    "__main__": {"cli"},
    "cli": {"config", "recipes", "run_folder", "saved_settings", "subcommands"},
    "run_folder": {"artefacts", "saved_settings"},
    "saved_settings": {"config"},
    "subcommands": {"recipes"},
    "library": {"artefacts", "config", "errors", "recipes", "run_folder"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: pathlib.Path) -> set[str]:
    """Modules of ours that a file imports, as `bginv.room.module`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide from this test"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "bginv"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_only_what_stands_below_them(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    folders = {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")}
    used = {name.split(".")[1] for name in imported(path) if name.count(".")} - {room}
    assert used & folders - TOP <= ALLOWED.get(room, set())
    assert used & TOP <= TOP_ALLOWED.get(room, set())


def test_training_does_not_know_the_test_backgrounds():
    patterns = "bginv.ops.patterns"
    users = {path.relative_to(PACKAGE).as_posix() for path in FILES if patterns in imported(path)}
    assert users == {"data/injected.py"}
    injected = "bginv.data.injected"
    users = {path.relative_to(PACKAGE).as_posix() for path in FILES if injected in imported(path)}
    assert users == {"data/catalog.py"}
    for path in (PACKAGE / "training").glob("*.py"):
        assert "bginv.data.catalog" not in imported(path)


def test_help_needs_no_tensorflow():
    program = "import sys, bginv.cli; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
