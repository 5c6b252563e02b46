"""The authors' scripts and ours on the same data with the same arguments, one after the other.

CLONE is the authors' repository (rpmcruz/background-invariance), PYTHON one with TensorFlow 2.15,
scikit-image, scipy and matplotlib. Their scripts run as they are; MNIST comes to them from a file
that is made of ours. Each model is then evaluated by both codes.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import sys

import numpy as np
from measuring import ROOT, head, line, run

NUM_TRAIN = 60000
THEIRS, OURS = "the paper's code", "bginv"
TESTS = (
    "clean", "stripes", "checkerboard", "border", "circumferences", "clock", "salt and pepper"
)  # fmt: skip

# in a process of its own: memory of this one counts for those that it starts
WRITE_DATA = """
import sys
import numpy as np
from bginv.data.catalog import load_data
path, limit, data_dir = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None
data = load_data("mnist", data_dir)
test, inner = data.tests["clean"], slice(2, -2)  # MNIST has 28x28 pixels
np.savez(
    path,
    x_train=data.train.images[:limit, inner, inner, 0],
    y_train=data.train.labels[:limit].astype(np.uint8),
    x_test=test.images[:, inner, inner, 0],
    y_test=test.labels.astype(np.uint8),
)
"""
RUN_REFERENCE = """
import runpy, sys
import numpy as np
import tensorflow as tf
with np.load(sys.argv[1]) as held:
    arrays = [held[name] for name in ("x_train", "y_train", "x_test", "y_test")]
