"""Masks of horses by each source against the true ones: mean IoU, and seconds a picture.

HORSES holds `images/*.jpg` and `masks/*.png` of the same names (Weizmann horses). A soft mask's
threshold is 0.5. Names are those of `bginv masks --source`, and `centre` (one box in the middle of
every picture, the size that is best on these), `everything`, and `boxes` (the true masks' boxes,
tightened by grabCut). `cam` needs --model with a classifier that knows horses, of the number that
--label tells, `model:FILE` a mask generator, such as the one of learned masks.
"""

import argparse
import pathlib
import tempfile
from collections.abc import Callable

import cv2
import numpy as np
from measuring import timed

from bginv.data.sources import ArraySource, Dataset
from bginv.data.variations import box_of
from bginv.interop.model_files import load_any
from bginv.masks.boxes import BoxMasks
from bginv.masks.choice import choose
from bginv.masks.source import Mask, MaskSource, Picture
from bginv.masks.trust import iou
from bginv.report.tables import PERCENT, Table

SHARES = np.arange(0.3, 1.01, 0.05)


def main() -> None:
    """Find the masks of each source, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("horses", type=pathlib.Path)
    parser.add_argument("sources", nargs="*", default=["saliency", "boxes", "centre", "everything"])
    parser.add_argument("--model", help="classifier for cam, .keras")
    parser.add_argument("--label", type=int, help="of horses, in that classifier")
    parser.add_argument("--every", type=int, default=1, help="take every so many-th picture")
    options = parser.parse_args()
    pictures, truth = read(options.horses, options.every, options.label)
    rows = {}
    for name in options.sources:
        seconds, found = timed(masks_of, name, options.model, pictures, truth)
        scores = [iou(mask.soft >= 0.5, true) for mask, true in zip(found, truth, strict=True)]
        rows[name] = {
            "mean IoU": float(np.mean(scores)),
            "below 50": float(np.mean(np.array(scores) < 0.5)),
            "failures": sum(mask.failure is not None for mask in found),
            "seconds": seconds / len(pictures),
        }
    formats = {"mean IoU": PERCENT, "below 50": PERCENT, "failures": "", "seconds": ".3f"}
    print(Table(f"{len(pictures)} horses, in %", formats, rows))


def read(
    horses: pathlib.Path, every: int = 1, label: int | None = None
) -> tuple[list[Picture], list[np.ndarray]]:
    """Pictures and true masks, bool."""
    pictures, truth = [], []
    for file in sorted((horses / "images").glob("*.jpg"))[::every]:
        pixels = cv2.imread(str(file))[..., ::-1].copy()
        pictures.append(Picture(pixels, f"horse/{file.name}", label))
        mask = cv2.imread(str(horses / "masks" / f"{file.stem}.png"), cv2.IMREAD_GRAYSCALE)
        truth.append(mask > 127)
    return pictures, truth


def masks_of(
    name: str, model: str | None, pictures: list[Picture], truth: list[np.ndarray]
) -> list[Mask]:
    """Masks of the pictures by the source of this name."""
    if name in FIXED:
        return [Mask(own.astype(np.float32)) for own in FIXED[name](truth)]
    return found_by(_source(name, model, pictures, truth), pictures)


def _source(
    name: str, model: str | None, pictures: list[Picture], truth: list[np.ndarray]
) -> MaskSource:
    if name == "boxes":
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "boxes.csv"
            lines = [
                f"{picture.name},{left},{top},{right},{bottom}"
                for picture, (top, left, bottom, right) in zip(
                    pictures, map(box_of, truth), strict=True
                )
            ]
            path.write_text("\n".join(lines), encoding="utf-8")
            return BoxMasks(str(path))
    images = np.zeros((2, 8, 8, 3), np.uint8)
    nothing = ArraySource(images, np.arange(2))
    dataset = Dataset("horses", nothing, {"test": nothing}, ("horse", "other"), (8, 8, 3))
    settings = {"classifier": load_any(model)} if model else {}
    found = choose(name, dataset, **settings).source
    if found is None:
        raise SystemExit(f"{name} finds no masks by itself: name a mask generator with model:FILE")
    return found


def found_by(source: MaskSource, pictures: list[Picture]) -> list[Mask]:
    """Masks of the pictures by a source, in its batches."""
    size = source.batch_size
    batches = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    return [mask for batch in batches for mask in source.masks(batch)]


def centre_boxes(truth: list[np.ndarray]) -> list[np.ndarray]:
    """Boxes in the middle of each picture, of the shares of its sides that are best for all."""

    def boxes(down: float, across: float) -> list[np.ndarray]:
        found = []
        for mask in truth:
            rows, columns = (
                np.abs(np.linspace(-1, 1, side)) <= share
                for side, share in zip(mask.shape, (down, across), strict=True)
            )
            found.append(rows[:, None] & columns)
        return found

    sizes = [(down, across) for down in SHARES for across in SHARES]
    return max(
        (boxes(*size) for size in sizes),
        key=lambda found: np.mean([iou(box, mask) for box, mask in zip(found, truth, strict=True)]),
    )


FIXED: dict[str, Callable[[list[np.ndarray]], list[np.ndarray]]] = {
    "centre": centre_boxes,
    "everything": lambda truth: [np.ones_like(mask) for mask in truth],
}


if __name__ == "__main__":
    main()
