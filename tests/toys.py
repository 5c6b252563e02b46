"""Photographs for tests: discs and squares on noise of any colour, with their masks."""

import pathlib

import cv2
import numpy as np

SIDE = 128


def write_toys(root: pathlib.Path) -> pathlib.Path:
    """Write a folder of 24 to train on and 8 to test with."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("clean", 4)):
        for name in ("disc", "square"):
            for number in range(count):
                small = rng.integers(0, 256, (8, 8, 3), np.uint8)
                image = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
                mask = np.zeros((SIDE, SIDE), np.uint8)
                x, y = (int(place) for place in rng.integers(45, 83, 2))
                if name == "disc":
                    cv2.circle(mask, (x, y), 30, 255, -1)
                else:
                    cv2.rectangle(mask, (x - 28, y - 28), (x + 28, y + 28), 255, -1)
                image[mask > 0] = rng.integers(100, 256, 3)
                write(root / split / name / f"{number}.png", image)
                write(root / split / "masks" / name / f"{number}.png", mask)
    return root


def write(path: pathlib.Path, pixels: np.ndarray) -> None:
    """Write a picture, and the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def write_toy_places(root: pathlib.Path) -> pathlib.Path:
    """Write a folder of two places, one dark and one bright, with six pictures each."""
    rng = np.random.default_rng(1)
    for name, lowest in (("dark", 0), ("light", 128)):
        for number in range(6):
            small = rng.integers(lowest, lowest + 128, (8, 8, 3)).astype(np.uint8)
            image = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            write(root / name / f"{number}.png", image)
    return root
