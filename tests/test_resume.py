"""Runs that are killed, interrupted or run again end with the weights of a run that was not."""

import os
import pathlib
import random
import shutil
import signal
import time

import pytest

from tests.programs import (
    Program,
    assert_identical,
    finish,
    left_in,
    start,
    start_bginv,
    wait_for_checkpoint,
    wait_for_file,
    write_inputs,
    written_weights,
)

KILLS = int(os.environ.get("BGINV_SOAK_KILLS", "1"))
SEED = int(os.environ.get("BGINV_SOAK_SEED", "0"))
SMALL = ("--limit", "100", "--batchsize", "16", "--checkpoint-steps", "3", "--recipe", "tuned")
OUTPUT = ("--output", "m.keras")
PHOTOGRAPHS = (
    "--image-size", "128", "--masks", "given", "--architecture", "small", "--copies", "1",
    "--batchsize", "4", "--epochs", "1", "--checkpoint-steps", "2", "--run-dir", "out",
)  # fmt: skip
COMMANDS = {
    "train1": ("step-*.index", "train1", "digits", "--steps", "150", *SMALL, *OUTPUT),
    "train2": (
        "step-*.index", "train2", "digits", "m1.keras", "otsu", "--steps", "30", *SMALL, *OUTPUT
    ),
    "train3": (
        "step-*.index", "train3", "digits", "m1.keras", "u1.keras", "otsu", "adv", "--steps", "60",
        "--restart-every", "15", *SMALL, *OUTPUT,
    ),
    "photographs": ("*.npy", "run", "toys", "--recipe", "photographs", *PHOTOGRAPHS),
    "masks": (
        "masks.json", "masks", "folder:toys", "--source", "model:net.onnx", "--output", "out"
    ),
    "make-variations": ("variations.json", "make-variations", "folder:toys", "out"),
    "make-correlated": (
        "correlated.json", "make-correlated", "folder:toys", "--backgrounds", "places", "--output",
        "out",
    ),
    "export": (".exporting-*", "export", "m1.keras", "--output", "out"),
    "evaluate": ("m1.keras", "evaluate", "digits", "m1.keras", "--limit", "100"),
}  # fmt: skip
"""Which file tells that a command is at work, and its line, by name."""


@pytest.fixture
def inputs(tmp_path) -> pathlib.Path:
    """A folder with what the commands start from."""
    write_inputs(tmp_path)
    return tmp_path


def is_done(folder: pathlib.Path) -> bool:
    """Whether the same command would be refused, as its output is there."""
    if (folder / "m.keras").exists():
        return not (folder / "m.keras.unfinished").exists()
    out = folder / "out"
    return (out / "m1.keras").exists() and not list(out.glob(".exporting-*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_ends_as_one_that_was_not(inputs, tmp_path_factory, name):
    """Kill it at random moments, the first of them soon after it was at work."""
    moments = random.Random(f"{SEED} {name}")
    at_work, *arguments = COMMANDS[name]
    calm, killed = inputs, tmp_path_factory.mktemp("killed") / "run"
    shutil.copytree(inputs, killed)

    def begin(folder: pathlib.Path) -> Program:
        return start_bginv(folder, *arguments, BGINV_CACHE=folder / "cache")

    began = time.monotonic()
    expected = finish(begin(calm))
    duration = time.monotonic() - began
    kills = 0
    while kills < KILLS:
        process = begin(killed)
        if kills == 0:
            wait_for_file(killed, process, at_work)
            time.sleep(moments.uniform(0, duration / 8))
        else:
            time.sleep(moments.uniform(0, duration))
        process.kill()
        process.communicate()
        if is_done(killed):  # so the kill does not count, and the command begins anew
            shutil.rmtree(killed / "out", ignore_errors=True)
            for file in (*killed.glob("m.keras"), *killed.glob("m-back-*.keras")):
                file.unlink()
        else:
            kills += 1
    told = finish(begin(killed))
    assert KILLS > 1 or not at_work.startswith("step-") or "goes on after step" in told
    assert told.splitlines()[0] == expected.splitlines()[0]
    assert left_in(killed) == left_in(calm)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_the_step_and_the_same_command_goes_on(tmp_path, number, code):
    steps = ("--steps", "600", "--steps-per-call", "1000", "--checkpoint-steps", "100")
    arguments = ("digits", *SMALL, *steps, *OUTPUT)
    process = start(tmp_path, "train1", *arguments)
    wait_for_checkpoint(tmp_path, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    step = int(err.splitlines()[-1].split("after step ")[1].split()[0])
    assert 100 <= step < 600
    assert err.splitlines()[-1].endswith(
        f"{signal.Signals(number).name} after step {step} of 600; "
        "the same command goes on from there"
    )
    assert f"goes on after step {step} of 600" in finish(start(tmp_path, "train1", *arguments))
    interrupted = written_weights(tmp_path)
    finish(start(tmp_path, "train1", *arguments, "--overwrite"))
    assert_identical(written_weights(tmp_path), interrupted)
