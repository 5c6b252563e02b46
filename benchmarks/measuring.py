"""What several benchmarks do: processes, turns, figures over seeds, tables, kept results."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Ended(NamedTuple):
    """A process that ended: seconds, peak memory in KiB, and its standard output."""

    seconds: float
    peak_kib: int
    text: str


def run(command: Sequence[str], folder: pathlib.Path | None = None, check: bool = True) -> Ended:
    """Run a command in a process of its own, which finds this package; standard error is shown.

    Args:
        command: the program and its words.
        folder: to run it in; None means this one.
        check: leave this program where the command fails, instead of saying so alone.
    """
    places = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    with tempfile.TemporaryFile("w+", errors="replace") as out:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read()
    if process.returncode:
        failure = f"failed: {' '.join(command[-8:])}"
        if check:
            raise SystemExit(f"{failure}\n{text[-2000:]}")
        print(failure, file=sys.stderr)
    return Ended(seconds, usage.ru_maxrss, text)


def bginv(*words: object) -> list[str]:
    """The command `bginv` with these words."""
    return [sys.executable, "-m", "bginv", *map(str, words)]


def kept_run(run_dir: pathlib.Path, *words: object) -> float:
    """Seconds that `bginv run` takes, or took where the folder holds a run that was finished."""
    timing = run_dir / "seconds.txt"
    if not timing.exists():
        ended = run(bginv("run", *words, "--run-dir", run_dir.resolve(), "--overwrite"))
        timing.write_text(f"{ended.seconds:.1f}\n")
    return float(timing.read_text())


def timed(call: Callable[..., Any], *arguments, **named) -> tuple[float, Any]:
    """Seconds of a call, and what it returns."""
    began = time.perf_counter()
    found = call(*arguments, **named)
    return time.perf_counter() - began, found


def alternate(
    contenders: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each contender in each round; in a round they run one after the other.

    Args:
        contenders: by name.
        rounds: that count.
        warm_up: rounds before those, in which functions are compiled.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(warm_up + rounds):
        for name, call in contenders.items():
            taken, _ = timed(call)
            if number >= warm_up:
                seconds[name].append(taken)
    return seconds


def summary(values: Collection[float]) -> dict[str, float | list[float]]:
    """Median and range."""
    return {"median": statistics.median(values), "range": [min(values), max(values)]}


def paired_ratio(values: Iterable[float], others: Iterable[float]) -> float:
    """Median of the ratios of two contenders, each within a round."""
    return statistics.median(one / other for one, other in zip(values, others, strict=True))


def accuracies(model, tests: Mapping) -> dict[str, float]:
    """Share of the images of each test that a classifier gets right."""
    from bginv.evaluation.accuracy import count_correct

    counts = count_correct(model, tests.values())
    return {name: n / len(tests[name]) for name, n in zip(tests, counts, strict=True)}


def spread(values: Iterable[float | None], sign: str = "+-") -> str:
    """Mean and standard deviation of shares over seeds, in %; what is None is left out."""
    known = [100 * value for value in values if value is not None]
    if not known:
        return "-"
    deviation = f" {sign} {statistics.stdev(known):.1f}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):.1f}{deviation}"


def line(*cells: object) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |".replace("|  |", "| |")


def head(*columns: str, left: int = 1) -> str:
    """The first two lines of a Markdown table, whose first `left` columns are left-aligned."""
    return f"{line(*columns)}\n|{'---|' * left}{'---:|' * (len(columns) - left)}"


def seeds_table(
    results: Mapping[str, Mapping[str, Mapping]], names: Sequence[str], means: Sequence[str] = ()
) -> str:
    """A Markdown table of figures over seeds, in %.

    Args:
        results: for each row, figures by seed.
        names: of figures whose mean and deviation are shown.
        means: of figures whose mean alone is.
    """
    lines = [head("", "seeds", *names, *means, left=2)]
    for row, by_seed in results.items():
        cells = [spread(own.get(name) for own in by_seed.values()) for name in (*names, *means)]
        alone = [cell.split(" ")[0] for cell in cells[len(names) :]]
        lines.append(line(row, len(by_seed), *cells[: len(names)], *alone))
    return "\n".join(lines)


class KeptResults:
    """Figures of rows and seeds; those that a JSON file holds are not measured again.

    Attributes:
        rows: for each row, figures by seed.

    Args:
        path: the JSON file; it is written after each measurement.
        options: of the command line.
        free: names of options that may differ from those of the figures in the file.

    Raises:
        SystemExit: the file holds figures of other options.
    """

    def __init__(self, path: pathlib.Path, options: argparse.Namespace, free: Collection[str]):
        compared = {name: value for name, value in vars(options).items() if name not in free}
        self.path, self.options = path, json.loads(json.dumps(compared, default=str))
        held = {"options": self.options, "results": {}}
        if path.exists():
            held = json.loads(path.read_text())
        if held.get("options") != self.options:
            raise SystemExit(
                f"{path} holds figures of other options, {held.get('options')}; these are "
                f"{self.options}: name another place for them"
            )
        self.rows: dict[str, dict[str, dict]] = held["results"]

    def complete(self, row: str, seed: int, measure: Callable[[], dict]) -> None:
        """Measure, write and print what the file does not hold yet."""
        own = self.rows.setdefault(row, {})
        if str(seed) in own:
            return
        own[str(seed)] = measure()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        held = {"options": self.options, "results": self.rows}
        self.path.write_text(json.dumps(held, indent=2) + "\n")
        print(row, seed, own[str(seed)], flush=True)
