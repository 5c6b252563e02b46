"""Imports point one way, from the rooms below to those above; see docs/architecture.md."""

import ast
import pathlib
import subprocess
import sys

import pytest

import bginv

PACKAGE = pathlib.Path(bginv.__file__).parent
ROOMS = (
    *("ops", "nn", "data", "interop", "masks", "evaluation", "report"),
    *("engine", "auditing", "methods"),
)
"""Each may import from those before it, but for `NOT`."""
NOT = {
    ("data", "nn"),
    ("evaluation", "interop"),
    ("evaluation", "masks"),
    ("auditing", "engine"),
}
ALLOWED = {
    **{
        room: {below for below in ROOMS[:place] if (room, below) not in NOT}
        for place, room in enumerate(ROOMS)
    },
    "library": set(ROOMS),
    "commands": {*ROOMS, "library"},
    "app": {*ROOMS, "library"},
    "subcommands": {"methods", "commands"},
    "cli": {"data", "engine", "methods"},
    "layers": {"nn"},
    "__init__": {"data", "library", "nn"},
}
BESIDE = {"checksums", "errors", "host", "output_files", "prefetch", "terminal"}
TOP_ALLOWED = {
    **{room: BESIDE for room in (*ROOMS[1:], "library", "commands", "app")},
    "ops": {"errors"},
    "output_files": {"errors"},
    "__main__": {"cli"},
    "__init__": {"errors", "layers"},
    "cli": {"errors", "host", "subcommands", "terminal"},
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
    assert used & folders <= ALLOWED.get(room, set())
    top = {path.stem for path in PACKAGE.glob("*.py")}
    assert used & top <= TOP_ALLOWED.get(room, set())


def test_training_does_not_know_the_test_backgrounds():
    patterns = "bginv.ops.patterns"
    users = {path.relative_to(PACKAGE).as_posix() for path in FILES if patterns in imported(path)}
    assert users == {"data/injected.py"}
    injected = "bginv.data.injected"
    # which the catalog has by name
    users = {path.relative_to(PACKAGE).as_posix() for path in FILES if injected in path.read_text()}
    assert users == {"data/catalog.py"}
    trained = [path for path in FILES if path.stem.endswith("training")]
    assert len(trained) > 5
    for path in (*trained, PACKAGE / "engine" / "loop.py", PACKAGE / "engine" / "method.py"):
        assert "bginv.data.catalog" not in imported(path)


def test_help_needs_no_tensorflow():
    program = "import sys, bginv.cli; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
