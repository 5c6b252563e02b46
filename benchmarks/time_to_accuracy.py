"""Seconds until the mean over the six test patterns reaches what the paper reports on MNIST.

Ours: `bginv run` from nothing, with phases of a share of the tuned recipe's lengths, a larger one
until it gets there; seconds up to the trained model's file, so start-up, reading the data, masks
and the evaluation of phase 1's classifier count. Theirs (CLONE and PYTHON as for
`against_paper.py`): the epochs of the three scripts alone, learned masks.
"""

import argparse
import json
import pathlib
import re
import time

from against_paper import NUM_TRAIN, OURS, PHASES, THEIRS, Comparison, add_arguments
from measuring import bginv, run

from bginv.methods.background_invariance.settings import resolve_phases

WANTED = 0.855
SHARES = (0.02, 0.04, 0.08, 0.16, 0.32, 1.0)
THEIR_EPOCHS = (3, 2, 5)
EPOCH = re.compile(r"Elapsed time: (\d+)s.*?test: ([\d.,]+)", re.DOTALL)


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, required=False)
    parser.set_defaults(folder=pathlib.Path("time_to_accuracy"), limit=NUM_TRAIN)
    options = parser.parse_args()
    if bool(options.reference) != bool(options.python):
        parser.error("--reference and --python go together")
    options.folder = options.folder.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for code, points_of in {OURS: ours, **({THEIRS: theirs} if options.reference else {})}.items():
        found[code] = points_of(options)
        shown = (f"{100 * mean:.1f} % after {seconds:.0f} s" for seconds, mean in found[code])
        print(f"{code}: {', '.join(shown)}", flush=True)
        (options.folder / "time_to_accuracy.json").write_text(json.dumps(found, indent=2) + "\n")


def ours(options: argparse.Namespace) -> list[tuple[float, float]]:
    """Seconds to the trained model and the mean it reaches, for longer and longer runs."""
    steps = {
        name: settings.steps
        for name, settings in resolve_phases({"dataset": "mnist"}, "tuned").items()
    }
    points = []
    for share in SHARES:
        run_dir = options.folder / f"ours_{share}"
        words = ["mnist", "--run-dir", str(run_dir), "--overwrite"]
        words += ["--data-dir", options.data_dir] if options.data_dir else []
        for name, count in steps.items():
            words += [f"--{name}-steps", str(max(1, round(share * count)))]
        began = time.time()
        run(bginv("run", *words))
        row = json.loads((run_dir / "results.json").read_text())["accuracy"]["Proposal"]
        trained = (run_dir / "robust_classifier.keras").stat().st_mtime
        points.append((trained - began, row["mean_of_backgrounds"]))
        if points[-1][1] >= WANTED:
            break
    return points


def theirs(options: argparse.Namespace) -> list[tuple[float, float]]:
    """Seconds of training up to each epoch of phase 3, and the mean after it."""
    comparison = Comparison(options, options.folder)
    seconds, points = 0.0, []
    for (phase, arguments), epochs in zip(PHASES.items(), THEIR_EPOCHS, strict=True):
        words = [*arguments.split(), "--epochs", str(epochs)]
        taken = comparison.run_theirs(phase, words)
        if phase != "train3":
            seconds += taken["epoch"] * epochs
            continue
        for elapsed, accuracies in EPOCH.findall(comparison.printed):
            seconds += int(elapsed)
            backgrounds = [float(value) for value in accuracies.split(",")][1:]
            points.append((seconds, sum(backgrounds) / len(backgrounds)))
    return points


if __name__ == "__main__":
    main()
