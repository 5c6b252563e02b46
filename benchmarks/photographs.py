"""What helps a pretrained network on photographs: rows of settings of `bginv run`, over seeds.

Choices are made by the columns of validation images; `--test` adds the test images, with five draws
of partners. Runs that are there are not done again.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics

from measuring import accuracies, head, kept_run, line, spread

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
    print(head("row", "seeds", "kept", *columns, "seconds", "GB"))
    for row in arguments.rows:
        found = []
        for seed in arguments.seeds:
            run_dir = arguments.runs / f"{row.replace(' ', '_')}-{seed}"
            seconds = kept_run(run_dir, arguments.folder, "--seed", seed, *ROWS[row])
            found.append(measured(run_dir, seconds, tests))
        print(line(row, *_cells(found, bool(tests))), flush=True)


def measured(run_dir: pathlib.Path, seconds: float, tests: dict) -> Measured:
    """What a run reached."""
    results = json.loads((run_dir / "results.json").read_text())
    test = {}
    if tests:
        import keras

        test = accuracies(keras.models.load_model(run_dir / "robust_classifier.keras"), tests)
    return Measured(
        results["validation"].get("phase 3") or results["validation"]["phase 1"],
        test,
        results["decision"]["kept"],
        seconds,
        results["peak_memory_bytes"] / 1e9,
    )


def tests_of(folder: str) -> dict:
    """The first test and its composites, with more draws of partners than a run takes."""
    import tempfile

    from bginv.data.catalog import load_data
    from bginv.data.composites import WithEmptied, composite_tests, emptied
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


def _cells(found: list[Measured], tested: bool) -> list[str]:
    cells = [str(len(found)), str(sum(own.kept for own in found))]
    for part in ("validation", "test") if tested else ("validation",):
        values = [getattr(own, part) for own in found]
        cells.append(spread(own["mixed_same"] - own["mixed_rand"] for own in values))
        cells += [spread(own[name] for own in values) for name in TESTED]
    seconds = statistics.fmean(own.seconds for own in found)
    return [*cells, f"{seconds:.0f}", f"{max(own.gigabytes for own in found):.2f}"]


if __name__ == "__main__":
    main()
