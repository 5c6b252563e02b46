"""The paper's table: a row a model, a column a background."""

import json
from collections.abc import Mapping
from typing import Any

from bginv.evaluation.accuracy import Accuracies

PUBLISHED = {
    "mnist_backgrounds": {
        "Traditional (published)": (0.380, 0.243, 0.614, 0.329, 0.197, 0.112),
        "Proposal (published)": (0.923, 0.768, 0.931, 0.937, 0.708, 0.862),
    }
}
"""Cruz et al. 2020, on stripes, checkerboard, border, circumferences, clock, salt and pepper."""


def published_rows(dataset_name: str) -> dict[str, Accuracies]:
    """The paper's own accuracies on a data set, by the row's name; empty where it has none."""
    names = ("stripes", "checkerboard", "border", "circumferences", "clock", "salt_pepper")
    return {
        row: Accuracies(dict(zip(names, values, strict=True)))
        for row, values in PUBLISHED.get(dataset_name, {}).items()
    }


def markdown_table(rows: Mapping[str, Accuracies]) -> str:
    """Accuracies in %, with the mean over backgrounds last.

    Args:
        rows: by the row's name; the first row decides the columns.
    """
    tests = list(next(iter(rows.values())).tests)
    header = ["accuracy in %", *(test.replace("_", " ") for test in tests), "mean of backgrounds"]
    body = [
        [name, *(_percent(row.tests.get(test)) for test in tests), _percent(row.mean_background)]
        for name, row in rows.items()
    ]
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    aligned = [
        [cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]
        for cells in (header, *body)
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = (aligned[0], rule, *aligned[1:])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def json_results(rows: Mapping[str, Accuracies], **more: Any) -> str:
    """The same rows as JSON, accuracies in [0, 1], beside whatever else is given."""
    content = {
        name: {
            "train": row.train,
            "tests": dict(row.tests),
            "mean_of_backgrounds": row.mean_background,
        }
        for name, row in rows.items()
    }
    return json.dumps({**more, "accuracy": content}, indent=2) + "\n"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
