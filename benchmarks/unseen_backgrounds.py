"""Backgrounds to report on: seen neither in training nor where a recipe was chosen."""

import pathlib

import cv2
import numpy as np
from validation_backgrounds import Draw, put_behind

from bginv.data.sources import ArraySource

MARGIN = 2
"""Of black around the object, as for the paper's test patterns."""


def unseen_tests(
    source: ArraySource, seed: int, photographs: pathlib.Path | None
) -> dict[str, ArraySource]:
    """The images on each kind of background, another one behind each image.

    Args:
        source: grey objects on black, square; "other digits" are taken from them too.
        seed: of the drawing.
        photographs: a folder of .jpg files adds the kind "photographs".
    """
    kinds = {**KINDS, "other digits": _others(source)}
    if photographs:
        kinds["photographs"] = _photographs(sorted(photographs.glob("**/*.jpg")))
    rng = np.random.default_rng(seed)
    return {name: put_behind(source, draw, rng, MARGIN, MARGIN) for name, draw in kinds.items()}


def _white_share(values: np.ndarray) -> np.ndarray:
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)


def _along(rng: np.random.Generator, side: int) -> np.ndarray:
    """Distance of each pixel from the centre along a direction, in pixels."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return np.cos(angle) * columns + np.sin(angle) * rows


def _gradient(rng: np.random.Generator, side: int) -> np.ndarray:
    return _white_share(0.5 + _along(rng, side) / side)


def _sinusoid(rng: np.random.Generator, side: int) -> np.ndarray:
    phase, period = rng.uniform(0, 2 * np.pi), rng.uniform(4, side / 2)
    return _white_share(0.5 + 0.5 * np.sin(2 * np.pi * _along(rng, side) / period + phase))


def _blobs(rng: np.random.Generator, side: int) -> np.ndarray:
    smooth = cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), rng.uniform(1, 3))
    return _white_share(smooth > 0)


def _edge(rng: np.random.Generator, side: int) -> np.ndarray:
    """White on one side of a line that is elsewhere in each image."""
    return _white_share(_along(rng, side) > rng.uniform(-side / 3, side / 3))


def _checkerboard(cell: int) -> Draw:
    def draw(rng: np.random.Generator, side: int) -> np.ndarray:
        shift = rng.integers(0, 2 * cell, 2)
        rows, columns = np.indices((side, side))
        return _white_share(((rows + shift[0]) // cell + (columns + shift[1]) // cell) % 2)

    return draw


def _rings(rng: np.random.Generator, side: int) -> np.ndarray:
    """Concentric, two pixels thick every `period`."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    period = int(rng.integers(4, 9))
    return _white_share((np.hypot(rows, columns) + rng.integers(period)) % period < 2)


def _letters(rng: np.random.Generator, side: int) -> np.ndarray:
    """Lines of random capitals; a third of the image high, or less."""
    image = np.zeros((side, side), np.uint8)
    scale = rng.uniform(0.3, 0.5)
    height = round(30 * scale)
    for row in range(int(rng.integers(0, height)), side + height, height):
        word = "".join(map(chr, rng.integers(ord("A"), ord("Z") + 1, 12)))
        place = (int(rng.integers(-height, 1)), row)
        cv2.putText(image, word, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1, cv2.LINE_AA)
    return image


def _others(source: ArraySource) -> Draw:
    """Four other objects at half their size, one in each quarter."""

    def draw(rng: np.random.Generator, side: int) -> np.ndarray:
        chosen = source.images[rng.integers(len(source), size=4), ..., 0]
        small = [
            cv2.resize(image, (side // 2,) * 2, None, 0, 0, cv2.INTER_AREA) for image in chosen
        ]
        return np.block([small[:2], small[2:]])

    return draw


def _photographs(files: list[pathlib.Path]) -> Draw:
    photographs = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    if not photographs:
        raise SystemExit("no .jpg file under the folder of --photographs")

    def draw(rng: np.random.Generator, side: int) -> np.ndarray:
        photograph = photographs[rng.integers(len(photographs))]
        taken = int(rng.integers(side, min(photograph.shape) + 1))
        row, column = (int(rng.integers(0, room - taken + 1)) for room in photograph.shape)
        crop = photograph[row : row + taken, column : column + taken]
        return cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)

    return draw


KINDS: dict[str, Draw] = {
    "gradients": _gradient,
    "sinusoids": _sinusoid,
    "blobs": _blobs,
    "edges": _edge,
    "grey levels": lambda rng, side: np.full((side, side), rng.integers(0, 256), np.uint8),
    "white": lambda rng, side: np.full((side, side), 255, np.uint8),
    "checkerboards of 3": _checkerboard(3),
    "checkerboards of 10": _checkerboard(10),
    "rings": _rings,
    "letters": _letters,
}
