"""Backgrounds to choose recipes by.

None of them is, or is drawn to look like, a test pattern or a kind of `unseen_backgrounds`.
"""

from collections.abc import Callable

import cv2
import numpy as np

from bginv.data.sources import ArraySource

LARGEST_MARGIN = 4

Draw = Callable[[np.random.Generator, int], np.ndarray]


def validation_tests(source: ArraySource, seed: int) -> dict[str, ArraySource]:
    """The images as they are, then on each kind of background, another one behind each image.

    The object keeps a black margin of 0 to `LARGEST_MARGIN` pixels, drawn for each image.

    Args:
        source: grey objects on black, square.
        seed: of the drawing.
    """
    rng = np.random.default_rng(seed)
    drawn = {name: put_behind(source, draw, rng, LARGEST_MARGIN) for name, draw in KINDS.items()}
    return {"clean": source, **drawn}


def put_behind(
    source: ArraySource,
    draw: Draw,
    rng: np.random.Generator,
    largest_margin: int,
    smallest_margin: int = 0,
) -> ArraySource:
    """The images with another background behind each.

    Args:
        source: grey objects on black, square.
        draw: gives a background uint8 [H, W].
        rng: of everything drawn.
        largest_margin: of black around the object, in pixels.
        smallest_margin: likewise; each image's is drawn between the two.
    """
    images = source.images.copy()
    for image in images[..., 0]:
        radius = int(rng.integers(smallest_margin, largest_margin + 1))
        offsets = np.arange(-radius, radius + 1)
        disk = offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2
        near_object = cv2.dilate((image > 0).astype(np.uint8), disk.astype(np.uint8))
        np.copyto(image, draw(rng, len(image)), where=near_object == 0)
    return ArraySource(images, source.labels)


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


def _triangles(rng: np.random.Generator, side: int) -> np.ndarray:
    image = np.full((side, side), int(rng.integers(0, 256)), np.uint8)
    for _ in range(6):
        corners = rng.integers(-side // 4, side + side // 4, (3, 2)).astype(np.int32)
        cv2.fillPoly(image, [corners], int(rng.integers(0, 256)))
    return image


def _mosaic(rng: np.random.Generator, side: int) -> np.ndarray:
    """Cells of the nearest of some points, each with a grey of its own."""
    points = rng.uniform(0, side, (int(rng.integers(6, 40)), 2))
    rows, columns = np.mgrid[:side, :side]
    distances = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    return rng.integers(0, 256, len(points)).astype(np.uint8)[distances.argmin(-1)]


def _fractal_noise(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise whose amplitudes fall with the frequency, as in many natural textures."""
    frequencies = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequencies[0, 0] = 1
    falling = np.fft.rfft2(rng.standard_normal((side, side))) / frequencies ** rng.uniform(0.5, 1.5)
    noise = np.fft.irfft2(falling, (side, side))
    low, high = noise.min(), noise.max()
    return ((noise - low) / (high - low) * 255).astype(np.uint8)


KINDS: dict[str, Draw] = {
    "boxes": _boxes,
    "pen strokes": _strokes,
    "triangles": _triangles,
    "mosaic": _mosaic,
    "fractal noise": _fractal_noise,
    "uniform noise": lambda rng, side: rng.integers(0, 256, (side, side), np.uint8),
}
