"""Tables of groups, a class at a place: their accuracies, and their images in each split."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bginv.data.sources import Dataset, Source
from bginv.evaluation.accuracy import Accuracies
from bginv.evaluation.groups import GroupAccuracies, group_names, group_numbers
from bginv.evaluation.intervals import Interval
from bginv.report.tables import Table, percent

MOST_GROUPS = 20
"""Of a table, the worst ones."""
WORST_GROUP, MEAN_OF_GROUPS = "worst group", "mean of groups"


def group_tables(rows: Mapping[str, Accuracies]) -> list[Table]:
    """Accuracies of groups with 95 % intervals, a table a test, the worst group of the last first.

    Args:
        rows: by the row's name, which becomes that of a column.
    """
    tests = dict.fromkeys(test for row in rows.values() for test in row.groups)
    found = []
    for test in tests:
        own = {name: row.groups[test] for name, row in rows.items() if test in row.groups}
        found.append(group_table(own, test))
    return found


def group_table(found: Mapping[str, GroupAccuracies], test: str) -> Table:
    """Accuracies of the groups of one test with 95 % intervals; see `group_tables`.

    Args:
        found: by the column's name.
        test: its name, for the title.
    """
    last = list(found.values())[-1].intervals
    cells: dict[str, dict[str, Any]] = {
        WORST_GROUP: {name: percent(own.worst) for name, own in found.items()},
        MEAN_OF_GROUPS: {name: percent(own.mean) for name, own in found.items()},
    }
    for group in list(last)[:MOST_GROUPS]:
        cells[group] = {name: _with_ends(own.interval(group)) for name, own in found.items()}
        cells[group]["images"] = last[group].count
    some = f", the worst {MOST_GROUPS} of {len(last)}" if len(last) > MOST_GROUPS else ""
    title = f"groups of {test.replace('_', ' ')}{some}, accuracy in %"
    return Table(title, {"images": "", **dict.fromkeys(found, "")}, cells)


def _with_ends(own: Interval) -> str | None:
    if not own.count:
        return None
    return f"{percent(own.value)} [{percent(own.low)}, {percent(own.high)}]"


def group_counts_table(dataset: Dataset) -> Table | None:
    """Images of each group in each split, the smallest groups of training first; None: no places.

    Groups without an image are left out.
    """
    splits = {"train": dataset.train, **dataset.tests}
    counts = {name: _counts(own, dataset) for name, own in splits.items() if own.places is not None}
    if not counts:
        return None
    names = group_names(dataset.class_names, dataset.place_names)
    every = np.stack(list(counts.values()))
    order = [group for group in np.argsort(every[0], kind="stable") if every[:, group].any()]
    some = f", {MOST_GROUPS} of {len(order)}" if len(order) > MOST_GROUPS else ""
    rows = {
        names[group]: {split: int(own[group]) for split, own in counts.items()}
        for group in order[:MOST_GROUPS]
    }
    return Table(f"images of groups{some}", dict.fromkeys(counts, ""), rows)


def _counts(source: Source, dataset: Dataset) -> np.ndarray:
    numbers = group_numbers(source.labels, source.places, len(dataset.place_names))
    return np.bincount(numbers, minlength=dataset.num_classes * len(dataset.place_names))