tf.keras.datasets.mnist.load_data = lambda: (tuple(arrays[:2]), tuple(arrays[2:]))
sys.argv = sys.argv[2:]
sys.path.insert(0, str(__import__("pathlib").Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
PHASES = {
    "train1": "mnist --output m1.h5",
    "train2": "mnist m1.h5 otsu --output u1.h5",
    "train3": "mnist_backgrounds m1.h5 u1.h5 otsu adv --output m3.h5",
}
EPOCH_SECONDS = re.compile(r"Elapsed time: (\d+)s|\d+/\d+ - (\d+)s")


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    add_lengths(parser)
    options = parser.parse_args()
    folder = options.folder.resolve()
    comparison = Comparison(options, folder)
    found: dict[str, dict] = {THEIRS: {}, OURS: {}}
    for phase, arguments in PHASES.items():
        words = [*arguments.split(), "--epochs", str(options.epochs)]
        found[THEIRS][phase] = comparison.run_theirs(phase, words)
        found[OURS][phase] = comparison.run_ours(phase, words)
        print(phase, found[THEIRS][phase], found[OURS][phase], flush=True)
    accuracies = comparison.evaluate_all()
    report = {"epochs": options.epochs, "limit": options.limit, **found, "accuracy": accuracies}
    (folder / "against_paper.json").write_text(json.dumps(report, indent=2) + "\n")
    print(table(found, accuracies))


def add_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """What a `Comparison` needs."""
    parser.add_argument(
        "--reference", type=pathlib.Path, required=required, help="the authors' clone"
    )
    parser.add_argument(
        "--python", type=command_path, required=required, help="a Python with TensorFlow 2.15"
    )
    parser.add_argument("--data-dir", type=os.path.abspath, help="TFDS's data directory")
    parser.add_argument("--folder", type=pathlib.Path, default="against_paper")


def add_lengths(parser: argparse.ArgumentParser) -> None:
    """How long the phases are."""
    parser.add_argument("--epochs", type=int, default=1, help="of each phase")
    parser.add_argument("--limit", type=int, default=NUM_TRAIN, help="training images")


def command_path(name: str) -> str:
    """Absolute path of a command, as it is started from other folders; links are not followed."""
    return os.path.abspath(shutil.which(name) or name)


class Comparison:
    """Two folders, and the commands that are run in them.

    Args:
        options: of the command line.
        folder: for everything.
    """

    def __init__(self, options: argparse.Namespace, folder: pathlib.Path):
        self.options, self.folder, self.printed = options, folder, ""
        self.data = folder / "mnist.npz"
        for name in ("theirs", "ours"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._write_data()

    def run_theirs(self, script: str, words: list[str]) -> dict[str, float]:
        """One of their scripts: seconds of an epoch and in all, peak memory in GB."""
        seconds, memory, out = self._run(self._their_command(script, words), self.folder / "theirs")
        epochs = [int(a or b) for a, b in EPOCH_SECONDS.findall(out)]
        mean = float(np.mean(epochs))
        return {"epoch": mean, "last_epoch": epochs[-1], "all": seconds, "memory": memory}

    def run_ours(self, script: str, words: list[str]) -> dict[str, float]:
        """One of our scripts; see `run_theirs`."""
        run_dir = self.run_dir(script)
        more = ["--run-dir", str(run_dir), "--overwrite", "--limit", str(self.options.limit)]
        command = self._our_command(script, [*words, *more])
        seconds, memory, _ = self._run(command, self.folder / "ours")
        records = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
        training = sum(record.get("seconds", 0) for record in records)
        return {"epoch": training / self.options.epochs, "all": seconds, "memory": memory}

    def run_dir(self, script: str) -> pathlib.Path:
        """Where our script leaves what it measures."""
        return self.folder / "ours" / script

    def evaluate_all(self) -> dict[str, list[float]]:
        """Accuracies of each code's classifiers by each code's evaluate.py."""
        found = {}
        for owner, place in ((THEIRS, "theirs"), (OURS, "ours")):
            for phase, file in (("phase 1", "m1.h5"), ("phase 3", "m3.h5")):
                words = ["mnist_backgrounds", str(self.folder / place / file)]
                limit = ["--limit", str(self.options.limit)]
                commands = {
                    THEIRS: self._their_command("evaluate", words),
                    OURS: self._our_command("evaluate", [*words, *limit]),
                }
                for judge, command in commands.items():
                    _, _, out = self._run(command, self.folder)
                    last = next(own for own in reversed(out.splitlines()) if own.count(",") == 7)
                    row = f"{owner}, {phase}, evaluated by {judge}"
                    found[row] = [float(value) for value in last.split(",")]
        return found

    def _write_data(self) -> None:
        place = [str(self.data), str(self.options.limit), self.options.data_dir or ""]
        run([sys.executable, "-c", WRITE_DATA, *place])

    def _their_command(self, script: str, words: list[str]) -> list[str]:
        path = self.options.reference.resolve() / "src" / f"{script}.py"
        return [self.options.python, "-c", RUN_REFERENCE, str(self.data), str(path), *words]

    def _our_command(self, script: str, words: list[str]) -> list[str]:
        place = ["--data-dir", self.options.data_dir] if self.options.data_dir else []
        return [sys.executable, str(ROOT / f"{script}.py"), *words, *place]

    def _run(self, command: list[str], folder: pathlib.Path) -> tuple[float, float, str]:
        """Seconds, peak memory in GB and what is printed, by a process of its own."""
        seconds, peak, self.printed = run(command, folder)
        return round(seconds, 1), round(peak / 1e6, 2), self.printed


def table(found: dict[str, dict], accuracies: dict[str, list[float]]) -> str:
    """Two tables: time and memory of each phase, accuracies of each classifier."""
    lines = [head("", "seconds an epoch", "the script, s", "peak memory, GB")]
    for phase in PHASES:
        for code in (THEIRS, OURS):
            own = found[code][phase]
            cells = (f"{own['epoch']:.0f}", f"{own['all']:.0f}", f"{own['memory']:.1f}")
            lines.append(line(f"{phase}.py, {code}", *cells))
    lines += ["", head("accuracy in %", "train", *TESTS, "mean")]
    for row, values in accuracies.items():
        shown = [f"{100 * value:.2f}" for value in [*values, float(np.mean(values[2:]))]]
        lines.append(line(row, *shown))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
