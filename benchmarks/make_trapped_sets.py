"""Sets like Waterbirds on which a plain classifier is trapped, of photographs at hand.

`OUT/horses` tells horses from dogs, `OUT/seven` animals of the wild from others. In training 95 of
100 of a class stand on one kind of place, water or green land. Places are photographs of ImageNet;
their objects are found by saliency, and filled from around them.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

import cv2
import numpy as np

from bginv.data.composites import empty
from bginv.data.files import FileSource
from bginv.data.images import image_names, scan
from bginv.masks.saliency import SaliencyMasks
from bginv.masks.store import find_masks

PLACES = {
    "water": "African_elephant breakwater canoe catamaran coho container_ship dock gar "
    "killer_whale lionfish missile paddle pineapple pirate red-backed_sandpiper ruddy_turnstone "
    "sandbar speedboat stingray trimaran water_ouzel water_snake yawl brain_coral coral_reef "
    "lakeside seashore",
    "land": "Cardigan Komodo_dragon Madagascar_cat Mexican_hairless Shih-Tzu apiary axolotl "
    "baboon black_stork coral_fungus daisy dingo fox_squirrel garden_spider grey_fox half_track "
    "hare harvester impala langur leaf_beetle little_blue_heron macaw magpie spider_web "
    "standard_schnauzer tiger white_wolf banana cucumber",
}
"""Classes of the photographs that are mostly water, and mostly plants."""
WHOLE = {"brain_coral", "coral_reef", "lakeside", "seashore", "banana", "cucumber"}
"""Those that are a place as they are."""
SETS = {
    "horses": {
        "dog": ("seven/train/dog", "seven/clean/dog"),
        "horse": ("horses/images", "seven/train/horse", "seven/clean/horse"),
    },
    "seven": {
        "tame": ("seven/train/dog", "seven/train/horse", "seven/clean/dog", "seven/clean/horse"),
        "wild": (
            *("seven/train/elephant", "seven/train/giraffe"),
            *("seven/clean/elephant", "seven/clean/giraffe"),
        ),
    },
}
"""Folders of each class of a set; masks of `X/images` are in `X/masks`, others by saliency."""
OBJECT_SIZES = {"horses": 0.35, "seven": 0.5}
"""At which a linear head on ImageNet's features is trapped, though it can tell the objects."""
SIDE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=pathlib.Path, required=True, help="folder of the data")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--correlation", type=float, default=0.95)
    parser.add_argument("--object-size", type=float, help="(default: 0.35 and 0.5)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        places = pathlib.Path(scratch) / "places"
        write_places(arguments.shared / "photos", places)
        for name in arguments.sets:
            objects = pathlib.Path(scratch) / name
            write_objects(arguments.shared, SETS[name], objects)
            size = arguments.object_size or OBJECT_SIZES[name]
            make(objects, places, arguments.output / name, size, arguments)


def write_places(photographs: pathlib.Path, folder: pathlib.Path) -> None:
    """The photographs of `PLACES` without their objects, `FOLDER/PLACE/CLASS.png`."""
    files = {name.split("_", 1)[1].rsplit(".", 1)[0]: name for name in image_names(photographs)}
    for place, listed in PLACES.items():
        (folder / place).mkdir(parents=True)
        names = listed.split()
        source = masked([photographs / files[name] for name in names])
        for row, name in enumerate(names):
            image = source.images.read(row).numpy()
            if name not in WHOLE:
                image = empty(image, source.masks.read(row).numpy()[..., :1])
            cv2.imwrite(str(folder / place / f"{name}.png"), image[..., ::-1])


def write_objects(
    shared: pathlib.Path, classes: dict[str, tuple[str, ...]], folder: pathlib.Path
) -> None:
    """The classes of a set and their masks, in the layout of class folders."""
    for class_name, folders in classes.items():
        for number, own in enumerate(folders):
            names = image_names(shared / own)
            source = masked([shared / own / name for name in names])
            for row, name in enumerate(names):
                stem = f"{number}-{pathlib.Path(name).stem}"
                mask = pathlib.Path(source.masks.path(row))
                if own.endswith("/images"):
                    mask = (shared / own).parent / "masks" / pathlib.Path(name).with_suffix(".png")
                copy(shared / own / name, folder / class_name / f"{stem}.jpg")
                copy(mask, folder / "masks" / class_name / f"{stem}.png")


def masked(files: list[pathlib.Path]) -> FileSource:
    """Pictures with masks by saliency."""
    source = FileSource(scan(list(map(str, files))), np.zeros(len(files)), (SIDE, SIDE, 3))
    return find_masks(source, SaliencyMasks()).source


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def make(
    objects: pathlib.Path,
    places: pathlib.Path,
    output: pathlib.Path,
    object_size: float,
    arguments: argparse.Namespace,
) -> None:
    """Call the command, which goes on where it stopped."""
    command = [sys.executable, "-m", "bginv", "make-correlated", f"folder:{objects}"]
    options = {
        "--backgrounds": places,
        "--output": output,
        "--masks": "given",
        "--image-size": SIDE,
        "--object-size": object_size,
        "--correlation": arguments.correlation,
        "--seed": arguments.seed,
    }
    for option, value in options.items():
        command += [option, str(value)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
