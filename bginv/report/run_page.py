"""The page of a run: one file that needs no other, made of what lies in the run's folder."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from bginv.output_files import write_text
from bginv.report.charts import learning_curves, noise_curves
from bginv.report.groups import group_tables
from bginv.report.page import Row, render
from bginv.report.runs import Run, read_run, summary, worst_classes
from bginv.report.same_pictures import right_answers_of, rows_of_same
from bginv.report.tables import Table

REPORT, AUDIT = "report.html", "audit.html"
PHASE_TITLES = {
    "classifier": "Phase 1: classifier",
    "masks": "Phase 2: mask generator",
    "adversarial": "Phase 3: classifier against backgrounds",
    "classifier_on_all": "Phase 1 on all images",
    "adversarial_on_all": "Phase 3 on all images",
}
MASK_STRIPS = {"image": "image", "soft": "soft mask", "binary": "binary mask"}
MOST_SHOWN_CLASSES = 20
NOT_SETTINGS = ("inputs", "command")
"""Sections of `config.json` that are something else."""


def write_report(folder: pathlib.Path) -> pathlib.Path:
    """Write `report.html` into the folder of a run."""
    run = read_run(folder)
    told, names = run.results.get("same_pictures", {}), run.shown_names
    page = render(
        "run.html.j2",
        run=run,
        audit=AUDIT if (folder / AUDIT).is_file() else "",
        same=rows_of_same(run.strips, told, names),
        shown_names=[names[row] for row in run.own_rows],
        right_answers=right_answers_of(told, names),
        worst=worst_classes(run),
        about_masks=run.results.get("masks", {}).get("sentences", []),
        command=run.settings.get("command", {}).get("line", ""),
        summary=summary(run),
        noise_chart=_noise_chart(run),
        composites=run.rows_of("composites_epoch_*.png", "composites"),
        batches=run.rows_of("batches_*.png", "images of a batch"),
        backgrounds=run.rows_of("backgrounds_*.png", "generated backgrounds"),
        masks=_mask_rows(run),
        mistakes=run.mistakes(),
        confusions=_confusions(run),
        group_tables=group_tables(run.shown_rows),
        curves=curves_of(run),
        costs=costs_table({run.name: run}),
        settings=_settings_of(run),
    )
    write_text(folder / REPORT, page)
    return folder / REPORT


def notebook_page(run: Run) -> str:
    """The table of a run with a few of its pictures, for a cell of a notebook."""
    composites = run.rows_of("composites_epoch_*.png", "composites")
    rows = [*_mask_rows(run), *composites[-1:], *run.mistakes()[-1:]]
    return render("notebook.html.j2", run=run, rows=rows)


def curves_of(run: Run) -> dict[str, str]:
    """A chart of each phase's losses, by its title."""
    phases = dict.fromkeys(record["phase"] for record in run.records)
    found = {}
    for phase in phases:
        own = [record for record in run.records if record["phase"] == phase]
        title = PHASE_TITLES.get(phase, phase)
        found[title] = learning_curves(own, f"losses of {title} over {own[-1]['step']} steps")
    return found


def costs_table(runs: Mapping[str, Run]) -> Table:
    """Seconds of each phase's steps, and memory."""
    phases = dict.fromkeys(
        phase for run in runs.values() for phase in run.results.get("training_seconds", {})
    )
    rows = {}
    for name, run in runs.items():
        seconds = run.results.get("training_seconds", {})
        memory = run.results.get("peak_memory_bytes")
        rows[name] = {f"{phase}, s": seconds.get(phase) for phase in phases}
        rows[name] |= {"all, s": sum(seconds.values()) if seconds else None}
        rows[name] |= {"peak memory, GB": memory and memory / 1e9}
    formats = {**{f"{phase}, s": ".1f" for phase in phases}, "all, s": ".1f"}
    return Table("run", {**formats, "peak memory, GB": ".2f"}, rows)


def _mask_rows(run: Run) -> list[Row]:
    rows = {row.title: row for row in run.rows_of("masks_*.png", "training images")}
    return [
        Row(title, [dataclasses.replace(p, alt=f"{title} {i}") for i, p in enumerate(own, 1)])
        for kind, title in MASK_STRIPS.items()
        if (own := rows[kind].pictures if kind in rows else [])
    ]


def _noise_chart(run: Run) -> str:
    noises: Mapping[str, Mapping[str, float]] = run.results.get("noises", {})
    curves = {
        run.shown_names[row]: {float(test.split()[-1]): accuracy for test, accuracy in own.items()}
        for row, own in noises.items()
        if own
    }
    return noise_curves(curves, "accuracy over the rate of salt and pepper") if curves else ""


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A confusion matrix under its title; `shares` are rows of (count, share of its row)."""

    title: str
    shares: Sequence[Sequence[tuple[int, float]]]


def _confusions(run: Run) -> list[Matrix]:
    """Of each own row, on the first test and on the one with the lowest accuracy."""
    names = run.results.get("class_names", [])
    if len(names) > MOST_SHOWN_CLASSES:
        return []
    found = []
    for row, by_test in run.results.get("confusion", {}).items():
        tests = run.accuracies[row].tests
        worst = min(tests, key=tests.__getitem__)
        for test in dict.fromkeys((next(iter(tests)), worst)):
            if test not in by_test:  # too many classes
                continue
            # a classifier may know more classes than the data has: these count in the shares
            counts = by_test[test][: len(names)]
            shares = [[(n, n / max(sum(own), 1)) for n in own[: len(names)]] for own in counts]
            found.append(Matrix(f"{run.shown_names[row]}, {test.replace('_', ' ')}", shares))
    return found


def _settings_of(run: Run) -> dict[str, dict[str, Any]]:
    """Settings by section, without those that say where things are."""
    return {
        section: {name: value for name, value in own.items() if value is not None}
        for section, own in run.settings.items()
        if section not in NOT_SETTINGS
    }
