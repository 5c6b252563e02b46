"""What runs tell on a terminal and in a log, and how much time they say is left."""

import io
import os
import struct
import subprocess
import sys

import pytest

from bginv import terminal
from bginv.terminal import Bar, RunPlan, be_plain, draws_bars, in_words, planned
from tests.conftest import ROOT

PROGRAM = """
import sys
from absl import flags, logging
from bginv.terminal import Bar, be_plain
flags.FLAGS(sys.argv[:1])
if "--plain" in sys.argv:
    be_plain()
logging.use_absl_handler()
logging.get_absl_handler().setFormatter(None)
logging.set_verbosity(logging.INFO)
with Bar("audit", 2, "image") as bar:
    bar.advance(1)
    bar.advance(1, "loss 0.5")
"""


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that a test sets."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(terminal, "time", found)
    return found


def on_pty(*arguments: str, **environment: str) -> str:
    """What a program writes to a terminal."""
    pty, fcntl, termios = map(pytest.importorskip, ("pty", "fcntl", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    ended = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", **environment},
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 1024)
        except OSError:  # Linux tells so that the other end is closed
            break
        if not part:
            break
        told += part
    os.close(ours)
    assert ended.wait() == 0
    return told.decode()


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_a_terminal_gets_a_bar_without_colours(environment):
    told = on_pty(**environment)
    assert "\r" in told and "2/2 images" in told and "loss 0.5" in told
    assert "\x1b" not in told


@pytest.mark.parametrize(("arguments", "environment"), [(["--plain"], {}), ([], {"TERM": "dumb"})])
def test_a_terminal_that_asks_for_it_gets_lines(arguments, environment):
    told = on_pty(*arguments, **environment)
    assert told == "audit  image 2/2  loss 0.5\r\n"  # a terminal makes \r\n of \n


def test_a_pipe_gets_lines_without_escape_codes():
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stderr == "audit  image 2/2  loss 0.5\n"


def test_plain_is_for_the_process(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(terminal._Shown, "plain", False)
    monkeypatch.setenv("TERM", "xterm")
    assert draws_bars()
    be_plain()
    assert not draws_bars()


def test_lines_come_now_and_then_and_tell_the_time_left(clock, caplog):
    caplog.set_level("INFO", "absl")
    with Bar("masks", 100, "image") as bar:
        for _ in range(100):
            clock.now += 1
            bar.advance(1)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 10
    assert lines[0] == "masks  image 11/100  89 s left" and lines[-1] == "masks  image 100/100"


def test_what_comes_first_does_not_count(clock, caplog):
    caplog.set_level("INFO", "absl")
    with Bar("classifier", 10, "step") as bar:
        clock.now += 100  # it is compiled
        bar.advance(1)
        clock.now += 11
        bar.advance(1)
    assert caplog.records[-1].getMessage().endswith("step 2/10  88 s left")


def test_the_time_left_is_that_of_the_whole_run(clock, caplog):
    caplog.set_level("INFO", "absl")
    with planned({"classifier": 100, "masks": 400, "adversarial": 200}):
        with Bar("masks: learned", 10, "step", part="masks") as bar:
            bar.advance(0)
            clock.now += 11
            bar.advance(1)
            # 110 s for 400 of them, so 55 s for the 200 that follow
            assert caplog.records[-1].getMessage().endswith(in_words(99 + 55))
    with Bar("masks", 10, "step") as bar:
        bar.advance(0)
        clock.now += 11
        bar.advance(1)
    assert caplog.records[-1].getMessage().endswith(in_words(99))


def test_a_part_that_the_plan_does_not_know_is_told_alone():
    plan = RunPlan({"masks": 10.0, "training": 30.0})
    assert plan.left("download", 50.0, 20.0) == 20.0
    assert plan.left("masks", 20.0, 5.0) == 5.0 + 2 * 30.0
    assert plan.left("training", 40.0, 4.0) == 4.0


def test_what_is_left_of_a_part_changes_no_estimate():
    plan = RunPlan({"masks": 10.0, "training": 30.0})
    assert plan.begin("masks") and not plan.begin("masks")
    assert plan.left("masks", 20.0, 5.0) == 65.0
    assert plan.left("masks", None, 1.0) == 61.0


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, ""), (12.4, "12 s left"), (600, "10 min left"), (3 * 3600, "3.0 h left")],
)
def test_times_in_words(seconds, told):
    assert in_words(seconds) == told
