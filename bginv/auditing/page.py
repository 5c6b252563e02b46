"""The page of an audit: the verdict first, then the figures, the pictures, and how it was done."""

import numpy as np

import bginv
from bginv.auditing.result import GAP, OF_CLASSES, AuditResult, ModelAudit
from bginv.auditing.scoring import Pull
from bginv.auditing.variants import CLEAN, GREY, MEANINGS, MIXED_RAND, CutPictures
from bginv.data.variations import MIXED
from bginv.report.charts import intervals
from bginv.report.page import SIDE, Answer, Picture, Row, isolated, picture_of, render
from bginv.report.runs import data_name
from bginv.report.tables import PERCENT, Table

FLIPS, MOST_CLASSES, MOST_CUTS = 20, 20, 8


def audit_page(result: AuditResult) -> str:
    """The page, HTML that needs no other file."""
    pictures = result.pictures
    figures = {model.name: _figures(model) for model in result.models}
    gaps = {
        model.name: {GAP: (model.gap.value, model.gap.low, model.gap.high)}
        for model in result.models
    }
    return render(
        "audit.html.j2",
        result=result,
        data=data_name(result.data),
        cuts=_cuts(pictures),
        version=bginv.__version__,
        count=len(pictures),
        gap_chart=intervals(gaps, "background gap with 95 % intervals", "background gap, points"),
        chart=intervals(figures, "accuracies with 95 % intervals", "accuracy, %"),
        meanings=MEANINGS,
        classes={model.name: _classes(model) for model in result.models},
        groups=result.group_tables(),
        most_classes=MOST_CLASSES,
        pulls={model.name: [_told(own, result) for own in model.pulls] for model in result.models},
        flips={model.name: _flips(model, result) for model in result.models},
        comparisons=result.comparisons(),
    )


def _figures(model: ModelAudit) -> dict[str, tuple[float, float, float]]:
    return {name: (own.value, own.low, own.high) for name, own in model.tests.items() if own.count}


def _classes(model: ModelAudit) -> Table:
    rows = {
        own.name: {
            "pictures": own.count,
            **{name: own.figures[name].value for name in OF_CLASSES if name in own.figures},
            "gap from": own.figures[GAP].low,
            "gap to": own.figures[GAP].high,
        }
        for own in model.classes[:MOST_CLASSES]
    }
    names = ("clean", "only_fg", "mixed_rand", GAP, "gap from", "gap to")
    return Table("class", {"pictures": "", **dict.fromkeys(names, PERCENT)}, rows)


def _told(pull: Pull, result: AuditResult) -> str:
    objects, other = (result.class_names[k] for k in (pull.objects, pull.backgrounds))
    return (
        f"{objects} on backgrounds of {other}: {100 * pull.share:.0f} % are taken for {other}, "
        f"elsewhere {100 * pull.elsewhere:.0f} % ({pull.count} composites)"
    )


def _flips(model: ModelAudit, result: AuditResult) -> list[Row]:
    """Pictures that the model gets right, and a background on which it does not."""
    scored, names = model.scored, (*result.class_names, "another class")
    clean = scored.classes[CLEAN][:, 0]
    found = []
    for test in MIXED:
        if test not in scored.classes:
            continue
        rows = scored.rows[test][:, None]
        changed = (scored.classes[test] != scored.labels[rows]) & (
            clean[rows] == scored.labels[rows]
        )
        for place, draw in zip(*np.nonzero(changed), strict=True):
            confidence = float(scored.confidence[test][place, draw])
            found.append((confidence, test, int(place), int(draw)))
    found.sort(key=lambda own: (own[1] != MIXED_RAND, -own[0]))
    shown, flips = set(), []
    for confidence, test, place, draw in found:
        row = int(scored.rows[test][place])
        if row in shown:
            continue
        shown.add(row)
        donor = int(scored.donors[test][place, draw])
        answer, true = names[int(scored.classes[test][place, draw])], names[int(clean[row])]
        composite = result.pictures.show(test, np.array([row]), np.array([donor]))[0]
        of_donor = names[int(scored.labels[donor])]
        flips.append(
            Row(
                true,
                [
                    picture_of(
                        result.pictures.images[row],
                        f"{isolated(true)}, as it is",
                        "as it is",
                        [Answer(isolated(true), True)],
                    ),
                    picture_of(
                        composite,
                        f"the same {isolated(true)} on a background of {isolated(of_donor)}, "
                        f"taken for {isolated(answer)}",
                        f"on a background of {isolated(of_donor)}",
                        [Answer(f"{isolated(answer)}, {100 * confidence:.0f} %", False)],
                    ),
                ],
            )
        )
        if len(flips) == FLIPS:
            break
    return flips


def _cuts(pictures: CutPictures) -> list[Picture]:
    """Some pictures beside what their masks cut out, evenly over all of them."""
    rows = np.unique(np.linspace(0, len(pictures) - 1, MOST_CUTS).round().astype(int))
    shown = []
    for row in rows:
        image, mask = pictures.images[row], pictures.masks[row][..., None]
        cut = np.where(mask, image, np.uint8(GREY))
        pair = np.concatenate([image, cut], axis=1 if image.shape[0] >= image.shape[1] else 0)
        kept = f"{100 * mask.mean():.0f} % of it is object"
        caption = kept if pictures.has_object[row] else "no object: left out"
        alt = f"picture {row + 1} and what its mask cuts out: {caption}"
        shown.append(picture_of(pair, alt, caption, side=2 * SIDE))
    return shown
