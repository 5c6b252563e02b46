"""Rivals and ours on photographs: clean, on other backgrounds, in the worst group; over seeds.

A row is a method: of the last layer alone (`--quick` does these, on features computed once), or of
the whole network, each a run of its own. `--recipe` has the study of our recipe in its place, whose
choices are made by the columns of validation images. Runs that are there are not done again.
"""

import argparse
import json
import pathlib
import statistics
import sys
from collections.abc import Mapping, Sequence

from measuring import ROOT, head, kept_run, line, run
from photograph_tests import COLUMNS, load, summarized, tests_of

from bginv.methods.rivals.settings import GROUPS, MASKS, RIVALS

WHOLE = ("--epochs", "8", "--batchsize", "16", "--batch-norm", "fixed")
RATE = ("--learning-rate", "0.001")
ROWS = {
    "erm": ["--method", "erm", *WHOLE, *RATE],
    "group-balanced": ["--method", "group-balanced", *WHOLE, *RATE],
    "group-dro": ["--method", "group-dro", *WHOLE, *RATE],
    "jtt": ["--method", "jtt", *WHOLE, *RATE, "--weight-decay", "1e-4", "--first-epochs", "1",
            "--upweight", "10", "--epochs", "4"],
    "dfr": ["--method", "dfr", *WHOLE, *RATE],
    "afr": ["--method", "afr", *WHOLE, *RATE],
    "gradient-penalty": ["--method", "gradient-penalty", *WHOLE, *RATE, "--gradient-weight",
                         "0.01"],
    "right-reasons": ["--method", "right-reasons", *WHOLE, *RATE, "--gradient-weight", "1"],
    "contrast": ["--method", "contrast", *WHOLE, *RATE, "--optimizer", "sgd"],
    "background-swap": ["--method", "background-swap", *WHOLE, *RATE],
    "copy-paste": ["--method", "copy-paste", *WHOLE, *RATE],
    "ours": ["--recipe", "photographs"],
    "ours, groups": ["--recipe", "photographs", "--balance", "groups"],
    "ours, last layer": ["--recipe", "photographs", "--freeze"],
}  # fmt: skip
"""Words for `bginv run`; rivals pass over the images eight times, jtt once and then four times."""
RECIPE = {
    "default": [],
    "freeze": ["--freeze"],
    "freeze, 2 copies": ["--freeze", "--copies", "2"],
    "freeze, 8 copies": ["--freeze", "--copies", "8"],
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
"""The same of our recipe's parts."""
TRUE_MASKS = ("shapes",)
"""Sets that bring masks, which are taken; those of photographs are found."""
JUDGED = ("mixed_rand", "only_fg", "clean")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "data", nargs="*", metavar="NAME=DATA", help="{seed} in DATA stands for the seed"
    )
    parser.add_argument(
        "--shared", type=pathlib.Path, help="makes all sets of its seven, horses and photos"
    )
    parser.add_argument("--runs", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, help="JSON file for the rows")
    parser.add_argument("--quick", action="store_true", help="last layers alone")
    parser.add_argument("--recipe", action="store_true", help="the study of our recipe")
    parser.add_argument("--rows", nargs="+", choices={**ROWS, **RECIPE}, metavar="ROW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--masks", default="saliency", help="as bginv run takes it")
    options = parser.parse_args()
    data = dict(own.split("=", 1) for own in options.data)
    if options.shared:
        data |= made_of(options.shared, options.runs / "data", options.seeds)
    rows: list[dict] = []
    for name, path in data.items():
        masks = "given" if path in TRUE_MASKS else options.masks
        rows += _rows(name, path, masks, options)
        if options.output:
            options.output.write_text(json.dumps({"rows": rows}, indent=2) + "\n")
    print(table(rows))


def made_of(shared: pathlib.Path, folder: pathlib.Path, seeds: Sequence[int]) -> dict[str, str]:
    """Every set, by name; those that are made of others are made once."""
    horses = folder / "horses"
    if not horses.is_dir():
        run(_script("horses_folder", shared / "horses", shared / "photos", horses))
    for seed in seeds:
        made = folder / f"trapped-{seed}"
        if not (made / "seven" / "metadata.csv").is_file():  # its last file
            run(_script("make_trapped_sets", "--shared", shared, "--output", made, "--seed", seed))
    trapped = f"waterbirds:{folder}/trapped-{{seed}}"
    return {
        "seven": f"folder:{shared / 'seven'}",
        "horses": f"folder:{horses}",
        "correlated horses": f"{trapped}/horses",
        "correlated seven": f"{trapped}/seven",
        "shapes": "shapes",
    }


def _script(name: str, *words: object) -> list[str]:
    return [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *map(str, words)]


def _rows(name: str, path: str, masks: str, options: argparse.Namespace) -> list[dict]:
    if options.quick:
        from last_layers import rows_of

        return rows_of(name, path, masks, options.runs / "features", options.seeds)
    chosen = RECIPE if options.recipe else ROWS
    tests = {seed: tests_of(load(path.format(seed=seed)), masks) for seed in options.seeds}
    has_places = bool(tests[options.seeds[0]].dataset.place_names)
    rows: list[dict] = []
    for row in options.rows or chosen:
        method = next(iter(chosen[row][1:2]), "") if "--method" in chosen[row] else ""
        needs = RIVALS[method].needs if method else MASKS
        if "groups" in chosen[row]:
            needs = f"{MASKS}, {GROUPS}"
        if GROUPS in needs and not has_places:
            continue
        words = [path, "--masks", masks, *chosen[row]]
        rows.append(_whole_row(name, row, needs, words, tests, options))
        print(rows[-1], flush=True)
    return rows


def _whole_row(name: str, row: str, needs: str, words: Sequence[str], tests, options) -> dict:
    import keras

    measured, judged, seconds, gigabytes = [], [], [], []
    for seed in options.seeds:
        run_dir = options.runs / f"{name}-{row}-{seed}".replace(" ", "_")
        seconds.append(
            kept_run(run_dir, *(word.format(seed=seed) for word in words), "--seed", seed)
        )
        results = json.loads((run_dir / "results.json").read_text())
        gigabytes.append(results["peak_memory_bytes"] / 1e9)
        file = "robust_classifier.keras" if "decision" in results else "classifier.keras"
        measured.append(tests[seed].measure(keras.models.load_model(run_dir / file)))
        validation = results.get("validation", {})
        judged.append(validation.get("phase 3") or validation.get("phase 1") or {})
    return {
        "data": name,
        "method": row,
        "labels_needed": needs,
        "seconds": round(statistics.fmean(seconds), 1),
        "gigabytes": round(max(gigabytes), 2),
        **summarized(measured),
        "validation": [{key: own[key] for key in JUDGED if key in own} for own in judged],
    }


def table(rows: Sequence[Mapping]) -> str:
    """The rows as a Markdown table."""
    lines = [head("data", "method", "labels", *COLUMNS, "seconds", "GB", left=3)]
    for row in rows:
        cells = [
            f"{row['mean'][name]:.1f} +- {row['deviation'][name]:.1f}"
            if name in row["mean"]
            else "-"
            for name in COLUMNS
        ]
        costs = f"{row['seconds']:.0f}", f"{row['gigabytes']:.2f}" if "gigabytes" in row else "-"
        lines.append(line(row["data"], row["method"], row["labels_needed"], *cells, *costs))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
