"""What lies in a run's folder, and what of it a reader is told first."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from bginv.checksums import read_sealed_json
from bginv.errors import UserError
from bginv.evaluation.accuracy import ERROR, Accuracies, is_same_place
from bginv.evaluation.groups import groups_from_json
from bginv.report.metrics import training_records
from bginv.report.page import Row, isolated, picture_of
from bginv.report.pictures import read_strip
from bginv.report.same_pictures import MIXED_RAND
from bginv.report.tables import PERCENT, Table, accuracy_table

BEFORE, AFTER = "before", "after"
MOST_WORST = 10
OWN_NETWORKS = {"classifier": "the paper's small network", "auto": ""}
"""What a model is called whose name tells nothing."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What lies in a run's folder.

    Attributes:
        path: the folder.
        settings: by section.
        results: of `results.json`; empty where there is none.
        records: of the training steps.
    """

    path: pathlib.Path
    settings: Mapping[str, Mapping[str, Any]]
    results: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.path.resolve().name

    @property
    def title(self) -> str:
        """Its data and its model, and the method where it is a rival's."""
        data = data_name(str(self.results.get("dataset") or self._asked_for("dataset")))
        model = str(self.results.get("model") or self._asked_for("architecture"))
        model = OWN_NETWORKS.get(model, model.removesuffix("_classifier"))
        named = (data or self.name, model, str(self._asked_for("method")))
        return ", ".join(filter(None, named))

    def _asked_for(self, setting: str) -> Any:
        """The value of a setting in the first section that has it, or ""."""
        values = (own[setting] for own in self.settings.values() if own.get(setting))
        return next(values, "")

    @property
    def accuracies(self) -> dict[str, Accuracies]:
        """Rows of the table, published ones too."""
        measure = self.results.get("measure", "accuracy")
        return {
            name: Accuracies(
                row["tests"],
                row["train"],
                measure,
                {test: groups_from_json(own) for test, own in row.get("groups", {}).items()},
            )
            for name, row in self.results.get("accuracy", {}).items()
        }

    @property
    def own_rows(self) -> list[str]:
        """Rows of this run, not those that others published."""
        return [name for name, row in self.accuracies.items() if row.train is not None]

    @property
    def shown_names(self) -> dict[str, str]:
        """What a page calls the rows: before and after, or the paper's words beside its rows."""
        names = list(self.accuracies)
        plain = len(names) == 2 == len(self.own_rows)
        return dict(zip(names, (BEFORE, AFTER) if plain else names, strict=True))

    @property
    def shown_rows(self) -> dict[str, Accuracies]:
        """`accuracies` by `shown_names`."""
        return {self.shown_names[name]: row for name, row in self.accuracies.items()}

    @property
    def table(self) -> Table | None:
        """Accuracies on every test."""
        return accuracy_table(self.shown_rows) if self.accuracies else None

    def rows_of(self, pattern: str, what: str) -> list[Row]:
        """A row of images for each strip whose file fits a pattern, its title from the name."""
        if "image_shape" not in self.results:  # an unfinished run, or one of another kind
            return []
        found = []
        for path in sorted(self.strips.glob(pattern)):
            title = path.stem.split("_", 1)[1].replace("_", " ")
            if title.startswith("epoch "):
                title = f"epoch {int(title.removeprefix('epoch '))}"
            found.append(Row(title, self._pictures(path, f"{what}, {title}")))
        return found

    def mistakes(self) -> list[Row]:
        """The most confident mistakes on each test."""
        found = []
        for test, mistakes in self.results.get("mistakes", {}).items():
            if not mistakes:
                found.append(Row(f"{test}: none", []))
                continue
            pictures = [
                dataclasses.replace(
                    picture,
                    alt=f"{test}: {own['true']} taken for {own['predicted']}",
                    caption=f"{isolated(own['true'])} → {isolated(own['predicted'])}, "
                    f"{100 * own['confidence']:.0f} %",
                )
                for picture, own in zip(
                    self._pictures(self.strips / mistakes[0]["file"], test), mistakes, strict=True
                )
            ]
            found.append(Row(test.replace("_", " "), pictures))
        return found

    @property
    def strips(self) -> pathlib.Path:
        """The folder of its images."""
        return self.path / "pictures" / "strips"

    def _pictures(self, path: pathlib.Path, what: str) -> list:
        images = read_strip(path, self.results["image_shape"][1])
        return [picture_of(image, f"{what}, {i}") for i, image in enumerate(images, 1)]


