"""What people are told: a bar on a terminal, else a line now and then; nothing of C++ code."""

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Iterator, Mapping

import tqdm
from absl import logging

SECONDS_BETWEEN_LINES = 10.0
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}s{postfix}"


class _Shown:
    """What the process shows: whether bars may be drawn, and the run at hand."""

    plain = False
    plan: "RunPlan | None" = None


def be_plain() -> None:
    """Draw no bars from now on, even on a terminal."""
    _Shown.plain = True


def draws_bars() -> bool:
    """Whether standard error is a terminal that a bar can be drawn on."""
    return not _Shown.plain and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def end_output() -> None:
    """Throw away what is left for standard output, which nobody reads on, as after `| head`."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Hide what TensorFlow's C++ code prints while it starts, unless the user asks for it."""
    level = "TF_CPP_MIN_LOG_LEVEL"
    if level in os.environ:
        yield
        return
    os.environ[level] = "3"
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@dataclasses.dataclass
class RunPlan:
    """How long the parts of a run will take, to tell the time that is left for the whole.

    Attributes:
        expected: seconds of each part, in the order in which they come; where only their ratios
            are known, in any unit.
        factor: seconds that one of `expected` takes, as the last part showed.
        begun: parts that a bar has been shown for.
    """

    expected: Mapping[str, float]
    factor: float = 1.0
    begun: set[str] = dataclasses.field(default_factory=set)

    def begin(self, part: str) -> bool:
        """Whether a part begins, and not only what is left of it after its first bar."""
        begins = part not in self.begun
        self.begun.add(part)
        return begins

    def left(self, part: str, part_seconds: float | None, part_left: float) -> float:
        """Seconds left for the whole run.

        Args:
            part: the one at hand; one that `expected` does not have counts for nothing more.
            part_seconds: how long it will have taken in the end, as its speed tells; None where
                most of it is done.
            part_left: and how much of that is left.
        """
        names = list(self.expected)
        if part not in names:
            return part_left
        if part_seconds is not None and self.expected[part] > 0:
            self.factor = part_seconds / self.expected[part]
        later = names[names.index(part) + 1 :]
        return part_left + self.factor * sum(self.expected[name] for name in later)


@contextlib.contextmanager
def planned(expected: Mapping[str, float]) -> Iterator[None]:
    """Let bars tell the time that is left for these parts together, see `RunPlan`."""
    _Shown.plan = RunPlan(expected)
    try:
        yield
    finally:
        _Shown.plan = None


class Bar:
    """A bar on a terminal, else lines now and then; both tell the time left for the whole run.

    Args:
        name: what is done.
        total: how many there are to do.
        unit: what is counted, in the singular.
        done: how many an earlier command has done.
        part: of the run, see `RunPlan`; None takes the name.
        shown: whether anything is.
    """

    def __init__(
        self,
        name: str,
        total: int,
        unit: str,
        done: int = 0,
        part: str | None = None,
        shown: bool = True,
    ):
        self._shown = shown
        self._name, self._total, self._unit = name, total, unit
        self._part = part or name
        self._first = self._done = done
        self._began = self._last = time.monotonic()
        self._compiled = False
        self._begins = _Shown.plan is not None and _Shown.plan.begin(self._part)
        self._bar = tqdm.tqdm(
            total=total,
            initial=done,
            desc=name,
            unit=unit,
            file=sys.stderr,
            disable=not (shown and draws_bars()),
            bar_format=BAR,
        )

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error) -> None:
        self._bar.close()

    def clear(self) -> None:
        """Take the bar off the terminal until the next update, for lines of somebody else's."""
        self._bar.clear()

    def advance(self, count: int, told: str = "") -> None:
        """Tell that so many more are done.

        Args:
            count: of them.
            told: what else a bar or line says.
        """
        now = time.monotonic()
        self._done += count
        left = in_words(self._seconds_left(now))
        self._bar.set_postfix_str("  ".join(filter(None, [told, left])), refresh=False)
        self._bar.update(count)
        due = now - self._last > SECONDS_BETWEEN_LINES
        if self._shown and self._bar.disable and (due or self._done >= self._total > 0):
            self._last = now
            counted = f"{self._unit} {self._done}/{self._total}"
            logging.info("%s", "  ".join(filter(None, [self._name, counted, told, left])))
        if not self._compiled:  # what comes first takes longer, and tells nothing of the rest
            self._compiled, self._began, self._first = True, time.monotonic(), self._done

    def _seconds_left(self, now: float) -> float:
        each = (now - self._began) / max(1, self._done - self._first)
        left = each * (self._total - self._done)
        if _Shown.plan is None:
            return left
        return _Shown.plan.left(self._part, each * self._total if self._begins else None, left)


def in_words(seconds: float) -> str:
    """A time that is left, as people say it; nothing where there is none."""
    if seconds < 0.5:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s left"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min left"
    return f"{seconds / 3600:.1f} h left"
