"""The page of an audit: the verdict first, then the figures, the pictures, and how it was done."""

import base64

import cv2
import numpy as np

import bginv
from bginv.auditing.result import GAP, OF_CLASSES, AuditResult, ModelAudit
from bginv.auditing.scoring import Pull
from bginv.auditing.variants import CLEAN, MEANINGS, MIXED_RAND
from bginv.data.variations import MIXED
from bginv.report.charts import intervals
from bginv.report.run_page import Picture, Row, render
from bginv.report.tables import PERCENT, Table

FLIPS, MOST_CLASSES = 20, 20
SIDE, QUALITY = 160, 85


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
                "",
                [
                    _picture(result.pictures.images[row], f"{true}, as it is", f"“{true}”"),
                    _picture(
                        composite,
                        f"the same {true} on a background of {of_donor}, taken for {answer}",
                        f"“{answer}”, {100 * confidence:.0f} %",
                    ),
                ],
            )
        )
        if len(flips) == FLIPS:
            break
    return flips


def _picture(image: np.ndarray, alt: str, caption: str) -> Picture:
    scale = min(1.0, SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    shown = small[..., ::-1] if small.ndim == 3 else small
    _, encoded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    text = base64.b64encode(encoded.tobytes()).decode()
    return Picture(f"data:image/jpeg;base64,{text}", alt, caption)
