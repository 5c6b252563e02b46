"""Peak memory of phases 1 and 3 on folders of 2,000 and of 20,000 JPEGs of 224x224, as JSON.

The pictures are generated in a temporary folder. Each training is a process of its own that reads
every file: before it starts, for its mask, and in the evaluation at its end. All take the same
number of steps, as what an allocator keeps of freed memory grows with the length of a run.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import cv2
import numpy as np
from measuring import ROOT, run

SIDE, TESTS = 224, 50
CLASSES = ("left", "right")


def main() -> None:
    """Generate, train, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--image-size", default="64", help="what the pictures are resized to")
    parser.add_argument("--steps", default="625", help="of each training, in batches of 32")
    parser.add_argument("--phases", nargs="+", choices=(1, 3), type=int, default=[1, 3])
    arguments = parser.parse_args()
    report = {}
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_pictures(folder / "pictures", count)
            options = ["--image-size", arguments.image_size, "--steps", arguments.steps]
            report[count] = measure(folder, arguments.phases, options)
        print(json.dumps({count: report[count]}), file=sys.stderr, flush=True)
    first, last = report[arguments.counts[0]], report[arguments.counts[-1]]
    growth = {
        script: round(last[script]["peak_mib"] / first[script]["peak_mib"] - 1, 4)
        for script in first
    }
    print(json.dumps({"peak": report, "growth": growth}, indent=2))


def write_pictures(folder: pathlib.Path, count: int) -> None:
    """A bright disc, left or right of the middle, on smooth noise."""
    random = np.random.default_rng(0)
    for split, number in (("train", count), ("test", TESTS)):
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
        for i in range(number):
            coarse = random.integers(0, 160, (28, 28, 3), np.uint8)
            picture = cv2.resize(coarse, (SIDE, SIDE))
            side = i % len(CLASSES)
            centre = (56 + 112 * side, int(random.integers(40, 184)))
            cv2.circle(picture, centre, 30, (255, 255, 255), -1)
            cv2.imwrite(str(folder / split / CLASSES[side] / f"{i}.jpg"), picture)


def measure(folder: pathlib.Path, phases: list[int], options: list[str]) -> dict[str, dict]:
    """Peak resident memory and seconds of each phase's script."""
    common = [*options, "--batchsize", "32", "--recipe", "tuned"]
    data = f"folder:{folder / 'pictures'}"
    scripts = {
        "train1": [data, "--output", "m1.keras"],
        "train3": [data, "m1.keras", "heuristic", "otsu", "adv", "--output", "m3.keras"],
    }
    found = {}
    for script in (f"train{phase}" for phase in phases):
        command = [sys.executable, str(ROOT / f"{script}.py"), *scripts[script], *common]
        ended = run(command, folder)
        peak = round(ended.peak_kib / 1024)
        found[script] = {"peak_mib": peak, "seconds": round(ended.seconds, 1)}
    return found


if __name__ == "__main__":
    main()
