"""The paper's three scripts in sequence, then their accuracies and times as JSON.

    python benchmarks/three_phases.py mnist --data-dir TFDS_FOLDER --masks learned

Each phase runs as its own process, as a user would run it, so the times include starting up,
computing masks, saving and evaluating.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="with a _backgrounds form, such as mnist")
    parser.add_argument("--data-dir", help="as the scripts take it")
    parser.add_argument("--masks", choices=("learned", "heuristic"), default="learned")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--json", type=pathlib.Path, help="file to write; else standard output")
    arguments = parser.parse_args()
    options = ["--recipe", "tuned", "--seed", arguments.seed]
    options += ["--data-dir", arguments.data_dir] if arguments.data_dir else []
    report = json.dumps(run_phases(arguments.dataset, arguments.masks, options), indent=2)
    if arguments.json:
        arguments.json.write_text(report + "\n", encoding="utf-8")
    else:
        print(report)


def run_phases(dataset: str, masks: str, options: list[str]) -> dict:
    """Accuracies before and after, seconds of each script, and the commands.

    Args:
        dataset: name without `_backgrounds`.
        masks: "learned" or "heuristic".
        options: given to each script.
    """
    tests = f"{dataset}_backgrounds"
    phases = {"train1": [tests, "--output", "m1.keras"]}
    if masks == "learned":
        phases["train2"] = [dataset, "m1.keras", "otsu", "--output", "u1.keras"]
    unet = "u1.keras" if masks == "learned" else "heuristic"
    phases["train3"] = [tests, "m1.keras", unet, "otsu", "adv", "--output", "m3.keras"]
    seconds, lines, commands = {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        for script, words in phases.items():
            command = [sys.executable, str(ROOT / f"{script}.py"), *words, *options]
            start = time.monotonic()
            ended = subprocess.run(
                command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True
            )
            seconds[script] = round(time.monotonic() - start, 1)
            lines[script] = ended.stdout.splitlines()[-1]
            commands.append(" ".join([f"{script}.py", *words, *options]))
    return {
        "masks": masks,
        "commands": commands,
        "seconds": {**seconds, "all": round(sum(seconds.values()), 1)},
        "before": _accuracies(lines["train1"]),
        "after": _accuracies(lines["train3"]),
    }


def _accuracies(line: str) -> dict[str, float]:
    """The last line of a script on a `_backgrounds` data set, by name."""
    from bginv.ops.patterns import BACKGROUNDS

    names = ("train", "clean", *BACKGROUNDS)
    values = [float(value) for value in line.split(",")[-len(names) :]]
    accuracies = dict(zip(names, values, strict=True))
    mean = statistics.fmean(accuracies[name] for name in BACKGROUNDS)
    return {**accuracies, "mean of backgrounds": mean}


if __name__ == "__main__":
    main()
