"""Two devices, or two workers, train as one device does with the same batch."""

import pathlib
import signal
import time

import numpy as np
import pytest

from bginv.report.metrics import training_records
from tests.programs import (
    finish,
    start,
    start_on_devices,
    start_workers,
    wait_for_checkpoint,
    write_models,
)

# The recipe of the paper: at the rates of "tuned", rounding alone drives two runs apart, as one
# device with other convolution kernels shows.
STEPS = ("--batchsize", "16", "--limit", "64", "--steps", "20", "--steps-per-call", "1")
SHARES = ("--clean-fraction", "0.25")
ADVERSARY = (
    "--tiles", "1,2", "--decay", "cosine", "--average", "0.9", "--mask-growth", "2",
    "--restart-every", "14",
)  # fmt: skip
COMMANDS = {
    "classifier": ("train1", "digits", *STEPS),
    "masks": ("train2", "digits", "m1.keras", "otsu", *STEPS),
    "adversarial": (
        "train3", "digits", "m1.keras", "u1.keras", "otsu", "adv", *STEPS, *SHARES, *ADVERSARY
    ),
    "photographs": (
        "train3", "digits", "m1.keras", "heuristic", "otsu", "real", *STEPS, *SHARES,
        "--crops", "any",
    ),
}  # fmt: skip
LONG = ("digits", "--limit", "64", "--batchsize", "16", "--steps", "600", "--output", "m.keras",
        "--evaluate-every", "0")  # fmt: skip
FOREVER = ("--checkpoint-steps", "20", "--steps-per-call", "10")


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    write_models(tmp_path)
    return tmp_path


def losses(run: pathlib.Path) -> dict[str, np.ndarray]:
    records = training_records(run / "metrics.jsonl")
    assert len(records) == 20
    ours = records[0].keys() - {"phase", "step", "epoch", "images_per_second", "seconds"}
    return {name: np.array([record[name] for record in records]) for name in ours}


def line_of_accuracies(told: str) -> list[float]:
    line = next(line for line in told.splitlines() if line.startswith(("train", "/")))
    return list(map(float, line.split(",")[-2:]))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_two_devices_and_two_workers_match_one(folder, photographs_dir, name):
    command = COMMANDS[name]
    if name == "photographs":
        command += ("--backgrounds", str(photographs_dir))
    one = finish(start(folder, *command, "--run-dir", "one"))
    mirrored = finish(
        start_on_devices(folder, 2, *command, "--run-dir", "two", "--distribute", "mirrored")
    )
    workers = start_workers(folder, *command, "--run-dir", "workers")
    chief, other = map(finish, workers)
    expected = losses(folder / "one")
    for run in ("two", "workers"):
        found = losses(folder / run)
        assert found.keys() == expected.keys()
        # The order of a sum differs, and what that rounds off grows from step to step.
        np.testing.assert_allclose(found["loss"][:8], expected["loss"][:8], rtol=1e-4)
        np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-2)
    accuracies = line_of_accuracies(one)
    assert line_of_accuracies(mirrored) == pytest.approx(accuracies, abs=0.02)
    assert line_of_accuracies(chief) == pytest.approx(accuracies, abs=0.02)
    assert "wrote" in chief and "wrote" not in other


@pytest.mark.slow
def test_a_lost_worker_ends_the_other_with_one_line_and_the_job_goes_on(folder):
    chief, other = start_workers(folder, "train1", *LONG, *FOREVER)
    wait_for_checkpoint(folder, chief)
    other.kill()
    began = time.monotonic()
    out, err = chief.communicate(timeout=120)
    assert time.monotonic() - began < 90
    assert (chief.returncode, out) == (1, "")
    assert "another worker was lost" in err.splitlines()[-1]
    assert "start every worker again with the same command" in err.splitlines()[-1]
    assert "Traceback" not in err
    other.communicate()
    again = start_workers(folder, "train1", *LONG, "--checkpoint-steps", "100")
    assert all("goes on after step" in told for told in map(finish, again))


@pytest.mark.slow
def test_a_signal_to_one_worker_ends_all_after_the_same_step(folder):
    workers = start_workers(folder, "train1", *LONG, *FOREVER)
    wait_for_checkpoint(folder, workers[0])
    workers[1].send_signal(signal.SIGTERM)
    told = [worker.communicate(timeout=120)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [143, 143], told
    steps = [err.splitlines()[-1].split("after step ")[1].split()[0] for err in told]
    assert steps[0] == steps[1]
    assert (
        folder / "m.keras.unfinished/checkpoints/classifier" / f"step-{steps[0]}.index"
    ).exists()


@pytest.mark.slow
def test_a_chief_with_a_wrong_argument_does_not_leave_the_others_waiting(folder):
    (folder / "m.keras").write_text("mine")
    workers = start_workers(folder, "train1", *LONG)
    told = [worker.communicate(timeout=120)[1] for worker in workers]
    assert workers[0].returncode == 2 and "m.keras exists already" in told[0]
    assert workers[1].returncode == 1, told[1]
    assert "Traceback" not in told[1] and (folder / "m.keras").read_text() == "mine"
