"""Tables in Markdown, HTML and text."""

import dataclasses
import html
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bginv.checksums import sealed_json
from bginv.data.sources import Dataset, pixel_range
from bginv.evaluation.accuracy import ERROR, Accuracies, is_same_place
from bginv.evaluation.segmentation import Agreement, ClassCounts, Confusion
from bginv.interop.export import Exported

PERCENT = "percent"


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of numbers or texts.

    Attributes:
        title: of the first column, which holds the rows' names.
        formats: by the column's name: `PERCENT` for shares, else a format such as ".3f" or "".
        rows: by the row's name: values by the column's name; what is None, NaN or missing is shown
            as "-".
    """

    title: str
    formats: Mapping[str, str]
    rows: Mapping[str, Mapping[str, Any]]

    def __str__(self) -> str:
        return aligned([self.title, *self.formats], self._cells())

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        return self.html()

    def html(self) -> str:
        """The table for a page."""
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self._header())
        body = "".join(
            f'<tr><th scope="row">{html.escape(name)}</th>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def to_pandas(self):
        """A `pandas.DataFrame` of the values as they are, shares in [0, 1].

        Raises:
            ModuleNotFoundError: pandas is not there.
        """
        try:
            import pandas
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("to_pandas needs pandas: pip install pandas") from error
        rows = [[row.get(name) for name in self.formats] for row in self.rows.values()]
        return pandas.DataFrame(rows, index=list(self.rows), columns=list(self.formats))

    def _header(self) -> list[str]:
        return [self.title, *self.formats]

    def _cells(self) -> list[list[str]]:
        return [
            [name, *(_shown(row.get(column), form) for column, form in self.formats.items())]
            for name, row in self.rows.items()
        ]


def percent(value: float | None) -> str:
    """A share in [0, 1] in %, with one decimal."""
    return _shown(value, PERCENT)


def aligned(header: Sequence[str], body: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table, the first `left` columns to the left and the others to the right."""
    header, *body = ([_in_one_line(cell) for cell in row] for row in (header, *body))
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    lines = [
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
    lines.insert(1, rule)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _in_one_line(cell: str) -> str:
    """A cell that neither ends its row nor its column."""
    return (cell if cell.isprintable() else repr(cell)[1:-1]).replace("|", "\\|")


def _shown(value: Any, form: str) -> str:
    if value is None or isinstance(value, float) and math.isnan(value):
        return "-"
    return f"{100 * value:.1f}" if form == PERCENT else format(value, form)


MEAN, GAP = "mean of backgrounds", "background gap"
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


def background_gap(row: Accuracies) -> float | None:
    """What backgrounds of other classes cost (BG-Gap, Xiao et al. 2021); None where not tested."""
    same, other = (row.tests.get(name) for name in ("mixed_same", "mixed_rand"))
    return None if same is None or other is None else same - other


def accuracy_table(rows: Mapping[str, Accuracies]) -> Table:
    """Accuracies (or see `Accuracies.measure`): the background gap first, the mean of others last.

    Tests whose images have places get a column of their worst groups too.

    The mean's title names the tests that it leaves out for their names, but one called "clean".

    Args:
        rows: by the row's name; the first row decides the columns.
    """
    tests = {test: test.replace("_", " ") for test in next(iter(rows.values())).tests}
    left_out = [shown for test, shown in tests.items() if is_same_place(test) and test != "clean"]
    mean = f"{MEAN} (without {', '.join(left_out)})" if left_out else MEAN
    gaps = {name: background_gap(row) for name, row in rows.items()}
    grouped = [test for test in tests if any(test in row.groups for row in rows.values())]
    worst = {test: f"worst group of {tests[test]}" for test in grouped}
    cells = {
        name: {
            GAP: gaps[name],
            **{shown: row.tests.get(test) for test, shown in tests.items()},
            **{worst[test]: own.worst for test, own in row.groups.items() if test in worst},
            mean: row.mean_background,
        }
        for name, row in rows.items()
    }
    measure = next(iter(rows.values())).measure
    title, form = (measure, ".4f") if measure == ERROR else (f"{measure} in %", PERCENT)
    columns = [GAP] if any(gap is not None for gap in gaps.values()) else []
    columns += [*tests.values(), *worst.values()]
    if any(row.mean_background is not None for row in rows.values()):
        columns.append(mean)
    return Table(title, dict.fromkeys(columns, form), cells)


def agreement_table(rows: Mapping[str, Agreement], title: str) -> str:
    """How masks agree with true ones, in %.

    Args:
        rows: by the row's name.
        title: of the first column.
    """
    names = [field.name for field in dataclasses.fields(Agreement)]
    header = [title, *("IoU" if name == "iou" else name for name in names)]
    body = [[row, *(percent(getattr(own, name)) for name in names)] for row, own in rows.items()]
    return aligned(header, body)


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
        [name, *(percent(values[place]) for values in columns.values())]
        for place, name in enumerate(["background", *class_names])
    ]
    means = [counts.iou.mean(), counts.precision[1:].mean(), counts.recall[1:].mean()]
    return aligned([title, *columns], [*body, ["mean", *map(percent, means)]])


