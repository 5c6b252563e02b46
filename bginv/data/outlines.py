"""Masks drawn from outlines of objects: polygons, run lengths and boxes."""

import hashlib
import importlib
import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from bginv.errors import UserError

RLE_PACKAGE = "pycocotools"
FEWEST_NUMBERS = 6
"""Of a polygon: three points."""
LARGEST = 2.0**26
"""Of its numbers, as OpenCV takes them in 32 bits, with `SHIFT` of them below the pixel."""
SHIFT = 4
"""Bits of a coordinate below the pixel that OpenCV is given."""
WHITE = 255


class Outline(NamedTuple):
    """Where an object is, in pixels of its picture; one of the three is there.

    Attributes:
        polygons: float32 [P, 2] each, x and y; an object in several parts has several.
        runs: COCO's run lengths, as pycocotools takes them.
        box: left, top, right and bottom edge.
    """

    polygons: tuple[np.ndarray, ...] = ()
    runs: Mapping[str, Any] | None = None
    box: tuple[float, float, float, float] | None = None

    @property
    def area(self) -> float:
        """In pixels."""
        if self.polygons:
            return float(sum(cv2.contourArea(own) for own in self.polygons))
        if self.runs is not None:
            return float(_rle().area(dict(self.runs)))
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)

    def draw(self, mask: np.ndarray) -> None:
        """Make the object white in a mask uint8 [h, w]."""
        if self.runs is not None:
            mask[_rle().decode(dict(self.runs)) > 0] = WHITE
            return
        polygons = self.polygons
        if self.box is not None:
            left, top, right, bottom = self.box
            # the last pixels that the box covers, as OpenCV counts them
            edges = np.round([left, top, max(left, right - 1), max(top, bottom - 1)])
            x, y, far_x, far_y = edges.tolist()
            polygons = (np.array([[x, y], [far_x, y], [far_x, far_y], [x, far_y]], np.float32),)
        for own in polygons:
            points = np.round(own * 2**SHIFT).astype(np.int32)
            cv2.fillPoly(mask, [points], WHITE, shift=SHIFT)


def _rle():
    return importlib.import_module(f"{RLE_PACKAGE}.mask")


def polygon(numbers: Sequence[Any], size: tuple[int, int]) -> np.ndarray:
    """A polygon float32 [P, 2] of x and y in turn.

    Args:
        numbers: in pixels.
        size: width and height of the picture.

    Raises:
        UserError: it is broken; the message has no place.
    """
    try:
        found = np.asarray(numbers, np.float64).reshape(-1)
    except (TypeError, ValueError):
        found = np.array([math.nan])
    is_finite = (np.abs(found) <= LARGEST).all()  # which NaN is not
    if len(found) < FEWEST_NUMBERS or len(found) % 2 or not is_finite:
        raise UserError(
            "a polygon needs three points or more, finite numbers x and y in turn; received "
            f"{len(numbers) if isinstance(numbers, list) else type(numbers).__name__} numbers"
        )
    points = found.reshape(-1, 2)
    if (points.max(0) <= 0).any() or (points.min(0) >= size).any():
        raise UserError(f"a polygon lies outside its picture of {size[0]}x{size[1]} pixels")
    return points.astype(np.float32)


