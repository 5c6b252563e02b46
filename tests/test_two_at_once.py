"""Two commands in one place at once: one of them is refused in one line, and no file is lost."""

import os
import pathlib
import random
import shutil
import time

import pytest

from tests.programs import Program, finish, left_in, start_bginv, write_inputs

PAIRS = int(os.environ.get("BGINV_SOAK_PAIRS", "1"))
SEED = int(os.environ.get("BGINV_SOAK_SEED", "0"))
COMMANDS = {
    "train1": (
        "train1", "digits", "--limit", "100", "--batchsize", "16", "--steps", "60", "--recipe",
        "tuned", "--checkpoint-steps", "5", "--run-dir", "out", "--output", "m.keras",
    ),
    "masks": ("masks", "folder:toys", "--source", "model:net.onnx", "--output", "out"),
    "make-variations": ("make-variations", "folder:toys", "out"),
    "make-correlated": (
        "make-correlated", "folder:toys", "--backgrounds", "places", "--output", "out"
    ),
    "export": ("export", "m1.keras", "--output", "out", "--formats", "keras,onnx"),
}  # fmt: skip
REFUSALS = ("another process ", "exists already: ")


@pytest.fixture
def inputs(tmp_path) -> pathlib.Path:
    """A folder with what the commands start from."""
    write_inputs(tmp_path)
    return tmp_path


def begin(folder: pathlib.Path, *arguments: str) -> Program:
    return start_bginv(folder, *arguments, BGINV_CACHE=folder / "cache")


def check_ends(processes: list[Program]) -> None:
    """One at least ends well; another that does not says in its last line why."""
    told = [process.communicate()[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert 0 in codes, told
    for code, err in zip(codes, told, strict=True):
        assert "Traceback" not in err, err
        assert code == 0 or any(refusal in err.splitlines()[-1] for refusal in REFUSALS), err


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_two_commands_in_one_folder_leave_what_one_would(inputs, tmp_path_factory, name):
    moments = random.Random(f"{SEED} {name}")
    place = tmp_path_factory.mktemp("two")
    shutil.copytree(inputs, place / "start")
    began = time.monotonic()
    finish(begin(inputs, *COMMANDS[name]))
    duration = time.monotonic() - began
    for number in range(PAIRS):
        shared = shutil.copytree(place / "start", place / str(number))
        first = begin(shared, *COMMANDS[name])
        time.sleep(moments.uniform(0, duration / 2))
        check_ends([first, begin(shared, *COMMANDS[name])])
        assert left_in(shared) == left_in(inputs)


@pytest.mark.slow
def test_a_folder_that_is_being_written_is_not_overwritten(inputs):
    arguments = COMMANDS["train1"]
    first = begin(inputs, *arguments, "--steps", "600")
    while not (inputs / "out" / "config.json").exists():
        assert first.poll() is None
        time.sleep(0.02)
    second = begin(inputs, *arguments, "--steps", "600", "--overwrite")
    check_ends([first, second])
    assert (first.returncode, second.returncode) == (0, 1)


@pytest.mark.slow
def test_two_commands_share_a_cache_of_masks(inputs):
    whole = COMMANDS["masks"][:-1]
    both = [begin(inputs, *whole, f"out{number}") for number in range(2)]
    check_ends(both)
    assert [process.returncode for process in both] == [0, 0]
    first, second = (left_in(inputs / f"out{number}") for number in range(2))
    assert first == second and len(first) > 32
    assert not list((inputs / "cache").rglob(".*"))
