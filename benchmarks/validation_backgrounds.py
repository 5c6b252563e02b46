"""Backgrounds to choose recipes by: none of them is, or is drawn to look like, a test pattern."""

import pathlib
from collections.abc import Callable

import cv2
import numpy as np

from bginv.data.sources import ArraySource

LARGEST_MARGIN = 4

Draw = Callable[[np.random.Generator, int], np.ndarray]


def validation_tests(
    source: ArraySource, seed: int, photographs: pathlib.Path | None
) -> dict[str, ArraySource]:
    """The images as they are, then on each kind of background, another one behind each image.

    The object keeps a black margin of 0 to `LARGEST_MARGIN` pixels, drawn for each image.

    Args:
        source: grey objects on black, square.
        seed: of the drawing.
        photographs: a folder of them adds the kind "photographs".
    """
    kinds = dict(KINDS)
    if photographs:
        kinds["photographs"] = _photographs(sorted(photographs.glob("*.jpg")))
    rng = np.random.default_rng(seed)
    tests = {"clean": source}
    for name, draw in kinds.items():
        images = source.images.copy()
        for image in images[..., 0]:
            radius = int(rng.integers(0, LARGEST_MARGIN + 1))
            disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
            near_object = cv2.dilate((image > 0).astype(np.uint8), disk)
            np.copyto(image, draw(rng, len(image)), where=near_object == 0)
        tests[name] = ArraySource(images, source.labels)
    return tests


def _blobs(scale: float) -> Draw:
    def draw(rng: np.random.Generator, side: int) -> np.ndarray:
        smooth = cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), scale)
        return ((smooth > 0) * 255).astype(np.uint8)

    return draw


def _gradient(rng: np.random.Generator, side: int) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:side, :side] / (side - 1) - 0.5
    ramp = 0.5 + np.cos(angle) * columns + np.sin(angle) * rows
    return (np.clip(ramp, 0, 1) * 255).astype(np.uint8)


def _boxes(rng: np.random.Generator, side: int) -> np.ndarray:
    image = np.zeros((side, side), np.uint8)
    for _ in range(4):
        corner = rng.integers(0, side, 2)
        end = corner + rng.integers(2, side // 2, 2)
        filled = -1 if rng.random() < 0.5 else 1
        cv2.rectangle(image, corner.tolist(), end.tolist(), int(rng.integers(80, 256)), filled)
    return image


def _strokes(rng: np.random.Generator, side: int) -> np.ndarray:
    image = np.zeros((side, side), np.uint8)
    for _ in range(4):
        points = rng.integers(-4, side + 4, (3, 2)).astype(np.int32)
        cv2.polylines(image, [points], False, int(rng.integers(120, 256)), int(rng.integers(1, 4)))
    return image


def _photographs(files: list[pathlib.Path]) -> Draw:
    photographs = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]

    def draw(rng: np.random.Generator, side: int) -> np.ndarray:
        photograph = photographs[rng.integers(len(photographs))]
        taken = int(rng.integers(side, min(photograph.shape) + 1))
        row, column = (int(rng.integers(0, room - taken + 1)) for room in photograph.shape)
        crop = photograph[row : row + taken, column : column + taken]
        return cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)

    return draw


KINDS: dict[str, Draw] = {
    "coarse blobs": _blobs(2),
    "fine blobs": _blobs(1),
    "gradients": _gradient,
    "boxes": _boxes,
    "pen strokes": _strokes,
    "white": lambda rng, side: np.full((side, side), 255, np.uint8),
    "uniform noise": lambda rng, side: rng.integers(0, 256, (side, side), np.uint8),
}
