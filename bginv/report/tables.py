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


PUBLISHED_VARIATIONS = {
    "VGG16-BN": (0.943, 0.836, 0.734, 0.102, None),
    "ResNet-50": (0.956, 0.862, 0.789, 0.073, 0.223),
    "ResNet-152": (0.967, 0.893, 0.835, 0.058, None),
    "ResNet-50 (IN-9L)": (0.964, 0.898, 0.756, 0.142, 0.120),
    "ResNet-50 (IN-9/Mixed-Rand)": (0.733, 0.715, 0.713, 0.002, None),
}
"""Xiao et al. 2021, and the leaderboard of their challenge: accuracy on the original, mixed-same
and mixed-rand images, BG-Gap, challenge accuracy."""


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


def variations_table(found: Mapping[str, Any], model: str, comparable: bool) -> str:
    """Accuracies of the Backgrounds Challenge in %, with intervals, and published ones.

    Args:
        found: `accuracy` and `interval` of each variation, by name; `bg_gap` and
            `bg_gap_interval`; `challenge` with `foregrounds`, `vulnerable`, `challenge_accuracy`.
        model: name of its row.
        comparable: with published ones, which are of ImageNet-9.
    """
    accuracy, intervals = dict(found["accuracy"]), dict(found["interval"])
    if "bg_gap" in found:
        accuracy["BG-Gap"], intervals["BG-Gap"] = found["bg_gap"], found["bg_gap_interval"]
    low_high = [f"{_percent(low)} to {_percent(high)}" for low, high in intervals.values()]
    names = ("original", "mixed_same", "mixed_rand", "BG-Gap")
    rows = PUBLISHED_VARIATIONS if comparable else {}
    published = [
        [row, *(_percent(dict(zip(names, values, strict=False)).get(name)) for name in accuracy)]
        for row, values in rows.items()
    ]
    body = [[model, *map(_percent, accuracy.values())], ["95 % interval", *low_high], *published]
    header = ["accuracy in %", *(name.replace("_", " ") for name in accuracy)]
    table = _aligned(header, body)
    if "challenge" not in found:
        return table
    own = found["challenge"]
    share = _percent(own["challenge_accuracy"])
    body = [[model, f"{own['vulnerable']} of {own['foregrounds']}", share]]
    body += [
        [row, "-", _percent(values[-1])] for row, values in rows.items() if values[-1] is not None
    ]
    header = ["challenge", "vulnerable", "challenge accuracy in % (100 - vulnerable)"]
    return f"{table}\n{_aligned(header, body)}"


def calibration_table(rows: Mapping[str, Sequence[float]], title: str) -> str:
    """Calibration of each test before and after temperature scaling.

    Args:
        rows: expected calibration error before and after, in [0, 1], and negative log-likelihood
            before and after, in nats, by the test's name.
        title: of the first column.
    """
    header = [title, "ECE in %", "after", "NLL in nats", "after"]
    body = [
        [name, _percent(own[0]), _percent(own[1]), f"{own[2]:.3f}", f"{own[3]:.3f}"]
        for name, own in rows.items()
    ]
    return _aligned(header, body)


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
