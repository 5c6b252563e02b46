"""Whether masks can be trusted."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from bginv.data.sources import Source
from bginv.errors import UserError
from bginv.masks.pictures import Predict, part_accuracies, unit

OTHERS = 5
"""Masks of other pictures that each mask is compared with."""
FEWEST = 8
"""Pictures below which nothing is told."""
ALIKE = 0.8
"""IoU of masks of different pictures above which they are too alike to tell anything."""
BINS = (5, 10, 10)
"""Of lightness and of the two colours."""
KERNEL = np.ones((3, 3), np.uint8)


@dataclasses.dataclass(frozen=True)
class Fit:
    """How much better masks fit their own pictures than other pictures' masks do.

    Attributes:
        edges: gradient along the outline, as a multiple of that along other outlines.
        contrast: distance of colours within and without, as a multiple of that of others.
        share: estimated share of the masks that belong to their pictures.
        belongs: whether masks as a whole do; None where there is nothing to tell it from.
    """

    edges: float = np.nan
    contrast: float = np.nan
    share: float = np.nan
    belongs: bool | None = None


def fit_of(images: Sequence[np.ndarray], masks: Sequence[np.ndarray], seed: int = 0) -> Fit:
    """Compare masks with those of other pictures.

    Args:
        images: uint8 [h, w, 3], all of one size; 128 pixels a side do.
        masks: bool [h, w].
        seed: of whose masks are compared.
    """
    rng = np.random.default_rng(seed)
    rows = [row for row, mask in enumerate(masks) if mask.any() and not mask.all()]
    outlines = {row: _outline(masks[row]) for row in rows}
    rows = [row for row in rows if outlines[row].any()]
    if len(rows) < FEWEST:
        return Fit()
    found, alike = [], []
    for place, row in enumerate(rows):
        steps = rng.choice(len(rows) - 1, min(OTHERS, len(rows) - 1), replace=False) + 1
        others = [rows[(place + step) % len(rows)] for step in steps]
        strengths, colours = _gradients(images[row]), _colours(images[row])
        found.append(
            [
                strengths[outlines[row]].mean(),
                np.mean([strengths[outlines[other]].mean() for other in others]),
                _distance(colours, masks[row]),
                np.mean([_distance(colours, masks[other]) for other in others]),
            ]
        )
        alike += [iou(masks[row], masks[other]) for other in others]
    return _compared(np.array(found) + 1e-6, float(np.mean(alike)))


def _compared(found: np.ndarray, alike: float) -> Fit:
    """A `Fit` from columns of edges and contrasts, own and others'."""
    edges, contrast = (float(np.mean(found[:, i]) / np.mean(found[:, i + 1])) for i in (0, 2))
    if alike > ALIKE:
        return Fit(edges, contrast)
    gains = np.log(found[:, [0, 2]] / found[:, [1, 3]])
    deviations = np.maximum(gains.std(0, ddof=1), 1e-6) / np.sqrt(len(gains))
    sure = gains.mean(0) / deviations
    # a mask that does not belong wins every second time
    share = float(np.clip(2 * np.mean(gains[:, np.argmax(sure)] > 0) - 1, 0, 1))
    return Fit(edges, contrast, share, bool(sure.max() > 3))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two masks, bool [h, w]; 1 where both are empty."""
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def _outline(mask: np.ndarray) -> np.ndarray:
    """Pixels on either side of a mask's edge, bool [h, w], without those of the picture's own."""
    found = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, KERNEL) > 0
    found[[0, 1, -2, -1]] = False
    found[:, [0, 1, -2, -1]] = False
    return found


def _gradients(image: np.ndarray) -> np.ndarray:
    """Gradient of colour as a multiple of the picture's mean; the strongest of 3 x 3 pixels."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab = cv2.GaussianBlur(lab, (0, 0), 1.0)
    across, down = (cv2.Sobel(lab, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    strengths = cv2.dilate(np.sqrt((across**2 + down**2).sum(-1)), KERNEL)
    return strengths / (strengths.mean() + 1e-6)


def _colours(image: np.ndarray) -> np.ndarray:
    """The number of each pixel's colour, int [h, w]."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(int) * BINS // 256
    return np.ravel_multi_index(tuple(np.moveaxis(lab, -1, 0)), BINS)


def _distance(colours: np.ndarray, mask: np.ndarray) -> float:
    """Hellinger distance of the colours within a mask from those without."""
    shares = [
        np.bincount(colours[part], minlength=int(np.prod(BINS))) / np.count_nonzero(part)
        for part in (mask, ~mask)
    ]
    return float(np.sqrt(max(0.0, 1 - np.sqrt(shares[0] * shares[1]).sum())))


SIDE, SAMPLE = 128, 256
"""Pixels a side that the shapes of masks are measured at, and pictures that are looked at."""
SPECK = 0.01
"""Share of the foreground below which a piece does not count."""
FULL, EMPTY = 0.9, 0.01
"""Areas from which a mask shows everything, and nothing."""
MANY_PIECES, FITTING, DISAGREE = 5.0, 0.8, 0.5


@dataclasses.dataclass(frozen=True)
class Trust:
    """What masks look like; shares in [0, 1], NaN where something was not asked for.

    Attributes:
        count: pictures that were looked at.
        failures: share of them without a mask, which all that follows leaves out.
        area: mean share of foreground.
        full: share of masks with next to no background.
        empty: share of masks with next to no foreground.
        border: share of the border's pixels that are foreground.
        centre: share of foreground in the middle quarter of the picture's sides.
        pieces: mean number of connected components, specks left out.
        confidence: mean of what the source says.
        fit: masks against those of other pictures.
        agreement: mean IoU with the masks of a second source.
        clean: accuracy of a classifier on the pictures.
        foreground: on the foreground alone, on black.
        background: on the background alone, its object's hole filled.
    """

    count: int
    failures: float
    area: float
    full: float
    empty: float
    border: float
    centre: float
    pieces: float
    confidence: float
    fit: Fit
    agreement: float
    clean: float
    foreground: float
    background: float


def measure(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    failed: Sequence[bool] | None = None,
    confidence: Sequence[float] | None = None,
    second: Sequence[np.ndarray] | None = None,
    labels: np.ndarray | None = None,
    predict: Predict | None = None,
) -> Trust:
    """Measure masks; 256 pictures take a second, and a classifier's time.

    Args:
        images: uint8 [h, w, 3] or [h, w, 1], [N, h, w, C] or N of any sizes.
        masks: of each image, [h, w] or [h, w, 1]; floats in [0, 1], or uint8 where 255 is
            foreground.
        failed: which of the masks are none.
        confidence: of each mask.
        second: masks of another source.
        labels: int [N]; with `predict`.
        predict: a classifier; images of the sizes given go in, so these must be one.

    Raises:
        UserError: no picture, or another number of masks.
    """
    if not len(images) or len(images) != len(masks):
        raise UserError(f"a mask for each image is needed; received {len(masks)}, {len(images)}")
    failed = np.zeros(len(images), bool) if failed is None else np.asarray(failed, bool)
    rows = np.flatnonzero(~failed)
    small = [_small(images[row]) for row in rows]
    shapes = [_small_mask(masks[row]) for row in rows]
    areas = np.array([mask.mean() for mask in shapes])
    middle = slice(3 * SIDE // 8, 5 * SIDE // 8)
    accuracies = (np.nan,) * 3
    if predict is not None and labels is not None and len(rows):
        accuracies = part_accuracies(images, masks, rows, np.asarray(labels), predict)
    others = [] if second is None else [_small_mask(second[row]) for row in rows]
    return Trust(
        len(images),
        float(failed.mean()),
        _mean(areas),
        _mean(areas > FULL),
        _mean(areas < EMPTY),
        _mean([_border(mask) for mask in shapes]),
        _mean([mask[middle, middle].mean() for mask in shapes]),
        _mean([_pieces(mask) for mask in shapes]),
        np.nan if confidence is None else _mean(np.asarray(confidence)[rows]),
        fit_of(small, shapes),
        _mean([iou(one, other) for one, other in zip(shapes, others, strict=False)]),
        *accuracies,
    )


def measure_source(
    source: Source,
    failed: np.ndarray | None = None,
    confidence: np.ndarray | None = None,
    second: Source | None = None,
    predict: Predict | None = None,
    sample: int = SAMPLE,
) -> Trust:
    """Measure the masks of a split, on pictures spread evenly over it.

    Args:
        source: with masks.
        failed: bool [N].
        confidence: float [N].
        second: the same pictures with masks of another source.
        predict: see `measure`; images have the split's size.
        sample: pictures at most.
    """
    rows = np.unique(np.linspace(0, len(source) - 1, min(sample, len(source))).astype(int))
    images, masks = _arrays(source.take(rows))
    single = source.labels.ndim == 1 and source.labels.dtype.kind in "iu"
    return measure(
        images,
        masks,
        None if failed is None else failed[rows],
        None if confidence is None else confidence[rows],
        None if second is None else _arrays(second.take(rows))[1],
        source.labels[rows] if single else None,
        predict,
    )


def verdict(trust: Trust) -> tuple[bool, list[str]]:
    """Whether masks can be used, and what is wrong with them, in sentences.

    Args:
        trust: as measured.

    Returns:
        False and why not; or True, and what to look at, if anything.
    """
    wrong = _faults(trust)
    doubts = _doubts(trust)
    if wrong:
        return False, wrong + doubts
    return True, doubts or ["The masks can be used."]


def _faults(trust: Trust) -> list[str]:
    """What makes masks no use; the first that holds, as the others follow from it."""
    if trust.failures > 0.5:
        return [f"{trust.failures:.0%} of the pictures have no mask, or one that shows everything."]
    if trust.full > 0.5 or trust.area > FULL:
        return [
            f"The masks show everything ({trust.area:.0%} of the picture is foreground): they tell "
            "no object from its background."
        ]
    if trust.empty > 0.5 or trust.area < EMPTY:
        return [
            f"The masks show nothing ({trust.area:.1%} of the picture is foreground): white must "
            "be the object."
        ]
    if trust.border > 0.5 and trust.border > trust.centre + 0.2:
        reads = ""
        if trust.background > trust.foreground:
            reads = (
                f"; the classifier gets {trust.background:.0%} of the backgrounds right and "
                f"{trust.foreground:.0%} of the foregrounds"
            )
        return [
            f"The masks seem to be inverted: {trust.border:.0%} of the border is foreground, and "
            f"{trust.centre:.0%} of the centre{reads}. White must be the object."
        ]
    if trust.fit.belongs is False:
        return [
            "The masks do not fit their pictures: the gradient along their outlines is "
            f"{trust.fit.edges:.2f} times that along outlines of other pictures' masks, and true "
            "masks reach 1.5 to 2. They are random shapes, or belong to other pictures."
        ]
    if trust.fit.share < FITTING / 2:
        return [f"Only about {trust.fit.share:.0%} of the masks fit their pictures."]
    return []


def _doubts(trust: Trust) -> list[str]:
    """What a user should look at."""
    told = []
    if 0 < trust.failures <= 0.5:
        told.append(f"{trust.failures:.1%} of the pictures have no mask.")
    for share, what in ((trust.full, "everything"), (trust.empty, "nothing")):
        if 0.05 < share <= 0.5:
            told.append(f"{share:.0%} of the masks show {what}.")
    if trust.fit.belongs and FITTING / 2 <= trust.fit.share < FITTING:
        told.append(
            f"About {1 - trust.fit.share:.0%} of the masks fit their pictures no better than "
            "those of other pictures do: look at the sheet."
        )
    if trust.pieces > MANY_PIECES:
        told.append(f"The masks fall into {trust.pieces:.0f} pieces each, on average.")
    if trust.agreement < DISAGREE:
        told.append(f"The two sources disagree: their mean IoU is {trust.agreement:.0%}.")
    if trust.background > trust.foreground and trust.border <= 0.5:
        told.append(
            f"The classifier gets {trust.background:.0%} of the backgrounds right, and "
            f"{trust.foreground:.0%} of the foregrounds: it reads the background, or the masks "
            "miss the object."
        )
    return told


def _arrays(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, H, W, C] and masks uint8 [N, H, W]."""
    found = [
        [np.round(batch[name].numpy() * 255).astype(np.uint8) for name in ("image", "mask")]
        for batch in source.batches(source.pass_batch)
    ]
    images, masks = map(np.concatenate, zip(*found, strict=True))
    return images, masks[..., 0]


def _small(image: np.ndarray) -> np.ndarray:
    """An image in colour at the size that is measured."""
    colour = np.repeat(image, 3, -1) if image.shape[-1] == 1 else image
    return cv2.resize(colour, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _small_mask(mask: np.ndarray) -> np.ndarray:
    return cv2.resize(unit(mask), (SIDE, SIDE), interpolation=cv2.INTER_AREA) >= 0.5


def _border(mask: np.ndarray) -> float:
    return float(np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]]).mean())


def _pieces(mask: np.ndarray) -> int:
    """Connected components that are more than specks."""
    _, _, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = statistics[1:, cv2.CC_STAT_AREA]
    return int(np.sum(areas >= SPECK * areas.sum()))


def _mean(values: Sequence) -> float:
    return float(np.mean(values)) if len(values) else np.nan
