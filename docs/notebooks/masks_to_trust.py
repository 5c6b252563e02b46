# %% [markdown]
# # Masks that I can trust
#
# Everything rests on the masks, so look at them before a training does. This notebook writes a
# tiny folder of pictures in the layout of your photographs, finds their masks from boxes,
# compares them with drawn ones, and shows what happens to masks that show no objects.

# %%
import csv
import pathlib
import subprocess
import sys

import cv2
import numpy as np

import bginv

shapes = bginv.load_data("shapes_unbiased", image_size=64)
folder = pathlib.Path("pictures")
boxes = []
for number, label in enumerate(shapes.train.labels[:60]):
    split, name = ("clean" if number < 30 else "train"), shapes.class_names[int(label)]
    image, mask = shapes.train.images[number], shapes.train.masks[number, ..., 0]
    for place, array in ((folder / split / name, image), (folder / split / "masks" / name, mask)):
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{number}.png"), array[..., ::-1] if array.ndim == 3 else array)
    left, top, width, height = cv2.boundingRect(mask)
    boxes.append([f"{number}.png", left, top, left + width, top + height])
with open("boxes.csv", "w", newline="") as file:
    csv.writer(file).writerows([["name", "left", "top", "right", "bottom"], *boxes])

# %% [markdown]
# ## Masks from boxes
#
# A box an object is quick to draw; grabCut tightens it. `--second given` measures how well they
# agree with the drawn masks. In a notebook, write `!bginv masks folder:pictures --source
# boxes:boxes.csv --second given --output found`.


# %%
def masks(*arguments: str) -> None:
    """Run `bginv masks`."""
    command = [sys.executable, "-m", "bginv", "masks", "folder:pictures", *arguments]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


masks("--source", "boxes:boxes.csv", "--second", "given", "--output", "found", "--overwrite")

# %% [markdown]
# The table tells area, pieces, and whether outlines lie on edges of their own pictures: the
# gradient along an outline, beside that along outlines of other pictures' masks.
# `found/masks.png` is a sheet of the worst and the best; look at it.
#
# ## Masks that show no objects
#
# The masks of other pictures look like masks. But they do not belong to these pictures, and that
# can be measured:

# %%
test = shapes.tests["clean"]
images, labels = test.images[:200], test.labels[:200]
true = test.masks[:200, ..., 0] > 0


def mean_colour(images: np.ndarray) -> np.ndarray:
    """Any model will do to look at masks; this one guesses."""
    return np.tile(images.mean((1, 2)), 2)


for name, own in {
    "true": true,
    "of other pictures": np.roll(true, 1, 0),
    "inverted": ~true,
}.items():
    audit = bginv.audit(mean_colour, (images, labels), own, split="train", pixels=(0, 1))
    print(f"{name}: {'usable' if audit.masks.usable else 'refused'}. {audit.masks.sentences[0]}")

# %% [markdown]
# A run on photographs measures masks the same way before it trains on them, and ends with the
# classifier of phase 1 where they cannot be used. To draw or mend masks by hand, save them as
# `pictures/train/masks/CLASS/NAME.png` (white is the object) and take `--masks given`.
