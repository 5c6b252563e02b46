"""A folder of horses against other photographs, as `folder:PATH` reads it; files are linked.

HORSES holds `images/*.jpg` and `masks/*.png` of the same names (Weizmann horses), PHOTOS other
photographs whose names tell what they show; those of a horse's relatives are left out. Three
quarters train; `held_out_horses` are the horses of the test with their masks.
"""

import argparse
import os
import pathlib
import random

RELATIVES = ("sorrel", "zebra", "ox", "donkey", "camel", "llama")
TRAIN_SHARE = 0.75


def main() -> None:
    """Link the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("horses", type=pathlib.Path)
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    options = parser.parse_args()
    horses = sorted((options.horses / "images").glob("*.jpg"))
    photos = [
        photo
        for photo in sorted(options.photos.glob("*.jpg"))
        if not set(photo.stem.split("_")[1:]) & set(RELATIVES)
    ]
    for name, files in (("horse", horses), ("other", photos)):
        random.Random(0).shuffle(files)
        cut = int(len(files) * TRAIN_SHARE)
        link(files[:cut], options.output / "train" / name)
        link(files[cut:], options.output / "test" / name)
    held_out = horses[int(len(horses) * TRAIN_SHARE) :]
    masks = [options.horses / "masks" / f"{file.stem}.png" for file in held_out]
    link(held_out, options.output / "held_out_horses/horse")
    link(masks, options.output / "held_out_horses/masks/horse")


def link(files: list[pathlib.Path], folder: pathlib.Path) -> None:
    """Link files into a new folder."""
    folder.mkdir(parents=True)
    for file in files:
        os.symlink(file.resolve(), folder / file.name)


if __name__ == "__main__":
    main()
