"""What all pages share: templates, and pictures that are a part of them."""

import base64
import dataclasses
import importlib.resources
from collections.abc import Sequence
from typing import Any

import cv2
import jinja2
import numpy as np

SIDE, QUALITY = 160, 85
"""Longest side of a photograph on a page, in pixels, and of its JPEG form."""
SMALL = 64
"""Pictures up to this side are shown pixel by pixel."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a model says of a picture, in words, and whether that is right."""

    text: str
    right: bool

    def __str__(self) -> str:
        return f"{self.text} ({'right' if self.right else 'wrong'})"


@dataclasses.dataclass(frozen=True)
class Picture:
    """One image of a page.

    Attributes:
        source: data URI.
        alt: what it shows, in words.
        caption: below it; may be empty.
        answers: below that.
    """

    source: str
    alt: str
    caption: str = ""
    answers: Sequence[Answer] = ()


@dataclasses.dataclass(frozen=True)
class Row:
    """Images that belong together, under a title."""

    title: str
    pictures: Sequence[Picture]


def picture_of(
    image: np.ndarray,
    alt: str,
    caption: str = "",
    answers: Sequence[Answer] = (),
    side: int = SIDE,
) -> Picture:
    """A picture of a page; a photograph is made small, and a JPEG file.

    Args:
        image: uint8 [H, W], [H, W, 1] or [H, W, 3].
        alt: see `Picture`.
        caption: see there.
        answers: see there.
        side: the longest of a photograph, in pixels.
    """
    shown = image[..., ::-1] if image.ndim == 3 and image.shape[-1] == 3 else image
    if max(image.shape[:2]) <= SMALL:
        kind, encoded = "png", cv2.imencode(".png", np.ascontiguousarray(shown))[1]
    else:
        scale = min(1.0, side / max(image.shape[:2]))
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small = cv2.resize(np.ascontiguousarray(shown), size, interpolation=cv2.INTER_AREA)
        quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        kind, encoded = "jpeg", cv2.imencode(".jpg", small, quality)[1]
    text = base64.b64encode(encoded.tobytes()).decode()
    return Picture(f"data:image/{kind};base64,{text}", alt, caption, answers)


def isolated(name: str) -> str:
    """A name that does not turn the text around it, as those written from right to left do."""
    return name if name.isascii() else f"\u2068{name}\u2069"


def render(name: str, **values: Any) -> str:
    """A template of this room; what is put into it is escaped, but for charts and tables."""
    folder = importlib.resources.files("bginv.report")
    loader = jinja2.FunctionLoader(lambda wanted: folder.joinpath(wanted).read_text("utf-8"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name).render(**values)
