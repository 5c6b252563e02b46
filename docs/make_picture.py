"""Draws docs/before_after.png: objects on other backgrounds, and what two classifiers said of them.

    U2NET_HOME=MODELS python docs/make_picture.py data TRAP
    bginv run folder:TRAP --freeze --masks given --run-dir RUN
    python docs/make_picture.py draw TRAP RUN

TRAP is made to be a trap: in training each class stands on a ground of its own. The picture shows
every object on every background, so nothing is chosen by what was said. Photographs are in the
public domain or CC0, and come with scikit-image and Matplotlib.
"""

import argparse
import pathlib

import cv2
import keras
import numpy as np
import skimage.data
from matplotlib import cbook, pyplot

from bginv.masks.saliency import SaliencyMasks
from bginv.masks.source import Picture

SIDE, COPIES, TEST_COPIES = 224, 24, 8
GROUNDS = {"cat": "gravel", "cup": "bricks", "person": "grass"}
"""Of each class in training."""
OBJECTS = {"cat": ["cat"], "cup": ["cup"], "person": ["astronaut", "admiral"]}
BACKGROUNDS = {
    "gravel": skimage.data.gravel,
    "bricks": skimage.data.brick,
    "grass": skimage.data.grass,
    "galaxies": skimage.data.hubble_deep_field,
    "moon": skimage.data.moon,
    "launch": skimage.data.rocket,
}
RIGHT, WRONG = "#1a7f37", "#cf222e"


def main() -> None:
    """Write the photographs of the trap, or draw what the classifiers of a run say of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["data", "draw"])
    parser.add_argument("folder", type=pathlib.Path, help="of the photographs")
    parser.add_argument("run", type=pathlib.Path, nargs="?", help="folder of the run")
    parser.add_argument("--output", default="docs/before_after.png")
    own = parser.parse_args()
    if own.what == "data":
        write_data(own.folder)
    else:
        draw(own.folder, own.run, own.output)


def write_data(folder: pathlib.Path) -> None:
    """Training photographs and two tests: `clean`, and `elsewhere`, every object everywhere."""
    rng = np.random.default_rng(0)
    for name, ground in GROUNDS.items():
        cut = [(cut_out(photograph(own)), own) for own in OBJECTS[name]]
        for number in range(COPIES + TEST_COPIES):
            (pixels, alpha), _ = cut[number % len(cut)]
            if rng.random() < 0.5:
                pixels, alpha = pixels[:, ::-1], alpha[:, ::-1]
            split = "train" if number < COPIES else "clean"
            picture, mask = placed(pixels, alpha, crop(BACKGROUNDS[ground](), rng), rng)
            write(folder / split, name, f"{number:02}", picture, mask)
        for (pixels, alpha), own in cut:
            for place, (other, read) in enumerate(BACKGROUNDS.items()):
                picture, mask = placed(pixels, alpha, crop(read()))
                write(folder / "elsewhere", name, f"{own}-{place}-{other}", picture, mask)


def photograph(name: str) -> np.ndarray:
    """uint8 [h, w, 3]."""
    if name == "admiral":
        with cbook.get_sample_data("grace_hopper.jpg") as file:
            return np.asarray(pyplot.imread(file))
    readers = {
        "astronaut": skimage.data.astronaut,
        "cat": skimage.data.chelsea,
        "cup": skimage.data.coffee,
    }
    return readers[name]()


def cut_out(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The object's box, and its mask there: uint8 [h, w, 3], float32 [h, w] of 0 and 1."""
    (mask,) = SaliencyMasks().masks([Picture(pixels, "photograph")])
    alpha = (mask.soft > 0.5).astype(np.float32)
    left, top, width, height = cv2.boundingRect(alpha.astype(np.uint8))
    box = slice(top, top + height), slice(left, left + width)
    return pixels[box], alpha[box]


def crop(image: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """The middle square, or another one at random, in colours: uint8 [SIDE, SIDE, 3]."""
    side = min(image.shape[:2])
    side = side if rng is None else int(rng.integers(side // 2, side))
    room = [size - side for size in image.shape[:2]]
    top, left = (own // 2 if rng is None else int(rng.integers(own + 1)) for own in room)
    small = cv2.resize(image[top : top + side, left : left + side], (SIDE, SIDE))
    return small if small.ndim == 3 else cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)


def placed(
    pixels: np.ndarray,
    alpha: np.ndarray,
    background: np.ndarray,
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """An object on a background, half as large, in the middle or anywhere, and its mask."""
    share = 0.5 if rng is None else rng.uniform(0.4, 0.6)
    scale = share * SIDE / max(alpha.shape)
    size = [max(round(scale * own), 1) for own in alpha.shape]
    room = [SIDE - own for own in size]
    top, left = (own // 2 if rng is None else int(rng.integers(own + 1)) for own in room)
    place = slice(top, top + size[0]), slice(left, left + size[1])
    small = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
    there = cv2.resize(alpha, size[::-1], interpolation=cv2.INTER_AREA)[..., np.newaxis]
    picture, mask = background.copy(), np.zeros((SIDE, SIDE), np.uint8)
    picture[place] = np.uint8(small * there + picture[place] * (1 - there))
    mask[place] = np.uint8(255 * (there[..., 0] > 0.5))
    return picture, mask


def write(split: pathlib.Path, name: str, stem: str, picture: np.ndarray, mask: np.ndarray) -> None:
    """A photograph and its mask, in the layout of `folder:PATH`."""
    for folder, array in ((split / name, picture[..., ::-1]), (split / "masks" / name, mask)):
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{stem}.png"), array)


def draw(folder: pathlib.Path, run: pathlib.Path, path: str) -> None:
    """A row an object; under each picture what each classifier said, and how surely."""
    files = sorted((folder / "elsewhere").glob("[!m]*/*.png"))
    pictures = np.stack([cv2.imread(str(file))[..., ::-1] for file in files])
    classes, columns = list(GROUNDS), len(BACKGROUNDS)
    said = {}
    for name, file in (("before", "classifier.keras"), ("after", "robust_classifier.keras")):
        logits = keras.models.load_model(run / file)(pictures.astype(np.float32) / 255)
        said[name] = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
        right = [
            classes[row.argmax()] == own.parent.name
            for row, own in zip(said[name], files, strict=True)
        ]
        print(f"{name}: {sum(right)} of {len(right)} right")
    rows = len(files) // columns
    figure, axes = pyplot.subplots(rows, columns, figsize=(1.5 * columns, 2.0 * rows))
    for number, (axis, file) in enumerate(zip(axes.flat, files, strict=True)):
        axis.imshow(pictures[number])
        axis.set_axis_off()
        if number < columns:
            axis.set_title(list(BACKGROUNDS)[number], fontsize=10)
        for line, (when, scores) in enumerate(said.items()):
            best = int(scores[number].argmax())
            text = f"{when}: {classes[best]} {100 * scores[number, best]:.0f} %"
            colour = RIGHT if classes[best] == file.parent.name else WRONG
            where = {"ha": "center", "transform": axis.transAxes}
            axis.text(0.5, -0.1 - 0.13 * line, text, color=colour, fontsize=8.5, **where)
    figure.tight_layout(w_pad=0.3, h_pad=0.6)
    figure.savefig(path, dpi=90, facecolor="white")


if __name__ == "__main__":
    main()
