"""What an audit found: figures with intervals, and their forms for people and programs."""

import dataclasses
import html
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bginv.auditing.conditions import Condition
from bginv.auditing.gradients import GradientShare
from bginv.auditing.intervals import difference, difference_of_sums
from bginv.auditing.scoring import Pull, Scored
from bginv.auditing.trap import Trap
from bginv.auditing.variants import (
    CLEAN,
    MEANINGS,
    MIXED_RAND,
    MIXED_SAME,
    ONLY_FG,
    CutPictures,
)
from bginv.errors import UserError
from bginv.evaluation.groups import GroupAccuracies
from bginv.evaluation.intervals import UNKNOWN, Interval
from bginv.masks.trust import Trust
from bginv.output_files import write_text
from bginv.report.groups import group_table
from bginv.report.tables import Table

SCHEMA = "bginv.audit/1"
GAP, CHANGED, WORST_GROUP = "gap", "changed", "worst_group"
FIGURES = (GAP, CHANGED, *MEANINGS, WORST_GROUP)
"""What a condition may name."""
OF_WHOLE_PICTURES = (CLEAN, WORST_GROUP)
"""Figures of pictures as they are, for which nothing is cut out."""
OF_CLASSES = (CLEAN, ONLY_FG, MIXED_RAND, GAP)


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """Figures of one class.

    Attributes:
        name: of the class.
        count: its pictures.
        figures: by name, those of `OF_CLASSES`.
    """

    name: str
    count: int
    figures: Mapping[str, Interval]


@dataclasses.dataclass(frozen=True)
class ModelAudit:
    """What an audit found of one model.

    Attributes:
        name: of the model.
        tests: accuracies by test.
        gap: the background gap, `mixed_same` minus `mixed_rand`.
        changed: share of the pictures whose class some background changes.
        classes: figures by class, the largest gap first.
        pulls: backgrounds that pull objects of one class to another, the strongest first.
        gradient: where its gradients lie; None where they cannot be had.
        pixels: the range that it takes and how that was found, in words.
        matching: how its classes were matched, in words.
        doubts: what speaks against its figures, in sentences.
        scored: its answers.
        groups: accuracy on the pictures as they are, by group; None where they have no places.
    """

    name: str
    tests: Mapping[str, Interval]
    gap: Interval
    changed: Interval
    classes: Sequence[ClassFigures]
    pulls: Sequence[Pull]
    gradient: GradientShare | None
    pixels: str
    matching: str
    doubts: Sequence[str]
    scored: Scored
    groups: GroupAccuracies | None = None

    @property
    def worst_group(self) -> Interval:
        """The smallest accuracy of a group; unknown where there are none."""
        return self.groups.interval(self.groups.worst_name) if self.groups else UNKNOWN

    @property
    def guessing(self) -> float:
        """Share of the pictures that one gets right who always names the commonest class."""
        return float(np.bincount(self.scored.labels).max() / len(self.scored.labels))

    @property
    def is_guessing(self) -> bool:
        """Whether it may do no better than that."""
        return self.tests[CLEAN].low <= self.guessing

    def tells(self, name: str, masks: "MaskReport") -> bool:
        """Whether a figure can be believed.

        Those of composites want masks that show objects, and a model that does not guess.
        """
        return name in OF_WHOLE_PICTURES or (masks.usable and not self.is_guessing)

    def figure(self, name: str) -> Interval:
        """A figure of `FIGURES`; unknown where its test was not made."""
        own = {GAP: self.gap, CHANGED: self.changed, WORST_GROUP: self.worst_group}
        return own.get(name) or self.tests.get(name, UNKNOWN)

    def as_json(self, class_names: Sequence[str]) -> dict[str, Any]:
        """The figures by name."""
        return {
            "name": self.name,
            "tests": {name: own.as_json("accuracy") for name, own in self.tests.items()},
            "gap": self.gap.as_json(),
            "changed": self.changed.as_json(),
            "classes": {
                own.name: {name: figure.as_json() for name, figure in own.figures.items()}
                for own in self.classes
            },
            "groups": self.groups.as_json() if self.groups else None,
            "pulls": [
                {
                    "object": class_names[pull.objects],
                    "background": class_names[pull.backgrounds],
                    "share": round(pull.share, 6),
                    "elsewhere": round(pull.elsewhere, 6),
                    "count": pull.count,
                }
                for pull in self.pulls
            ],
            "gradient": dataclasses.asdict(self.gradient) if self.gradient else None,
            "pixels": self.pixels,
            "classes_matched": self.matching,
            "doubts": list(self.doubts),
        }


