"""Images per second and peak memory of each phase: the authors' code and ours, alternating.

CLONE and PYTHON as for `against_paper.py`. Theirs trains at its batch size of 8; ours at 8 with the
recipe of the paper, and with the tuned recipe at its own. Tracing does not count: the authors'
code is timed by its last epoch, ours by the median of its progress reports.
"""

import argparse
import json
import pathlib
import statistics

from against_paper import OURS, PHASES, THEIRS, Comparison, add_arguments, add_lengths
from measuring import head, line

MNIST_IMAGES = 60000
TUNED, TUNED_STEPS = "bginv, tuned", 200


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    add_lengths(parser)
    parser.set_defaults(epochs=2, limit=10000, folder=pathlib.Path("phases"))
    options = parser.parse_args()
    comparison = Comparison(options, options.folder.resolve())
    rows = {}
    for phase, arguments in PHASES.items():
        words = arguments.split()
        epochs = ["--epochs", str(options.epochs)]
        theirs = comparison.run_theirs(phase, [*words, *epochs])
        rows[f"{phase}, {THEIRS}"] = {
            "rate": options.limit / theirs["last_epoch"],
            "memory": theirs["memory"],
        }
        for name, more in {
            OURS: epochs,
            TUNED: ["--recipe", "tuned", "--steps", str(TUNED_STEPS)],
        }.items():
            ours = comparison.run_ours(phase, [*words, *more])
            rate = _rate(comparison.run_dir(phase) / "metrics.jsonl")
            rows[f"{phase}, {name}"] = {"rate": rate, "memory": ours["memory"]}
        print(table(rows), flush=True)
    (options.folder / "phases.json").write_text(json.dumps(rows, indent=2) + "\n")


def table(rows: dict[str, dict[str, float]]) -> str:
    """Each row beside the authors' row of the same phase."""
    columns = ("images/s", "times as fast", "s an epoch of MNIST", "peak memory, GB")
    lines = [head("", *columns, "share of theirs")]
    for name, row in rows.items():
        theirs = rows[f"{name.split(',')[0]}, {THEIRS}"]
        cells = [
            f"{row['rate']:.0f}",
            f"{row['rate'] / theirs['rate']:.2f}",
            f"{MNIST_IMAGES / row['rate']:.0f}",
            f"{row['memory']:.2f}",
            f"{row['memory'] / theirs['memory']:.2f}",
        ]
        lines.append(line(name, *cells))
    return "\n".join(lines)


def _rate(metrics: pathlib.Path) -> float:
    """Images a second, the median of all reports but the first, which contains tracing."""
    records = map(json.loads, metrics.read_text().splitlines())
    rates = [record["images_per_second"] for record in records if "step" in record]
    return statistics.median(rates[1:] or rates)


if __name__ == "__main__":
    main()