def read_run(path: pathlib.Path) -> Run:
    """What lies in a run's folder.

    Raises:
        UserError: no run is there, or a damaged one.
    """
    if not (path / "config.json").is_file():
        raise UserError(f"{path} is no folder of a run: it has no config.json")
    results = path / "results.json"
    metrics = path / "metrics.jsonl"
    return Run(
        path,
        _read_json(path / "config.json"),
        _read_json(results) if results.is_file() else {},
        training_records(metrics) if metrics.is_file() else [],
    )


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    try:
        return read_sealed_json(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; remove it, or name another run") from error


def data_name(dataset: str) -> str:
    """A data set in a title: its own name, or that of its folder."""
    kind, colon, rest = dataset.partition(":")
    name = pathlib.PurePath(rest).name if kind in ("folder", "waterbirds") else rest
    return name if colon else kind.removesuffix("_backgrounds")


MEASURES = {"accuracy": "Right", ERROR: "Mean absolute error"}


def summary(run: Run) -> str:
    """What the run has reached, in one sentence; "" where it tells nothing."""
    rows = {run.shown_names[name]: run.accuracies[name] for name in run.own_rows}
    if not rows or not any(row.tests for row in rows.values()):
        return ""
    last = list(rows.values())[-1]
    named = ("clean", *filter(is_same_place, last.tests))
    home = next((test for test in named if test in last.tests), None)
    where = home if home in last.groups else f"{home}, taken for the places of training"
    if home == "clean":
        where = "pictures as they are"
    others = {name: row.tests.get(MIXED_RAND, row.mean_background) for name, row in rows.items()}
    told: list[tuple[str, Mapping[str, float | None]]] = [("on other backgrounds", others)]
    for test in list(last.groups)[:1]:
        worst = {name: row.groups[test].worst for name, row in rows.items() if row.groups}
        told.insert(0, (f"in the worst group of {test}", worst))
    if home:
        told.append((f"on {where}", {name: row.tests[home] for name, row in rows.items()}))
    parts = [
        f"{place}: {_values(values, last.measure)}"
        for place, values in told
        if None not in values.values()
    ]
    measure = MEASURES.get(last.measure, "Mean AUROC")
    return f"{measure} {'; '.join(parts)}." if parts else ""


def _values(values: Mapping[str, float], measure: str) -> str:
    """Figures with the names of their rows, where there are several."""
    shown = (lambda own: f"{own:.4f}") if measure == ERROR else (lambda own: f"{100 * own:.1f} %")
    if len(values) == 1:
        return shown(*values.values())
    return ", ".join(f"{shown(own)} {name}" for name, own in values.items())


def worst_classes(run: Run) -> Table | None:
    """Accuracy of each class on the hardest test, the worst first; None where it is not known."""
    names, kept = run.results.get("class_names", []), run.results.get("confusion", {})
    own = [name for name in run.own_rows if kept.get(name)]
    if not own:
        return None
    last = run.accuracies[own[-1]].tests
    tests = [test for test in last if test in kept[own[-1]]]
    if not tests:
        return None
    test = MIXED_RAND if MIXED_RAND in tests else min(tests, key=last.__getitem__)
    rows = {}
    for number, name in enumerate(names):
        counts = {row: kept[row][test][number] for row in own if test in kept[row]}
        if not sum(counts[own[-1]]):
            continue
        cells = {run.shown_names[row]: n[number] / max(sum(n), 1) for row, n in counts.items()}
        rows[name] = {"pictures": sum(counts[own[-1]]), **cells}
        rows[name]["mostly taken for"] = _taken_for(counts[own[-1]], number, names)
    after = run.shown_names[own[-1]]
    worst = dict(sorted(rows.items(), key=lambda row: row[1][after])[:MOST_WORST])
    columns = [run.shown_names[row] for row in own]
    formats = {"pictures": "", **dict.fromkeys(columns, PERCENT), "mostly taken for": ""}
    return Table(f"{test.replace('_', ' ')}, in %", formats, worst)


def _taken_for(counts: Sequence[int], label: int, names: Sequence[str]) -> str | None:
    """The class that most of a class's mistakes are."""
    wrong = [0 if number == label else count for number, count in enumerate(counts)]
    most = max(range(len(wrong)), key=wrong.__getitem__)
    if not wrong[most]:
        return None
    return f"{names[most] if most < len(names) else most} ({wrong[most]})"
