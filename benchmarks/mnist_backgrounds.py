"""The headline: `bginv run` over several seeds, on the test patterns and on unseen backgrounds.

Each run is a process of its own; one that is finished is not run again, and a model that was
evaluated is not evaluated again. Tables are mean and standard deviation over seeds, in %.
"""

import argparse
import dataclasses
import functools
import os
import pathlib
import statistics

from measuring import ROOT, KeptResults, accuracies, head, kept_run, line, spread
from unseen_backgrounds import unseen_tests

from bginv.data.catalog import load_data
from bginv.data.injected import with_backgrounds, with_noises
from bginv.data.sources import Dataset, Source
from bginv.evaluation.accuracy import NOT_IN_MEAN
from bginv.interop.model_files import load_any

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
    words = [arguments.dataset, *arguments.options.split()]
    words += ["--data-dir", arguments.data_dir] if arguments.data_dir else []
    for seed in arguments.seeds:
        for masks in arguments.masks:
            run_dir = arguments.folder / f"{masks}_{seed}"
            seconds = kept_run(run_dir, *words, "--masks", masks, "--seed", seed)
            for name in (BEFORE, AFTER):
                figures = functools.partial(evaluate, run_dir / f"{name}.keras", tests, seconds)
                results.complete(f"{masks}, {name}", seed, figures)
    print(*(table(group, results.rows) for group in GROUPS), sep="\n")


def evaluate(model: pathlib.Path, tests: dict[str, dict[str, Source]], seconds: float) -> dict:
    """Accuracies of a classifier in each group of tests, beside the seconds of its run."""
    classifier = load_any(str(model))
    found = {group: accuracies(classifier, own) for group, own in tests.items()}
    return {"seconds": seconds, **found}


def table(group: str, found: dict[str, dict[str, dict]]) -> str:
    """Of a group of tests: rows of classifiers, mean and deviation over the seeds."""
    lines = []
    for row, by_seed in found.items():
        each = [dict(own[group]) for own in by_seed.values()]
        for own in each:
            own["mean"] = statistics.fmean(own[name] for name in own if name not in NOT_IN_MEAN)
        seconds = statistics.fmean(own["seconds"] for own in by_seed.values())
        cells = [spread((own[name] for own in each), "±") for name in each[0]]
        lines = lines or [head(group, *each[0], "seconds")]
        lines.append(line(row, *cells, f"{seconds:.0f}"))
    return "\n".join([*lines, ""])


def _tests(dataset: Dataset, photographs: pathlib.Path | None) -> dict[str, dict[str, Source]]:
    clean = dataclasses.replace(dataset, tests={"clean": dataset.tests["clean"]})
    unseen = unseen_tests(dataset.tests["clean"], 0, photographs)
    groups = (with_backgrounds(clean).tests, unseen, with_noises(clean).tests)
    return {name: dict(own) for name, own in zip(GROUPS, groups, strict=True)}


if __name__ == "__main__":
    main()
