"""Draws docs/before_after.png: people on other backgrounds, and what two classifiers said of them.

    bginv run folder:PHOTOGRAPHS --freeze --run-dir RUN
    U2NET_HOME=MODELS python docs/make_picture.py RUN --classes dog elephant giraffe ...

Every object is shown on every background, so nothing is chosen by what was said. Photographs are in
the public domain or CC0, and come with scikit-image and Matplotlib.
"""

import argparse
import pathlib

import cv2
import keras
import matplotlib
import numpy as np
import skimage.data
from matplotlib import cbook, pyplot

from bginv.masks.saliency import SaliencyMasks
from bginv.masks.source import Picture

SIDE = 224
OBJECT_ROWS = 0.75
"""Of the picture's side."""
BACKGROUNDS = {
    "bricks": skimage.data.brick,
    "coffee": skimage.data.coffee,
    "grass": skimage.data.grass,
    "gravel": skimage.data.gravel,
    "galaxies": skimage.data.hubble_deep_field,
    "moon": skimage.data.moon,
    "launch": skimage.data.rocket,
}
RIGHT, WRONG = "#1a7f37", "#cf222e"


def main() -> None:
    """Ask both classifiers of a run about every picture, and draw what they said."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=pathlib.Path, help="folder of a run with the class person")
    parser.add_argument("--classes", nargs="+", required=True, help="in the order of the run")
    parser.add_argument("--output", default="docs/before_after.png")
    own = parser.parse_args()
    pictures = [row for photograph in people() for row in on_backgrounds(photograph)]
    batch = np.stack(pictures).astype(np.float32) / 255
    said = {}
    for name, file in (("before", "classifier.keras"), ("after", "robust_classifier.keras")):
        logits = keras.models.load_model(own.run / file).predict(batch, verbose=0)
        said[name] = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
        right = said[name].argmax(1) == own.classes.index("person")
        print(f"{name}: {right.sum()} of {right.size} right")
    draw(pictures, said, own.classes, own.output)


def people() -> list[np.ndarray]:
    """Two portraits: uint8 [h, w, 3]."""
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        hopper = pyplot.imread(file)
    return [skimage.data.astronaut(), np.asarray(hopper)]


def on_backgrounds(photograph: np.ndarray) -> list[np.ndarray]:
    """The photograph, then its object on each background: uint8 [SIDE, SIDE, 3]."""
    (mask,) = SaliencyMasks().masks([Picture(photograph, "portrait")])
    alpha, pixels = placed((mask.soft > 0.5).astype(np.float32)), placed(photograph / 255)
    found = [square(photograph)]
    for read in BACKGROUNDS.values():
        background = square(read()) / 255
        found.append(np.uint8(255 * (pixels * alpha + background * (1 - alpha))))
    return found


def square(image: np.ndarray) -> np.ndarray:
    """The middle square, in colours: uint8 [SIDE, SIDE, 3]."""
    side = min(image.shape[:2])
    top, left = ((size - side) // 2 for size in image.shape[:2])
    middle = image[top : top + side, left : left + side]
    small = cv2.resize(middle, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small if small.ndim == 3 else cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)


def placed(image: np.ndarray) -> np.ndarray:
    """An image or mask, smaller, at the middle of the lower edge of black: [SIDE, SIDE, 1 or 3]."""
    rows = round(SIDE * OBJECT_ROWS)
    columns = min(round(rows * image.shape[1] / image.shape[0]), SIDE)
    small = cv2.resize(image.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    found = np.zeros((SIDE, SIDE, 1 if small.ndim == 2 else 3), np.float32)
    left = (SIDE - columns) // 2
    found[SIDE - rows :, left : left + columns] = small.reshape(rows, columns, -1)
    return found


def draw(
    pictures: list[np.ndarray], said: dict[str, np.ndarray], classes: list[str], path: str
) -> None:
    """A row a portrait; under each picture what each classifier said, and how surely."""
    matplotlib.use("Agg")
    columns = 1 + len(BACKGROUNDS)
    rows = len(pictures) // columns
    figure, axes = pyplot.subplots(rows, columns, figsize=(1.5 * columns, 2.1 * rows))
    names = ["as it is", *BACKGROUNDS]
    for number, (axis, picture) in enumerate(zip(axes.flat, pictures, strict=True)):
        axis.imshow(picture)
        axis.set_axis_off()
        if number < columns:
            axis.set_title(names[number], fontsize=10)
        for line, (when, scores) in enumerate(said.items()):
            best = int(scores[number].argmax())
            text = f"{when}: {classes[best]} {100 * scores[number, best]:.0f} %"
            colour = RIGHT if classes[best] == "person" else WRONG
            axis.text(
                0.5, -0.1 - 0.13 * line, text, color=colour, fontsize=8.5, ha="center",
                transform=axis.transAxes,
            )  # fmt: skip
    figure.tight_layout(w_pad=0.3, h_pad=0.6)
    figure.savefig(path, dpi=110, facecolor="white")


if __name__ == "__main__":
    main()
