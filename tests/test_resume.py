"""Runs that are killed, interrupted or run again end with the weights of a run that was not."""

import os
import pathlib
import random
import shutil
import signal
import time

import pytest

from tests.programs import (
    assert_identical,
    finish,
    start,
    wait_for_checkpoint,
    write_models,
    written_weights,
)

KILLS = int(os.environ.get("BGINV_SOAK_KILLS", "1"))
SEED = int(os.environ.get("BGINV_SOAK_SEED", "0"))
SMALL = ("--limit", "100", "--batchsize", "16", "--checkpoint-steps", "3", "--recipe", "tuned")
PHASES = {
    "train1": ("digits", "--steps", "150", "--output", "m.keras"),
    "train2": ("digits", "m1.keras", "otsu", "--steps", "30", "--output", "m.keras"),
    "train3": (
        "digits", "m1.keras", "u1.keras", "otsu", "adv", "--steps", "60", "--restart-every", "15",
        "--output", "m.keras",
    ),
}  # fmt: skip


@pytest.fixture
def models(tmp_path) -> pathlib.Path:
    """A folder with what phases 2 and 3 start from."""
    write_models(tmp_path)
    return tmp_path


def remove_output(folder: pathlib.Path) -> None:
    for name in written_weights(folder):
        (folder / name).unlink()


@pytest.mark.slow
@pytest.mark.parametrize("script", PHASES)
def test_a_killed_phase_ends_with_the_same_weights(models, tmp_path_factory, script):
    """Kill it at random moments, the first of them after its first checkpoint."""
    moments = random.Random(f"{SEED} {script}")
    arguments = (*PHASES[script], *SMALL)
    calm, killed = models, tmp_path_factory.mktemp("killed") / "run"
    shutil.copytree(models, killed)
    began = time.monotonic()
    finish(start(calm, script, *arguments))
    duration = time.monotonic() - began
    kills = 0
    while kills < KILLS:
        process = start(killed, script, *arguments)
        if kills == 0:
            wait_for_checkpoint(killed, process)
            time.sleep(moments.uniform(0, duration / 8))
        else:
            time.sleep(moments.uniform(0, duration))
        process.kill()
        process.communicate()
        if (killed / "m.keras").exists() and not (killed / "m.keras.unfinished").exists():
            remove_output(killed)  # it was done, so the kill does not count
        else:
            kills += 1
    told = finish(start(killed, script, *arguments))
    assert KILLS > 1 or "goes on after step" in told
    assert_identical(written_weights(killed), written_weights(calm))
    assert {path.name for path in killed.iterdir()} == {path.name for path in calm.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_the_step_and_the_same_command_goes_on(models, number, code):
    steps = ("--steps", "600", "--steps-per-call", "1000", "--checkpoint-steps", "100")
    arguments = (*PHASES["train1"], *SMALL, *steps)
    process = start(models, "train1", *arguments)
    wait_for_checkpoint(models, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    step = int(err.splitlines()[-1].split("after step ")[1].split()[0])
    assert 100 <= step < 600
    assert err.splitlines()[-1].endswith(
        f"{signal.Signals(number).name} after step {step} of 600; "
        "the same command goes on from there"
    )
    assert f"goes on after step {step} of 600" in finish(start(models, "train1", *arguments))
    interrupted = written_weights(models)
    finish(start(models, "train1", *arguments, "--overwrite"))
    assert_identical(written_weights(models), interrupted)
