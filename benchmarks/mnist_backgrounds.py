"""The headline: `bginv run` over several seeds, on the test patterns and on unseen backgrounds.

    python benchmarks/mnist_backgrounds.py --data-dir TFDS_FOLDER --photographs FOLDER

Each run is a process of its own; one that is finished is not run again, and a model that was
evaluated is not evaluated again. Tables are mean and standard deviation over seeds, in %.
"""

import argparse
import dataclasses
import functools
import os
import pathlib
import statistics
import subprocess
import sys
import time

from kept_results import KeptResults
from unseen_backgrounds import unseen_tests

from bginv.data.catalog import load_data
from bginv.data.injected import with_backgrounds, with_noises
from bginv.data.sources import Dataset, Source
from bginv.evaluation.accuracy import NOT_IN_MEAN, count_correct
from bginv.interop.model_files import load_any

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEFORE, AFTER = "classifier", "robust_classifier"
GROUPS = ("backgrounds", "unseen", "noises")
FREE = ("data_dir", "masks", "seeds", "folder")


def main() -> None:
    """Run what is missing, evaluate it, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", nargs="?", default="mnist", help="or digits")
    parser.add_argument("--data-dir", type=os.path.abspath)
    parser.add_argument("--photographs", type=pathlib.Path, help="folder of .jpg files")
    parser.add_argument("--masks", nargs="+", default=["learned", "heuristic"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--options", default="", help='of every run, such as "--limit 1000"')
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "runs/mnist_backgrounds")
    arguments = parser.parse_args()
    arguments.folder = arguments.folder.resolve()
    results = KeptResults(arguments.folder / "mnist_backgrounds.json", arguments, FREE)
    tests = _tests(load_data(arguments.dataset, arguments.data_dir), arguments.photographs)
    for seed in arguments.seeds:
        for masks in arguments.masks:
            run_dir = arguments.folder / f"{masks}_{seed}"
            seconds = run(arguments, masks, seed, run_dir)
            for name in (BEFORE, AFTER):
                figures = functools.partial(evaluate, run_dir / f"{name}.keras", tests, seconds)
                results.complete(f"{masks}, {name}", seed, figures)
    print(*tables(results.rows), sep="\n")


def run(arguments: argparse.Namespace, masks: str, seed: int, run_dir: pathlib.Path) -> float:
    """Seconds that `bginv run` takes, or took."""
    timing = run_dir.with_suffix(".seconds")
    if not timing.exists():
        words = [arguments.dataset, "--masks", masks, "--seed", str(seed), "--overwrite"]
        words += ["--run-dir", str(run_dir), *arguments.options.split()]
        words += ["--data-dir", arguments.data_dir] if arguments.data_dir else []
        began = time.monotonic()
        command = [sys.executable, "-m", "bginv", "run", *words]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        timing.write_text(str(time.monotonic() - began))
    return float(timing.read_text())


def evaluate(model: pathlib.Path, tests: dict[str, dict[str, Source]], seconds: float) -> dict:
    """Accuracies of a classifier in each group of tests, beside the seconds of its run."""
    classifier = load_any(str(model))
    found: dict = {"seconds": seconds}
    for group, own in tests.items():
        counts = count_correct(classifier, own.values())
        pairs = zip(own.items(), counts, strict=True)
        found[group] = {name: count / len(source) for (name, source), count in pairs}
    return found


def tables(found: dict[str, dict[str, dict]]) -> list[str]:
    """One table a group: rows of classifiers, mean and deviation over the seeds."""
    shown = []
    for group in GROUPS:
        cells = {}
        for row, by_seed in found.items():
            each = [own[group] for own in by_seed.values()]
            cells[row] = {name: _spread([own[name] for own in each]) for name in each[0]}
            backgrounds = [name for name in each[0] if name not in NOT_IN_MEAN]
            means = [statistics.fmean(own[name] for name in backgrounds) for own in each]
            cells[row]["mean"] = _spread(means)
            mean_seconds = statistics.fmean(own["seconds"] for own in by_seed.values())
            cells[row]["seconds"] = f"{mean_seconds:.0f}"
        columns = list(next(iter(cells.values())))
        lines = [f"| {group} | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
        lines += [f"| {row} | {' | '.join(own.values())} |" for row, own in cells.items()]
        shown.append("\n".join([*lines, ""]))
    return shown


def _spread(values: list[float]) -> str:
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.1f}{deviation}"


def _tests(dataset: Dataset, photographs: pathlib.Path | None) -> dict[str, dict[str, Source]]:
    clean = dataclasses.replace(dataset, tests={"clean": dataset.tests["clean"]})
    unseen = unseen_tests(dataset.tests["clean"], 0, photographs)
    groups = (with_backgrounds(clean).tests, unseen, with_noises(clean).tests)
    return {name: dict(own) for name, own in zip(GROUPS, groups, strict=True)}


if __name__ == "__main__":
    main()
