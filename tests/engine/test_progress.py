import io
import sys

from bginv.checksums import sealed_json
from bginv.engine.progress import Progress
from bginv.report.metrics import read_metrics, training_seconds


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def report(steps: int) -> None:
    with Progress("masks", 0, steps, 8) as progress:
        progress.update(1, 1, 0.5, 1, {"loss": 0.5})
        if steps == 2:
            progress.update(2, 1, 0.5, 1, {"loss": 0.25})


def test_a_terminal_gets_a_bar_with_losses_and_speed(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    report(2)
    text = terminal.getvalue()
    assert (
        "masks" in text and "2/2 steps" in text and "loss 0.2500" in text and "images/s 16" in text
    )


def test_elsewhere_the_last_step_is_a_plain_line(caplog):
    caplog.set_level("INFO", "absl")
    report(2)
    (record,) = caplog.records
    assert record.getMessage() == "masks  step 2/2  epoch 1  loss 0.2500  images/s 16"


def record(phase: str, step: int, seconds: float = 0.25) -> str:
    return sealed_json({"phase": phase, "step": step, "seconds": seconds}) + "\n"


def test_what_was_told_after_the_last_checkpoint_is_removed(tmp_path):
    file = tmp_path / "metrics.jsonl"
    kept = record("classifier", 9) + record("masks", 1) + record("masks", 2)
    file.write_text(kept + record("masks", 3) + '{"phase": "ma')
    with Progress("masks", 2, 5, 8, file) as progress:
        assert file.read_text() == kept
        progress.update(3, 1, 0.5, 1, {"loss": 0.5})
    assert [told["step"] for told in read_metrics(file)] == [9, 1, 2, 3]


def test_seconds_of_all_commands_that_took_part_are_added_up(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text(record("classifier", 9) + record("masks", 1, 2) + record("masks", 2, 0.31))
    assert training_seconds(file) == {"classifier": 0.2, "masks": 2.3}


def test_a_training_that_goes_on_says_so(caplog):
    caplog.set_level("INFO", "absl")
    with Progress("masks", 2, 5, 8):
        assert "masks goes on after step 2 of 5" in caplog.text
