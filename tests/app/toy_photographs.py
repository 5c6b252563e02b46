"""A folder of small photographs: bright objects of two classes on noise."""

import pathlib

import cv2
import numpy as np

SIDE, COUNT = 48, 6
BOX = (14, 12, 34, 36)
"""Left, top, right and bottom edge of each object."""


def write_photographs(root: pathlib.Path) -> pathlib.Path:
    """`train` and `test` of `cat` and `dog`, six pictures of each."""
    rng = np.random.default_rng(0)
    left, top, right, bottom = BOX
    for split in ("train", "test"):
        for name, colour in (("cat", (40, 40, 230)), ("dog", (40, 230, 40))):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(COUNT):
                image = rng.integers(60, 110, (SIDE, SIDE, 3), np.uint8)
                cv2.ellipse(
                    image, ((left + right) // 2, (top + bottom) // 2),
                    ((right - left) // 2, (bottom - top) // 2), 0, 0, 360, colour, -1,
                )  # fmt: skip
                cv2.imwrite(str(folder / f"{number}.png"), image)
    return root


def write_masks(root: pathlib.Path, split: str, value: int = 255) -> None:
    """A mask of each picture of a split: its whole box."""
    left, top, right, bottom = BOX
    for path in (root / split).glob("*/*.png"):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[top:bottom, left:right] = value
        target = root / split / "masks" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), mask)
