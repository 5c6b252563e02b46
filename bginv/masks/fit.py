"""Whether masks belong to their pictures: each against the masks of other pictures.

The outline of a true mask lies on edges of its picture, and the colours within differ from those
without. Masks of other pictures tell how much of that comes by chance, as objects stand in the
middle. True masks of horses and those of saliency networks reach ratios of 1.8 to 2.0 in both,
boxes 1.1 and 1.2, and random blobs or exchanged masks 0.9 to 1.1.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

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