@dataclasses.dataclass(frozen=True)
class MaskReport:
    """What is known of the masks.

    Attributes:
        reason: where they are from, and why.
        trust: measures; None where there are too few.
        usable: whether backgrounds can be told from objects by them.
        sentences: what they are good for, or what speaks against them.
        failures: pictures without a mask, by name, and why.
    """

    reason: str
    trust: Trust | None
    usable: bool
    sentences: Sequence[str]
    failures: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class AuditResult:
    """What an audit found; it prints as a verdict and a table.

    Attributes:
        models: one for each model, in the order given.
        verdicts: sentences for each model.
        data: name of the data, and its split.
        class_names: of the pictures.
        labels: int [N], classes of the pictures.
        donors: by test: int [M, D], whose backgrounds; rows are those of `scored.rows`.
        masks: what is known of them.
        trap: how well backgrounds alone tell the class; None where it was not tried.
        pictures: those that were looked at.
        seed: of the choice of donors.
        seconds: that it took.
    """

    models: Sequence[ModelAudit]
    verdicts: Sequence[Sequence[str]]
    data: str
    class_names: Sequence[str]
    labels: np.ndarray
    donors: Mapping[str, np.ndarray]
    masks: MaskReport
    trap: Trap | None
    pictures: CutPictures = dataclasses.field(repr=False)
    seed: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [self.verdict, "", self.table(), *map(str, self.group_tables())]
        if len(self.models) > 1:
            parts += ["", *self.comparisons()]
        return "\n".join(parts)

    @property
    def verdict(self) -> str:
        """All sentences, model by model."""
        return "\n".join(" ".join(own) for own in self.verdicts)

    def table(self) -> str:
        """Figures of all models; up to two fit 80 columns with their intervals."""
        return str(self._table())

    def _repr_html_(self) -> str:
        """Verdict and table in a notebook."""
        told = "".join(f"<p>{html.escape(' '.join(own))}</p>" for own in self.verdicts)
        return told + self._table().html()

    def _table(self) -> Table:
        wide = len(self.models) <= 2
        names = self._short_names()
        last = [WORST_GROUP] if self.group_tables() else []
        tests = [name for name in MEANINGS if name in self.models[0].tests]
        rows = {
            name: {
                short: _shown(model.figure(name), wide)
                for short, model in zip(names, self.models, strict=True)
            }
            for name in (GAP, *tests, CHANGED, *last)
        }
        return Table("% [95 %]" if wide else "%", dict.fromkeys(names, ""), rows)

    def group_tables(self) -> list[Table]:
        """Accuracy of each group on the pictures as they are, the worst first; none: no places."""
        found = {
            short: model.groups
            for short, model in zip(self._short_names(), self.models, strict=True)
            if model.groups
        }
        return [group_table(found, CLEAN)] if found else []

    def _short_names(self) -> list[str]:
        """Names of the models for a table, no two alike."""
        full = [model.name for model in self.models]
        names = list(map(_short, full))
        return names if len(set(names)) == len(names) else full

    def comparisons(self) -> list[str]:
        """How each model differs from the first, in lines."""
        first, lines = self.models[0], []
        for other in self.models[1:]:
            found = self.compare(first, other)
            told = ", ".join(f"{name} {_signed(own)}" for name, own in found.items())
            lines.append(f"{other.name} minus {first.name}, in pairs, points: {told}.")
        return lines

    @staticmethod
    def compare(one: ModelAudit, other: ModelAudit) -> dict[str, Interval]:
        """Paired differences, another model minus one: of the gap, and of accuracies."""
        mine, theirs = one.scored, other.scored
        gap = difference_of_sums(
            [
                (1.0, theirs.answers(MIXED_SAME)),
                (-1.0, theirs.answers(MIXED_RAND)),
                (-1.0, mine.answers(MIXED_SAME)),
                (1.0, mine.answers(MIXED_RAND)),
            ]
        )
        tests = [name for name in (MIXED_RAND, ONLY_FG, CLEAN) if name in one.tests]
        return {
            GAP: gap,
            **{name: difference(theirs.answers(name), mine.answers(name)) for name in tests},
        }

    def as_json(self) -> dict[str, Any]:
        """Everything that `--json` writes; docs/audit.md says what it means."""
        return {
            "schema": SCHEMA,
            "data": {
                "name": self.data,
                "pictures": len(self.labels),
                "with_object": int(self.pictures.has_object.sum()),
                "classes": list(self.class_names),
                "backgrounds_tell": self._trap_as_json(),
            },
            "masks": {
                "reason": self.masks.reason,
                "usable": self.masks.usable,
                "sentences": list(self.masks.sentences),
                "failures": dict(self.masks.failures),
            },
            "models": [own.as_json(self.class_names) for own in self.models],
            "differences": [
                {
                    "name": other.name,
                    "from": self.models[0].name,
                    **{
                        name: own.as_json()
                        for name, own in self.compare(self.models[0], other).items()
                    },
                }
                for other in self.models[1:]
            ],
            "verdicts": [list(own) for own in self.verdicts],
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
        }

    def write_json(self, path: str | pathlib.Path) -> None:
        """Write `as_json` to a file."""
        write_text(
            pathlib.Path(path), json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n"
        )

    def write_page(self, path: str | pathlib.Path) -> None:
        """Write the page, one file that needs no other."""
        from bginv.auditing.page import audit_page

        write_text(pathlib.Path(path), audit_page(self))

    def violations(self, conditions: Sequence[Condition]) -> list[str]:
        """Conditions that hold beyond the interval, in lines; figures that tell nothing hold none.

        Raises:
            UserError: one is of groups, and the pictures have no places.
        """
        of_groups = [own.text for own in conditions if own.name == WORST_GROUP]
        if of_groups and any(model.groups is None for model in self.models):
            raise UserError(
                f"{of_groups[0]} cannot be told, as the pictures have no places: give --groups "
                "FILE.csv, or folders of places in the class folders"
            )
        return [
            f"{model.name}: {condition.text} holds, {_shown(model.figure(condition.name), True)} %"
            for condition in conditions
            for model in self.models
            if model.tells(condition.name, self.masks)
            and condition.holds(model.figure(condition.name))
        ]

    def untold(self, conditions: Sequence[Condition]) -> list[str]:
        """Conditions on figures that tell nothing, see `ModelAudit.tells`, in lines."""
        return [
            f"{model.name}: no verdict, so {condition.text} cannot be told"
            for condition in conditions
            for model in self.models
            if not model.tells(condition.name, self.masks)
        ]

    def _trap_as_json(self) -> dict[str, Any] | None:
        if self.trap is None:
            return None
        named = [self.class_names[number] for number in self.trap.classes]
        chance = None if self.trap.chance != self.trap.chance else round(self.trap.chance, 6)
        return {**self.trap.accuracy.as_json("accuracy"), "chance": chance, "classes": named}


def _shown(own: Interval, wide: bool) -> str:
    if own.count == 0:
        return "-"
    text = f"{100 * own.value:.1f}"
    return f"{text} [{100 * own.low:.1f}, {100 * own.high:.1f}]" if wide else text


def _signed(own: Interval) -> str:
    return f"{100 * own.value:+.1f} [{100 * own.low:+.1f}, {100 * own.high:+.1f}]"


def _short(name: str, width: int = 27) -> str:
    return name if len(name) <= width else f"…{name[1 - width :]}"