def class_iou_table(rows: Mapping[str, Confusion], class_names: Sequence[str], title: str) -> str:
    """IoU of each class in %, their mean, and the share of pixels that are right.

    Args:
        rows: by the row's name.
        class_names: of the columns.
        title: of the first column.
    """
    body = [
        [name, *map(percent, (*own.iou, own.mean_iou, own.accuracy))] for name, own in rows.items()
    ]
    return aligned([title, *class_names, "mean", "pixels"], body)


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
        body.append([name, *map(percent, values), percent(mean)])
    return aligned([title, *class_names, "mean"], body)


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
    low_high = [f"{percent(low)} to {percent(high)}" for low, high in intervals.values()]
    names = ("original", "mixed_same", "mixed_rand", "BG-Gap")
    rows = PUBLISHED_VARIATIONS if comparable else {}
    published = [
        [row, *(percent(dict(zip(names, values, strict=False)).get(name)) for name in accuracy)]
        for row, values in rows.items()
    ]
    body = [[model, *map(percent, accuracy.values())], ["95 % interval", *low_high], *published]
    header = ["accuracy in %", *(name.replace("_", " ") for name in accuracy)]
    table = aligned(header, body)
    if "challenge" not in found:
        return table
    own = found["challenge"]
    share = percent(own["challenge_accuracy"])
    body = [[model, f"{own['vulnerable']} of {own['foregrounds']}", share]]
    body += [
        [row, "-", percent(values[-1])] for row, values in rows.items() if values[-1] is not None
    ]
    header = ["challenge", "vulnerable", "challenge accuracy in % (100 - vulnerable)"]
    return f"{table}\n{aligned(header, body)}"


def calibration_table(rows: Mapping[str, Sequence[float]], title: str) -> str:
    """Calibration of each test before and after temperature scaling.

    Args:
        rows: expected calibration error before and after, in [0, 1], and negative log-likelihood
            before and after, in nats, by the test's name.
        title: of the first column.
    """
    header = [title, "ECE in %", "after", "NLL in nats", "after"]
    body = [
        [name, percent(own[0]), percent(own[1]), f"{own[2]:.3f}", f"{own[3]:.3f}"]
        for name, own in rows.items()
    ]
    return aligned(header, body)


def exports_table(found: Mapping[str, Exported]) -> Table:
    """Files of an exported model beside the model itself."""
    formats = {"MB": ".2f", "largest difference": ".1e", "same class in %": PERCENT}
    formats |= {"ms an image": ".2f", "file": ""}
    rows = {
        name: {
            "MB": None if own.size is None else own.size / 1e6,
            "largest difference": own.difference,
            "same class in %": own.agreement,
            "ms an image": own.milliseconds,
            "file": own.problem or str(own.path),
        }
        for name, own in found.items()
    }
    return Table("format", formats, rows)


def catalog_table(rows: Sequence[Sequence[str]]) -> str:
    """Every data set: name, what it shows, size, where its data comes from, whether it is there."""
    header = ["name", "what", "images", "data", "present"]
    return aligned(header, [list(row) for row in rows], left=len(header))


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
    return aligned(header, body)


def json_results(rows: Mapping[str, Accuracies], **more: Any) -> str:
    """The same rows as JSON, accuracies in [0, 1], beside whatever else is given."""
    content = {
        name: {
            "train": row.train,
            "tests": dict(row.tests),
            "mean_of_backgrounds": row.mean_background,
            "groups": {test: own.as_json() for test, own in row.groups.items()},
        }
        for name, row in rows.items()
    }
    return sealed_json({**more, "accuracy": content}, indent=2) + "\n"
