"""What helps a pretrained network on photographs: rows of settings of `bginv run`, over seeds.

Choices are made by the columns of validation images; `--test` adds the test images, with five draws
of partners. Runs that are there are not done again.

    U2NET_HOME=MODELS python benchmarks/photographs.py FOLDER --runs runs/study
    U2NET_HOME=MODELS python benchmarks/photographs.py FOLDER --runs RUNS --rows default --test
"""

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

ROWS = {
    "default": [],
    "freeze": ["--freeze"],
    "freeze, 8 copies": ["--freeze", "--copies", "8"],
    "linear head on composites": ["--freeze", "--copies", "4"],
    "clean images alone": ["--composites", "0"],
    "all kinds of backgrounds": ["--mix", "0.8,0.05,0.05,0.05,0.05"],
    "shuffled patches alone": ["--mix", "0,1,0,0,0"],
    "blurred backgrounds alone": ["--mix", "0,0,1,0,0"],
    "noise alone": ["--mix", "0,0,0,1,0"],
    "black alone": ["--mix", "0,0,0,0,1"],
    "a third composites": ["--composites", "0.33"],
    "composites alone": ["--composites", "1"],
    "consistency 1": ["--consistency", "1"],
    "masks grown by 0 to 4": ["--mask-growth", "4"],
    "soft edges": ["--mask-sharpness", "1"],
    "without averaging": ["--average", "0"],
    "upper half": ["--frozen-share", "0.5"],
    "whole network": ["--frozen-share", "0"],
    "one rate for all layers": ["--lowest-rate", "1"],
    "batch normalization trained": ["--batch-norm", "trained"],
    "rate 3e-5": ["--learning-rate", "3e-5"],
    "rate 1e-3": ["--learning-rate", "1e-3"],
    "crops of 0.2 and more": ["--smallest-crop", "0.2"],
    "phase 1 on the whole network": ["--classifier-epochs", "4"],
}
TESTED = ("mixed_rand", "only_fg", "clean")
TEST_DRAWS, TEST_SEED = 5, 100


@dataclasses.dataclass(frozen=True)
class Measured:
    """Of one run: shares by test's name, and costs."""

    validation: dict[str, float]
    test: dict[str, float]
    kept: bool
    seconds: float
    gigabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--runs", type=pathlib.Path, required=True)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--test", action="store_true")
    arguments = parser.parse_args()
    tests = tests_of(arguments.folder) if arguments.test else {}
    columns = [f"validation {name}" for name in ("gap", *TESTED)]
    columns += [f"test {name}" for name in ("gap", *TESTED)] if tests else []
    print("| row | seeds | kept | " + " | ".join(columns) + " | seconds | GB |")
    print("| --- " + "| ---: " * (len(columns) + 4) + "|")
    for row in arguments.rows:
        found = []
        for seed in arguments.seeds:
            run(arguments.folder, arguments.runs / f"{row.replace(' ', '_')}-{seed}", row, seed)
            found.append(measured(arguments.runs / f"{row.replace(' ', '_')}-{seed}", tests))
        print(_line(row, found, bool(tests)), flush=True)


def run(folder: str, run_dir: pathlib.Path, row: str, seed: int) -> None:
    """`bginv run` with the settings of a row, unless it is there; its seconds go beside it."""
    if (run_dir / "results.json").is_file():
        return
    command = [sys.executable, "-m", "bginv", "run", folder, "--run-dir", str(run_dir)]
    began = time.monotonic()
    subprocess.run([*command, "--seed", str(seed), *ROWS[row]], check=True, stdout=sys.stderr)
    (run_dir / "seconds.txt").write_text(f"{time.monotonic() - began:.1f}\n")


def measured(run_dir: pathlib.Path, tests: dict) -> Measured:
    """What a run reached."""
    results = json.loads((run_dir / "results.json").read_text())
    test = {}
    if tests:
        import keras

        from bginv.evaluation.accuracy import count_correct

        classifier = keras.models.load_model(run_dir / "robust_classifier.keras")
        counts = count_correct(classifier, tests.values())
        test = {name: n / len(tests[name]) for name, n in zip(tests, counts, strict=True)}
    return Measured(
        results["validation"].get("phase 3") or results["validation"]["phase 1"],
        test,
        results["decision"]["kept"],
        float((run_dir / "seconds.txt").read_text()),
        results["peak_memory_bytes"] / 1e9,
    )


def tests_of(folder: str) -> dict:
    """The first test and its composites, with more draws of partners than a run takes."""
    import tempfile

    from bginv.data.catalog import load_data
    from bginv.data.composites import WithEmptied, composite_tests
    from bginv.data.emptied import emptied
    from bginv.masks.choice import choose
    from bginv.masks.store import find_masks

    dataset = load_data(folder, image_size=224)
    name, test = next(iter(dataset.tests.items()))
    source = choose("auto", dataset).source
    found = find_masks(test, source) if source else None
    masked = found.source if found else test
    behind = emptied(masked, pathlib.Path(tempfile.mkdtemp()))
    whole = WithEmptied(masked, behind, found.confidence > 0 if found else None)
    made = composite_tests(whole, dataset.num_classes, TEST_DRAWS, TEST_SEED)
    return {"clean": dataset.tests[name], **made}


def _line(row: str, found: list[Measured], tested: bool) -> str:
    cells = [row, str(len(found)), str(sum(own.kept for own in found))]
    for part in ("validation", "test") if tested else ("validation",):
        values = [getattr(own, part) for own in found]
        gaps = [own["mixed_same"] - own["mixed_rand"] for own in values]
        cells.append(_mean(gaps))
        cells += [_mean([own[name] for own in values]) for name in TESTED]
    seconds, memory = ([getattr(own, name) for own in found] for name in ("seconds", "gigabytes"))
    return "| " + " | ".join([*cells, f"{np.mean(seconds):.0f}", f"{np.max(memory):.2f}"]) + " |"


def _mean(values: list[float]) -> str:
    spread = f" +- {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


if __name__ == "__main__":
    main()
