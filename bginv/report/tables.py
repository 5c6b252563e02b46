"""The paper's table: a row a model, a column a background."""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bginv.data.sources import Dataset, pixel_range
from bginv.evaluation.accuracy import Accuracies
from bginv.evaluation.confusion import Confusion
from bginv.evaluation.label_maps import ClassCounts
from bginv.evaluation.segmentation import Agreement

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
    return _aligned(header, body)


def agreement_table(rows: Mapping[str, Agreement], title: str) -> str:
    """How masks agree with true ones, in %.

    Args:
        rows: by the row's name.
        title: of the first column.
    """
    names = [field.name for field in dataclasses.fields(Agreement)]
    header = [title, *("IoU" if name == "iou" else name for name in names)]
    body = [[row, *(_percent(getattr(own, name)) for name in names)] for row, own in rows.items()]
    return _aligned(header, body)


def label_maps_table(counts: ClassCounts, class_names: Sequence[str], title: str) -> str:
    """IoU, precision and recall of each class in %, and their means.

    As EADER reports them, the mean IoU is that over background and classes, the others are those
    over classes.

    Args:
        counts: background first.
        class_names: without background.
        title: of the first column.
    """
    columns = {"IoU": counts.iou, "precision": counts.precision, "recall": counts.recall}
    body = [
        [name, *(_percent(values[place]) for values in columns.values())]
        for place, name in enumerate(["background", *class_names])
    ]
    means = [counts.iou.mean(), counts.precision[1:].mean(), counts.recall[1:].mean()]
    return _aligned([title, *columns], [*body, ["mean", *map(_percent, means)]])


def class_iou_table(rows: Mapping[str, Confusion], class_names: Sequence[str], title: str) -> str:
    """IoU of each class in %, their mean, and the share of pixels that are right.

    Args:
        rows: by the row's name.
        class_names: of the columns.
        title: of the first column.
    """
    body = [
        [name, *map(_percent, (*own.iou, own.mean_iou, own.accuracy))] for name, own in rows.items()
    ]
    return _aligned([title, *class_names, "mean", "pixels"], body)


def auroc_table(
    rows: Mapping[str, Sequence[float | None]], class_names: Sequence[str], title: str
) -> str:
    """AUROC of each class in %, and the mean over classes.

    Args:
        rows: values of the classes, by the row's name.
        class_names: one for each value.
        title: of the first column.
    """
    body = []
    for name, values in rows.items():
        known = [value for value in values if value is not None]
        mean = statistics.fmean(known) if known else None
        body.append([name, *map(_percent, values), _percent(mean)])
    return _aligned([title, *class_names, "mean"], body)


def catalog_table(rows: Sequence[Sequence[str]]) -> str:
    """Every data set: name, what it shows, size, where its data comes from, whether it is there."""
    header = ["name", "what", "images", "data", "present"]
    return _aligned(header, [list(row) for row in rows], left=len(header))


def splits_table(dataset: Dataset) -> str:
    """Splits of a data set: their size, images of each class, and the range of the pixels."""
    header = ["split", "images", "size", "pixels", "masks", *dataset.class_names]
    body = []
    for name, source in {"train": dataset.train, **dataset.tests}.items():
        low, high = pixel_range(source)
        counts = [len(source.rows_of_class(label)) for label in range(dataset.num_classes)]
        size = "x".join(map(str, dataset.image_shape))
        masks = "yes" if source.has_masks else "no"
        body.append([name, str(len(source)), size, f"{low:.2f} to {high:.2f}", masks])
        body[-1] += map(str, counts)
    return _aligned(header, body)


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
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def _aligned(header: list[str], body: list[list[str]], left: int = 1) -> str:
    """A Markdown table, the first `left` columns to the left and the others to the right."""
    header, *body = ([cell.replace("|", "\\|") for cell in row] for row in (header, *body))
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    aligned = [
        [
            *map(str.ljust, cells[:left], widths[:left]),
            *map(str.rjust, cells[left:], widths[left:]),
        ]
        for cells in (header, *body)
    ]
    rule = [
        *("-" * width for width in widths[:left]),
        *("-" * (width - 1) + ":" for width in widths[left:]),
    ]
    lines = (aligned[0], rule, *aligned[1:])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
