"""Several runs side by side, as one page."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from bginv.output_files import write_text
from bginv.report.charts import compared_losses
from bginv.report.groups import group_tables
from bginv.report.page import Row, render
from bginv.report.run_page import NOT_SETTINGS, PHASE_TITLES, costs_table
from bginv.report.runs import Run, data_name, summary
from bginv.report.tables import Table, accuracy_table

WITHOUT_INFLUENCE = {"run_dir", "output", "overwrite", "resume", "data_dir", "tensorboard"}


def write_comparison(path: pathlib.Path, runs: Sequence[Run]) -> None:
    """Write a page with runs side by side.

    Args:
        path: HTML file.
        runs: at least one.
    """
    named = _by_name(runs)
    page = render(
        "comparison.html.j2",
        runs=named,
        title=" and ".join(dict.fromkeys(run.title for run in runs)),
        summaries={name: summary(run) for name, run in named.items()},
        tables=_tables(named),
        costs=costs_table(named),
        settings=_differences(named),
        curves=_curves(named),
        composites=_last_rows(named, "composites_epoch_*.png", "composites"),
        masks=_last_rows(named, "masks_binary.png", "masks"),
    )
    write_text(path, page)


def _by_name(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by the name of their folder, or by its path where two have the same."""
    names = [run.name for run in runs]
    return {run.name if names.count(run.name) == 1 else str(run.path): run for run in runs}


def _tables(runs: Mapping[str, Run]) -> list[Table]:
    """A table of accuracies for each data set and measure, and one of groups for each test."""
    groups: dict[tuple, dict] = {}
    for name, run in runs.items():
        for row, own in run.accuracies.items():
            tests = tuple(run.accuracies[run.own_rows[0]].tests)
            key = (run.results.get("dataset"), own.measure, tests)
            published = row not in run.own_rows
            groups.setdefault(key, {})[row if published else f"{name}: {run.shown_names[row]}"] = (
                own
            )
    found = []
    for (dataset, *_), rows in groups.items():
        # what others published stands once, below
        ordered = dict(sorted(rows.items(), key=lambda item: item[1].train is None))
        table = accuracy_table(ordered)
        found += [
            dataclasses.replace(shown, title=f"{data_name(str(dataset))}: {shown.title}")
            for shown in (table, *group_tables(ordered))
        ]
    return found


def _differences(runs: Mapping[str, Run]) -> Table | None:
    """Settings that are not the same in all runs."""
    found: dict[str, dict[str, Any]] = {}
    for name, run in runs.items():
        for section, own in run.settings.items():
            for setting in own.keys() - WITHOUT_INFLUENCE:
                if section not in NOT_SETTINGS:
                    found.setdefault(f"{section}.{setting}", {})[name] = own[setting]
    rows = {
        setting: {name: _shown(values.get(name)) for name in runs}
        for setting, values in sorted(found.items())
        if any(values.get(name) != values.get(next(iter(runs))) for name in runs)
    }
    return Table("setting", dict.fromkeys(runs, ""), rows) if rows else None


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


def _curves(runs: Mapping[str, Run]) -> dict[str, str]:
    """A chart of each phase's loss, by the phase's title."""
    phases = dict.fromkeys(record["phase"] for run in runs.values() for record in run.records)
    found = {}
    for phase in phases:
        by_run = {
            name: [record for record in run.records if record["phase"] == phase]
            for name, run in runs.items()
        }
        title = PHASE_TITLES.get(phase, phase)
        shown = {name: records for name, records in by_run.items() if records}
        found[title] = compared_losses(shown, f"loss of {title}")
    return found


def _last_rows(runs: Mapping[str, Run], pattern: str, what: str) -> list[Row]:
    """The last strip of each run that has one."""
    found = {name: run.rows_of(pattern, f"{name}, {what}") for name, run in runs.items()}
    return [
        dataclasses.replace(rows[-1], title=f"{name}: {rows[-1].title}")
        for name, rows in found.items()
        if rows
    ]