def box(edges: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """A box clipped to its picture.

    Args:
        edges: left, top, right and bottom in pixels.
        size: width and height of the picture.

    Raises:
        UserError: it is empty, not finite, or outside; the message has no place.
    """
    left, top, right, bottom = edges
    told = ", ".join(f"{edge:g}" for edge in edges)
    if not all(map(math.isfinite, edges)) or not (left < right and top < bottom):
        raise UserError(f"the box {told} (left, top, right, bottom) is empty")
    clipped = (max(left, 0.0), max(top, 0.0), min(right, size[0]), min(bottom, size[1]))
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        raise UserError(f"the box {told} lies outside its picture of {size[0]}x{size[1]} pixels")
    return clipped


def runs(rle: Mapping[str, Any], size: tuple[int, int]) -> Mapping[str, Any]:
    """COCO's run lengths, checked and compressed.

    Args:
        rle: `size`, height and width, and `counts`, a list or a text.
        size: width and height of the picture.

    Raises:
        UserError: they are of another size, broken, or the package that reads them is not there;
            the message has no place.
    """
    if importlib.util.find_spec(RLE_PACKAGE) is None:
        raise UserError("run lengths (RLE) need the package: pip install pycocotools")
    own = rle.get("size")
    if not isinstance(own, list) or own != [size[1], size[0]]:
        raise UserError(
            f"run lengths (RLE) of size {own}, height and width, and the picture is "
            f"[{size[1]}, {size[0]}]"
        )
    counts = rle.get("counts")
    text = counts.encode() if isinstance(counts, str) else counts
    lengths = counts if isinstance(counts, list) else _lengths(text)
    if not all(isinstance(each, int) and each >= 0 for each in lengths):
        raise UserError("run lengths (RLE) must be whole numbers of 0 or above")
    if sum(lengths) != size[0] * size[1]:
        raise UserError(
            f"run lengths (RLE) of {sum(lengths)} pixels in all, and the picture has "
            f"{size[0] * size[1]}"
        )
    if isinstance(counts, list):
        return _rle().frPyObjects(dict(rle), size[1], size[0])
    return {"size": own, "counts": text}


def _lengths(text: Any) -> list[int]:
    """Run lengths of COCO's compressed text, which its package does not check.

    A length is given by its difference to the one before the last, in groups of 5 bits.
    """
    found: list[int] = []
    value = bits = 0
    for byte in text if isinstance(text, bytes) else b" ":
        group = byte - ord("0")
        if not 0 <= group < 64 or bits > 60:
            raise UserError("broken run lengths (RLE): no text that COCO writes")
        value |= (group & 31) << bits
        bits += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << bits
        found.append(value + (found[-2] if len(found) > 2 else 0))
        value = bits = 0
    return found


class DrawnMasks:
    """Masks that are drawn when they are asked for, as `ImageFiles` gives those of files.

    Args:
        outlines: of the objects of each picture.
        sizes: int32 [N, 2], height and width of each.
        names: of each, for messages.
    """

    def __init__(
        self, outlines: Sequence[Sequence[Outline]], sizes: np.ndarray, names: Sequence[str]
    ):
        self.outlines, self.sizes, self.names = list(outlines), sizes, list(names)
        self.reasons: dict[int, str] = {}
        numbers = [_number(*own) for own in zip(self.outlines, sizes, strict=True)]
        with tf.device("CPU"):
            self.fingerprints = tf.constant(numbers, tf.int64)

    def __len__(self) -> int:
        return len(self.outlines)

    def take(self, rows: np.ndarray) -> "DrawnMasks":
        """See `ImageFiles.take`."""
        outlines, names = ([own[row] for row in rows] for own in (self.outlines, self.names))
        return DrawnMasks(outlines, self.sizes[rows], names)

    def name(self, row: int) -> str:
        """What a mask is of, for a message."""
        return self.names[row]

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """See `ImageFiles.read`: uint8 [h, w, 3]."""
        pixels = tf.numpy_function(self.draw, [row], tf.uint8, stateful=False)
        return tf.repeat(tf.ensure_shape(pixels, [None, None])[..., None], 3, -1)

    def draw(self, row: int) -> np.ndarray:
        """A mask uint8 [h, w], 255 is foreground."""
        mask = np.zeros(self.sizes[row], np.uint8)
        for own in self.outlines[row]:
            own.draw(mask)
        return mask

    def contents(self, row: tf.Tensor) -> tf.Tensor:
        """See `ImageFiles.contents`: those of a png file."""
        return tf.io.encode_png(self.read(row)[..., :1])


def _number(outlines: Sequence[Outline], size: np.ndarray) -> int:
    """63 bits that tell a mask from others."""
    held = [([own.tobytes() for own in each.polygons], each.runs, each.box) for each in outlines]
    text = repr((held, size.tolist())).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
