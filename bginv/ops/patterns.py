"""The six test backgrounds and the salt-and-pepper rates of Cruz et al. (ICPR 2020, section IV).

These patterns exist to measure; no training code may import this module.
"""

from collections.abc import Callable

import cv2
import numpy as np

from bginv.errors import UserError

FOREGROUND_MARGIN = 2
"""Radius in pixels of the disk that keeps a test background away from the object."""

NOISE_RATES = np.concatenate([np.arange(0, 0.1, 0.01), np.arange(0.1, 1.1, 0.1)])


def stripes(size: int) -> np.ndarray:
    """Diagonal lines, 2 pixels thick every 10 pixels.

    Args:
        size: height and width in pixels.

    Returns:
        float32 [size, size] of 0 and 1, as have all patterns of this module.
    """
    rows, columns = np.indices((size, size))
    return ((rows - columns + size - 1) % 10 < 2).astype(np.float32)


def checkerboard(size: int) -> np.ndarray:
    """Squares of 6 pixels whose grid starts 2 pixels outside the image."""
    rows, columns = np.indices((size, size))
    return (((rows + 2) // 6 + (columns + 2) // 6) % 2).astype(np.float32)


def border(size: int) -> np.ndarray:
    """A frame of 2 pixels."""
    image = np.ones((size, size), np.float32)
    image[2:-2, 2:-2] = 0
    return image


def circumferences(size: int) -> np.ndarray:
    """Four circles of radius 6 near the corners.

    Raises:
        UserError: the image is too small to hold them.
    """
    if size < 15:
        raise UserError(f"circumferences needs a size of at least 15 pixels; received {size}")
    image = np.zeros((size, size), np.float32)
    for row in (8, size - 8):
        for column in (8, size - 8):
            _draw_circle(image, row, column, 6)
    return image


def clock(size: int) -> np.ndarray:
    """A large circle with marks at 12, 3, 6 and 9 o'clock."""
    image = np.zeros((size, size), np.float32)
    middle = size // 2
    for radius in (middle - 1, middle - 2):
        _draw_circle(image, middle, middle, radius)
    for start, stop in ((0, 7), (size - 6, size)):
        image[start:stop, middle - 1 : middle + 2] = 1
        image[middle - 1 : middle + 2, start:stop] = 1
    return image


def salt_pepper(size: int, rate: float = 0.25, seed: int = 0) -> np.ndarray:
    """White pixels, a share `rate` of all, at places drawn without replacement.

    Args:
        size: height and width in pixels.
        rate: share of white pixels, in [0, 1].
        seed: of NumPy's legacy generator, which the published results used with 0.
    """
    image = np.zeros(size * size, np.float32)
    places = np.random.RandomState(seed).choice(size * size, int(size * size * rate), replace=False)
    image[places] = 1
    return image.reshape(size, size)


BACKGROUNDS: dict[str, Callable[[int], np.ndarray]] = {
    function.__name__: function
    for function in (stripes, checkerboard, border, circumferences, clock, salt_pepper)
}


def inject_pattern(images: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Show a pattern wherever no object is near.

    An object is what is brighter than 0, dilated by a disk of radius `FOREGROUND_MARGIN`.

    Args:
        images: uint8 or float [B, H, W, 1], black background.
        pattern: [H, W] in [0, 1].

    Returns:
        A new array with the shape, dtype and range of `images`.
    """
    white = 255 if images.dtype == np.uint8 else 1
    drawn = (pattern * white).astype(images.dtype)
    offsets = np.arange(-FOREGROUND_MARGIN, FOREGROUND_MARGIN + 1)
    disk = offsets[:, None] ** 2 + offsets[None, :] ** 2 <= FOREGROUND_MARGIN**2
    result = images.copy()
    for image in result[..., 0]:
        near_object = cv2.dilate((image > 0).astype(np.uint8), disk.astype(np.uint8))
        np.copyto(image, drawn, where=near_object == 0)
    return result


def _draw_circle(image: np.ndarray, row: int, column: int, radius: int) -> None:
    """Set the pixels of Bresenham's circle; OpenCV's circles differ by pixels from the paper's."""
    along, across, error = 0, radius, 3 - 2 * radius
    while across >= along:
        for dr, dc in ((along, across), (across, along)):
            for sign_r in (-1, 1):
                for sign_c in (-1, 1):
                    image[row + sign_r * dr, column + sign_c * dc] = 1
        if error < 0:
            error += 4 * along + 6
        else:
            error += 4 * (along - across) + 10
            across -= 1
        along += 1
