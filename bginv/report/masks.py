"""Masks of photographs as a table and as a contact sheet."""

import pathlib
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import tensorflow as tf

from bginv.data.sources import Source
from bginv.masks.trust import Trust
from bginv.report.pictures import write_sheet
from bginv.report.tables import PERCENT, Table

SIDE, GREY = 160, 0.5
FIGURES = {
    "no mask": "failures",
    "area": "area",
    "border": "border",
    "centre": "centre",
    "all foreground": "full",
    "empty": "empty",
    "confidence": "confidence",
    "agreement": "agreement",
    "clean": "clean",
    "foreground alone": "foreground",
    "background alone": "background",
}
"""Shares, by the name of their column."""
ASKED_FOR = ("confidence", "agreement", "clean", "foreground", "background")


def trust_table(measured: Mapping[str, Trust]) -> Table:
    """What was measured of the masks of each split; what was not asked for has no column.

    Args:
        measured: by the split's name.
    """
    known = {
        name: figure
        for name, figure in FIGURES.items()
        if figure not in ASKED_FOR
        or any(np.isfinite(getattr(own, figure)) for own in measured.values())
    }
    formats = dict.fromkeys(known, PERCENT)
    formats |= {"pieces": ".1f", "edges": ".2f", "contrast": ".2f", "fitting": PERCENT}
    rows = {}
    for name, own in measured.items():
        fit = {"edges": own.fit.edges, "contrast": own.fit.contrast, "fitting": own.fit.share}
        rows[f"{name}, {own.count} pictures"] = {
            **{column: getattr(own, figure) for column, figure in known.items()},
            "pieces": own.pieces,
            **fit,
        }
    return Table("masks, in %", formats, rows)


def write_mask_sheet(
    path: pathlib.Path, chosen: Mapping[str, Sequence[tuple[Source, int]]], title: str
) -> None:
    """Pictures, their masks, and what the masks cut out on grey.

    Args:
        path: PNG to write.
        chosen: rows of sources with masks, by what they are.
        title: shown above.
    """
    rows = {}
    for name, places in chosen.items():
        if not places:
            continue
        images, masks = map(np.stack, zip(*map(_picture_and_mask, places), strict=True))
        rows[name] = images
        rows[f"{name}:\nmasks"] = masks
        rows[f"{name}:\ncut out"] = images * masks + GREY * (1 - masks)
    write_sheet(path, rows, title)


def _picture_and_mask(place: tuple[Source, int]) -> tuple[np.ndarray, np.ndarray]:
    """A record at the sheet's size."""
    source, row = place
    held = source.at_size(SIDE).gather(tf.constant([row], tf.int64))
    image, mask = (
        cv2.resize(held[name].numpy()[0], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for name in ("image", "mask")
    )
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, -1), mask[..., None]
