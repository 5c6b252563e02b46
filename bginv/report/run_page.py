"""The page of a run: one file that needs no other, made of what lies in the run's folder."""

import base64
import dataclasses
import importlib.resources
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from bginv.checksums import read_sealed_json
from bginv.errors import UserError
from bginv.evaluation.accuracy import ERROR, Accuracies, is_same_place
from bginv.evaluation.groups import groups_from_json
from bginv.output_files import write_text
from bginv.report.charts import learning_curves, noise_curves
from bginv.report.groups import group_tables
from bginv.report.metrics import training_records
from bginv.report.pictures import read_strip
from bginv.report.tables import Table, accuracy_table

REPORT = "report.html"
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


@dataclasses.dataclass(frozen=True)
class Picture:
    """One image of a page.

    Attributes:
        source: data URI.
        alt: what it shows, in words.
        caption: below it; may be empty.
    """

    source: str
    alt: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """Images that belong together, under a title."""

    title: str
    pictures: Sequence[Picture]


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
    def table(self) -> Table | None:
        """Accuracies on every test."""
        return accuracy_table(self.accuracies) if self.accuracies else None

    @property
    def own_rows(self) -> list[str]:
        """Rows of this run, not those that others published."""
        return [name for name, row in self.accuracies.items() if row.train is not None]

    def rows_of(self, pattern: str, what: str) -> list[Row]:
        """A row of images for each strip whose file fits a pattern, its title from the name."""
        if "image_shape" not in self.results:  # an unfinished run, or one of another kind
            return []
        found = []
        for path in sorted((self.path / "pictures" / "strips").glob(pattern)):
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
            path = self.path / "pictures" / "strips" / mistakes[0]["file"]
            pictures = [
                dataclasses.replace(
                    picture,
                    alt=f"{test}: {own['true']} taken for {own['predicted']}",
                    caption=f"{_isolated(own['true'])} → {_isolated(own['predicted'])}, "
                    f"{100 * own['confidence']:.0f} %",
                )
                for picture, own in zip(self._pictures(path, test), mistakes, strict=True)
            ]
            found.append(Row(test.replace("_", " "), pictures))
        return found

    def _pictures(self, path: pathlib.Path, what: str) -> list[Picture]:
        files = read_strip(path, self.results["image_shape"][1])
        return [
            Picture(f"data:image/png;base64,{base64.b64encode(file).decode()}", f"{what}, {i}")
            for i, file in enumerate(files, 1)
        ]


def _isolated(name: str) -> str:
    """A name that does not turn the text around it, as those written from right to left do."""
    return name if name.isascii() else f"\u2068{name}\u2069"


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


def write_report(folder: pathlib.Path) -> pathlib.Path:
    """Write `report.html` into the folder of a run."""
    run = read_run(folder)
    page = render(
        "run.html.j2",
        run=run,
        command=run.settings.get("command", {}).get("line", ""),
        summary=summary(run),
        noise_chart=_noise_chart(run.results.get("noises", {})),
        composites=run.rows_of("composites_epoch_*.png", "composites"),
        batches=run.rows_of("batches_*.png", "images of a batch"),
        backgrounds=run.rows_of("backgrounds_*.png", "generated backgrounds"),
        masks=_mask_rows(run),
        mistakes=run.mistakes(),
        confusions=_confusions(run),
        group_tables=group_tables(run.accuracies),
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


def summary(run: Run) -> str:
    """What the run has reached, in its own words or in one sentence; "" where it tells nothing."""
    if run.results.get("headline"):
        return " ".join(run.results["headline"])
    rows = run.accuracies
    own = run.own_rows
    if not own:
        return ""
    last = rows[own[-1]]
    if last.mean_background is None:
        return ""
    shown = (lambda v: f"{v:.4f}") if last.measure == ERROR else (lambda v: f"{100 * v:.1f} %")
    first = rows[own[0]] if len(own) > 1 else None
    before = f"{shown(first.mean_background)} → " if first and first.mean_background else ""
    home = "clean" if "clean" in last.tests else next(filter(is_same_place, last.tests), None)
    named = "clean images" if home == "clean" else f"{home}, taken for the places of training,"
    clean = f"; on {named} {shown(last.tests[home])}" if home else ""
    what = last.measure[0].upper() + last.measure[1:]
    return f"{what} on other backgrounds, mean: {before}{shown(last.mean_background)}{clean}."


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


def _noise_chart(noises: Mapping[str, Mapping[str, float]]) -> str:
    curves = {
        row: {float(test.split()[-1]): accuracy for test, accuracy in own.items()}
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
            # a classifier may know more classes than the data has
            counts = [line[: len(names)] for line in by_test[test][: len(names)]]
            shares = [[(n, n / max(sum(line), 1)) for n in line] for line in counts]
            found.append(Matrix(f"{row}, {test.replace('_', ' ')}", shares))
    return found


def _settings_of(run: Run) -> dict[str, dict[str, Any]]:
    """Settings by section, without those that say where things are."""
    return {
        section: {name: value for name, value in own.items() if value is not None}
        for section, own in run.settings.items()
        if section not in NOT_SETTINGS
    }


def render(name: str, **values: Any) -> str:
    """A template of this room; what is put into it is escaped, but for charts and tables."""
    folder = importlib.resources.files("bginv.report")
    loader = jinja2.FunctionLoader(lambda wanted: folder.joinpath(wanted).read_text("utf-8"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name).render(**values)
