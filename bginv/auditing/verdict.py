"""What the figures of an audit mean, in sentences."""

from collections.abc import Sequence

import numpy as np

from bginv.auditing.result import GAP, MaskReport, ModelAudit
from bginv.auditing.trap import Trap
from bginv.auditing.variants import CLEAN, MIXED_RAND, ONLY_FG
from bginv.evaluation.intervals import Interval

FOLLOWS = 0.05
"""A difference between places of a class that is surely above this is told first."""
RELIES, FREE = 0.01, 0.03
"""A gap whose interval is above the first is one; below the second, there is hardly any."""
ALONE = 0.05
"""Accuracy that objects lose without any background, above which it is told."""
FEW = 30
"""Pictures a class, below which it is named."""
MOST_NAMED = 4


def verdict_of(
    model: ModelAudit, masks: MaskReport, trap: Trap | None, class_names: Sequence[str]
) -> list[str]:
    """Sentences about a model, what matters first.

    Args:
        model: its figures.
        masks: what is known of them.
        trap: of the data.
        class_names: of the pictures.
    """
    places = _of_places(model, class_names)
    if places:
        first = places
    elif not masks.usable:
        first = [
            f"{model.name}: no verdict. {masks.sentences[0]} The figures below are of wrong cuts: "
            "mend the masks, or take others (--masks), and audit again."
        ]
    elif model.is_guessing:
        first = [
            f"{model.name}: no verdict. It gets {_percent(model.tests[CLEAN].value)} of the "
            f"pictures right, and guessing {_percent(model.guessing)}: see to the order of its "
            "classes (--class-map) and to the range of its pixels (--pixels)."
        ]
    elif model.gap.low > RELIES:
        first = _relies(model, trap, class_names)
    elif model.gap.high <= FREE:
        first = _is_free(model, trap, class_names)
    else:
        first = _is_open(model, trap, class_names)
    return [*first, *model.doubts, *_of_masks(masks)]


def doubts_of_data(labels: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """What speaks against figures of these pictures, whatever the model."""
    counts = np.bincount(labels, minlength=len(class_names))
    few = [f"{class_names[k]} ({counts[k]})" for k in np.argsort(counts) if 0 < counts[k] < FEW]
    none = [class_names[k] for k in np.flatnonzero(counts == 0)]
    told = []
    if few:
        told.append(f"Fewer than {FEW} pictures: {_named(few)}; their own figures tell little.")
    if none:
        told.append(f"No picture shows {_named(none)}: nothing is told of them.")
    return told


def _of_places(model: ModelAudit, names: Sequence[str]) -> list[str]:
    """What groups tell, which needs no mask; nothing where no class depends on its place."""
    found = model.groups and model.groups.surest_difference(names)
    if not found or found[2].low <= FOLLOWS:
        return []
    better, worse, difference = found
    best, worst = (model.groups.interval(name) for name in (better, worse))
    return [
        f"{model.name} follows the place: it gets {_percent(best.value)} of {better} right, and "
        f"{_percent(worst.value)} of {worse} ({_points(difference)} less).",
        "Train it on other backgrounds (bginv run, bginv.robustify), or let groups come as often "
        f"(--balance groups), and audit again. Gap on composites: {_points(model.gap)}.",
    ]


def _relies(model: ModelAudit, trap: Trap | None, names: Sequence[str]) -> list[str]:
    sure = [own.name for own in model.classes if own.figures[GAP].low > 0]
    worst = f", most of all at {_named(sure)}" if 0 < len(sure) < len(model.classes) else ""
    worst = ", at every class" if len(sure) == len(model.classes) else worst
    told = [f"{model.name} looks at the background: gap {_points(model.gap)}{worst}."]
    if trap and trap.tells:
        told.append(
            f"It may have learned that there: backgrounds of {trap.where} alone tell "
            f"{_percent(trap.accuracy.value)} of the classes{_of_classes(trap, names)}."
        )
    told.append("Train it on other backgrounds (bginv run, bginv.robustify), and audit again.")
    return told


def _is_free(model: ModelAudit, trap: Trap | None, names: Sequence[str]) -> list[str]:
    if trap and trap.tells:
        return [
            f"No sign that {model.name} looks at the background: gap {_points(model.gap)}.",
            _of_trap(trap, names),
        ]
    told = [f"{model.name} does not look at the background: gap {_points(model.gap)}."]
    lost = model.tests[CLEAN].low - model.tests[ONLY_FG].high if ONLY_FG in model.tests else 0.0
    if lost > ALONE:
        told.append(
            f"It does want one: of objects on black it gets {_percent(model.tests[ONLY_FG].value)} "
            f"right, of whole pictures {_percent(model.tests[CLEAN].value)}."
        )
    return told


def _of_trap(trap: Trap, names: Sequence[str]) -> str:
    return (
        f"But backgrounds of {trap.where} alone tell {_percent(trap.accuracy.value)} of the classes"
        f"{_of_classes(trap, names)}: this cannot prove that it needs none. Audit it on pictures "
        "of each class in other places."
    )


def _is_open(model: ModelAudit, trap: Trap | None, names: Sequence[str]) -> list[str]:
    width = model.gap.high - model.gap.low
    needed = int(np.ceil(model.gap.count * (width / FREE) ** 2 / 100) * 100)
    told = [
        f"{model.name}: {model.gap.count} pictures cannot tell. The gap is {_points(model.gap)}; "
        f"about {max(needed, model.gap.count + 100)} pictures would."
    ]
    if model.tests[CLEAN].low - model.tests[MIXED_RAND].high > FREE:
        told.append(
            f"It loses accuracy on any other background ({_percent(model.tests[CLEAN].value)} to "
            f"{_percent(model.tests[MIXED_RAND].value)}), as it may at the edges of cut objects."
        )
    return [*told, _of_trap(trap, names)] if trap and trap.tells else told


def _of_masks(masks: MaskReport) -> list[str]:
    told = [] if not masks.usable else [own for own in masks.sentences if "can be used" not in own]
    if masks.failures:
        first = next(iter(masks.failures))
        told.append(
            f"{len(masks.failures)} pictures have no mask and are left out, such as {first}."
        )
    return told


def _of_classes(trap: Trap, names: Sequence[str]) -> str:
    chosen = [names[number] for number in trap.classes]
    guess = f" (guessing {_percent(trap.chance)})"
    if len(chosen) == len(names):
        return f"{guess}, of every class"
    return f"{guess}, most of all of {_named(chosen)}" if chosen else guess


def _points(gap: Interval) -> str:
    return f"{100 * gap.value:.1f} points ({100 * gap.low:.1f} to {100 * gap.high:.1f})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
