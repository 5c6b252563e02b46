import io
import sys

from bginv.training.progress import Progress


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
    assert "masks" in text and "2/2" in text and "loss=0.2500" in text and "images/s=16" in text


def test_elsewhere_the_last_step_is_a_plain_line(caplog):
    caplog.set_level("INFO")
    report(2)
    (record,) = caplog.records
    assert record.getMessage().startswith("masks  step 2/2  epoch 1  loss 0.2500  images/s 16")
