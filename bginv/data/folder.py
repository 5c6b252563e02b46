"""A user's own photographs: `PATH/SPLIT/CLASS/*.jpg`, and masks beside the class folders.

```
PATH/train/CLASS/NAME.jpg          the training split
PATH/train/masks/CLASS/NAME.png    its masks, white is foreground: for every image, or no folder
PATH/OTHER/CLASS/NAME.jpg          every other folder is a test of that name, with or without masks
```

Class folders that hold folders alone have places: `PATH/train/CLASS/PLACE/NAME.jpg`, and
`PATH/train/masks/CLASS/PLACE/NAME.png`.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.files import FileSource, mixing_key, stretched_labels
from bginv.data.images import ENDINGS, ImageFiles, check_sizes, readable_rows, scan, shown
from bginv.data.listing import (
    Ignored,
    composed,
    counts,
    folder_below,
    folders,
    is_image,
    kind,
    names_in,
    stem,
    tell_ignored,
)
from bginv.data.sources import Dataset
from bginv.errors import UserError

TRAIN, MASKS, METADATA = "train", "masks", "metadata.csv"
FIRST_TESTS = ("test", "clean")
LAYOUT = "the layout is PATH/train/CLASS/*.jpg and PATH/test/CLASS/*.jpg"
LOOKED_AT, BRIGHT = 20, 200
"""Masks that tell whether their foreground is white, and the least value of white."""
COUNTED = f"files that end in {', '.join(ENDINGS)} count"


@dataclasses.dataclass
class Split:
    """Files of a split, in the order of its records.

    Attributes:
        folder: `PATH/NAME`.
        images: CLASS/NAME.jpg of each, or CLASS/PLACE/NAME.jpg.
        labels: a class number for each.
        masks: masks/CLASS/NAME.png for each, or empty.
        places: the name of its place for each, or empty.
    """

    folder: pathlib.Path
    images: list[str]
    labels: list[int]
    masks: list[str]
    places: list[str] = dataclasses.field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """Paths of the images, then of the masks."""
        return [os.path.join(self.folder, name) for name in (*self.images, *self.masks)]


def load_folder(path: str, image_size: int, skip_bad_files: bool) -> Dataset:
    """A training split and named tests from folders of image files.

    Records are in a fixed mixed order, a function of the files' names, so that the first ones
    show every class.

    Args:
        path: it holds `train` and at least one more folder.
        image_size: side of the images, which are stretched to squares.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        FileNotFoundError: no such path.
        UserError: another layout, files that cannot be read, or masks that do not fit.
    """
    root = pathlib.Path(path).expanduser()
    ignored: Ignored = []
    names = _split_names(root)
    class_names = _class_names(root / TRAIN)
    splits = [_find_split(root / name, class_names, ignored) for name in names]
    tell_ignored(root, ignored)
    shape = (image_size, image_size, 3)
    place_names = tuple(sorted({place for split in splits for place in split.places}))
    train, *tests = read_splits(splits, shape, skip_bad_files, place_names)
    return Dataset(
        f"folder:{path}",
        train,
        dict(zip(names[1:], tests, strict=True)),
        class_names,
        shape,
        place_names=place_names,
    )


def is_of_classes_alone(path: str) -> bool:
    """Whether a folder holds class folders and no splits, `PATH/CLASS/*.jpg`."""
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        return False
    names = folders(root)
    return TRAIN not in names and any(
        any(map(is_image, names_in(root / own))) for own in names.values()
    )


def load_class_folders(
    path: str, image_size: int, skip_bad_files: bool = False
) -> tuple[FileSource, tuple[str, ...]]:
    """All images of a folder with one folder a class, and the classes' names; see `load_folder`.

    Masks may be in `PATH/masks/CLASS/NAME.png`.
    """
    root = pathlib.Path(path).expanduser()
    ignored: Ignored = []
    names = _class_names(root)
    split = _find_split(root, names, ignored)
    tell_ignored(root, ignored)
    (source,) = read_splits([split], (image_size, image_size, 3), skip_bad_files)
    return source, names


def read_splits(
    splits: Sequence[Split],
    image_shape: tuple[int, int, int],
    skip_bad_files: bool,
    place_names: Sequence[str] = (),
) -> list[FileSource]:
    """A source of each split; an image whose mask cannot be read counts as a bad file itself.

    Args:
        splits: their files.
        image_shape: (H, W, 3).
        skip_bad_files: leave files out that cannot be read, with a warning.
        place_names: of all splits, in the order of their numbers.

    Raises:
        UserError: files that cannot be read, or masks that do not fit.
    """
    files = scan([file for split in splits for file in split.files])
    readable = np.zeros(len(files), bool)
    readable[readable_rows(files, skip_bad_files)] = True
    sources, start = [], 0
    for split in splits:
        end = start + len(split.images) + len(split.masks)
        part = files.take(np.arange(start, end))
        source, rows = _source(split, part, readable[start:end], image_shape)
        if split.places:
            numbers = {name: number for number, name in enumerate(place_names)}
            source = source.with_places(np.array([numbers[split.places[row]] for row in rows]))
        sources.append(source)
        start = end
    return sources


def _split_names(root: pathlib.Path) -> list[str]:
    """ "train", then the tests in their order."""
    if not root.exists():
        raise FileNotFoundError(f"{shown(root)} does not exist; {LAYOUT}")
    if not root.is_dir():
        raise UserError(f"{shown(root)} is not a folder; {LAYOUT}")
    names = set(folders(root).values())
    if TRAIN not in names:
        found = ", ".join(sorted(map(shown, names)))
        instead = f"but {found}" if found else "and no other"
        listed = (root / METADATA).is_file()
        hint = f"as it holds {METADATA}, name it waterbirds:PATH" if listed else LAYOUT
        raise UserError(f"{shown(root)} holds no folder {TRAIN}, {instead}; {hint}")
    tests = names - {TRAIN}
    if not tests:
        raise UserError(
            f"{shown(root)} holds no test beside {TRAIN}; {LAYOUT}, "
            "and every further folder is a test of its own name"
        )
    return [TRAIN, *sorted(tests, key=lambda name: (name not in FIRST_TESTS, name != "test", name))]


def _class_names(train: pathlib.Path) -> tuple[str, ...]:
    names = tuple(sorted(folders(train).keys() - {MASKS}))
    if not names and any(map(is_image, names_in(train))):
        raise UserError(
            f"images lie directly in {shown(train)}; put those of each class into a folder "
            f"{shown(train)}/CLASS"
        )
    if not names:
        raise UserError(f"{shown(train)} holds no class folder; {LAYOUT}")
    if len(names) == 1:
        raise UserError(
            f"{shown(train)} holds one class only, {shown(names[0])}; a classifier needs two"
        )
    return names


def _find_split(folder: pathlib.Path, class_names: tuple[str, ...], ignored: Ignored) -> Split:
    """A split's files; what is not one of them is counted."""
    found = folders(folder)
    found.pop(MASKS, None)
    unknown = sorted(found.keys() - set(class_names))
    if unknown:
        raise UserError(
            f"{shown(folder / unknown[0])} is a class that {TRAIN} does not have; it has "
            f"{', '.join(map(shown, class_names))}"
        )
    if not found:
        raise UserError(f"{shown(folder)} holds no class folder; fill or remove it")
    loose = [name for name in names_in(folder) if is_image(name) and name not in found.values()]
    ignored += [("images outside the class folders", folder / name) for name in loose]
    placed = _have_places(folder, found)
    records = [
        (f"{parent}/{file}", label)
        for label, name in enumerate(class_names)
        if name in found
        for parent in (_places_of(folder, found[name], ignored) if placed else [found[name]])
        for file in _find_images(folder / parent, ignored)
    ]
    records.sort(key=lambda record: mixing_key(record[0]))
    images, labels = map(list, zip(*records, strict=True))
    masks = _find_masks(folder, images, ignored) if (folder / MASKS).is_dir() else []
    places = [composed(name.split("/")[1]) for name in images] if placed else []
    return Split(folder, images, labels, masks, places)


def _have_places(folder: pathlib.Path, class_folders: Mapping[str, str]) -> bool:
    """Whether the class folders of a split hold folders alone.

    Raises:
        UserError: some do and some hold images.
    """
    placed, plain = [], []
    for name in class_folders.values():
        own = folder / name
        holds_images = any(map(is_image, names_in(own)))
        (placed if not holds_images and folders(own) else plain).append(own)
    if placed and plain:
        raise UserError(
            f"{shown(placed[0])} holds folders alone, as of places, and {shown(plain[0])} does "
            f"not: give every class of {shown(folder)} folders of places, or none"
        )
    return bool(placed)


def _places_of(folder: pathlib.Path, name: str, ignored: Ignored) -> list[str]:
    """CLASS/PLACE of each place of a class, as the folders stand there."""
    names = sorted(folders(folder / name).values())
    loose = [folder / name / own for own in names_in(folder / name) if own not in names]
    ignored += [(kind(path), path) for path in loose]
    return [f"{name}/{place}" for place in names]


def _find_images(folder: pathlib.Path, ignored: Ignored) -> list[str]:
    names = names_in(folder)
    images = [name for name in names if is_image(name)]
    others = [(kind(folder / name), folder / name) for name in names if not is_image(name)]
    ignored += others
    if not images:
        held = f"(it holds {counts(others)})" if others else "(it is empty)"
        raise UserError(f"{shown(folder)} holds no image {held}; fill or remove it; {COUNTED}")
    return images


def _find_masks(folder: pathlib.Path, images: list[str], ignored: Ignored) -> list[str]:
    """The mask of each image: the same class and stem, any image ending."""
    masks: dict[str, str] = {}
    for parent in sorted({os.path.dirname(image) for image in images}):
        own = folder_below(folder / MASKS, parent)
        for name in _find_images(folder / MASKS / own, ignored) if own else []:
            mask = f"{MASKS}/{own}/{name}"
            other = masks.setdefault(stem(f"{parent}/{name}"), mask)
            if other != mask:
                raise UserError(
                    f"{shown(folder / other)} and {shown(folder / mask)} are masks of one image; "
                    "remove one"
                )
    for image in images:
        if stem(image) not in masks:
            wanted = folder / MASKS / f"{stem(image)}.png"
            raise UserError(
                f"{shown(folder / image)} has no mask; put it at {shown(wanted)}, or remove "
                f"{shown(folder / MASKS)}"
            )
    unused = masks.keys() - set(map(stem, images))
    ignored += [("masks without an image", folder / masks[stem]) for stem in sorted(unused)]
    return [masks[stem(image)] for image in images]


def _source(
    split: Split,
    files: ImageFiles,
    readable: np.ndarray,
    image_shape: tuple[int, int, int],
) -> tuple[FileSource, np.ndarray]:
    """Readable records of a split and their rows; files holds its images, then its masks."""
    count, labels = len(split.images), np.array(split.labels)
    usable = readable[:count] & readable[count:] if split.masks else readable
    rows = np.flatnonzero(usable)
    lost = sorted(set(split.labels) - set(labels[rows].tolist()))
    if lost:
        folder = os.path.dirname(split.images[split.labels.index(lost[0])])
        raise UserError(
            f"every image of {shown(split.folder / folder)}, or its mask, is one "
            "that cannot be read; repair them or remove the folder"
        )
    images = files.take(rows)
    masks = files.take(count + rows) if split.masks else None
    if masks is not None:
        check_sizes(images, masks, "mask")
        _warn_of_dark(masks)
    source = FileSource(images, labels[rows], image_shape, masks, masks_of_labels=True)
    source.folder = os.fspath(split.folder)
    return source, rows


def _warn_of_dark(masks: ImageFiles) -> None:
    """Warn if masks have next to no foreground, as numbers of classes and other bits than 8 do."""
    rows = np.linspace(0, len(masks), min(LOOKED_AT, len(masks)), endpoint=False, dtype=int)
    brightest = max(int(tf.reduce_max(stretched_labels(masks.read(row)))) for row in rows)
    if brightest < BRIGHT:
        logging.warning(
            "the brightest pixel of %d masks, such as %s, is %d of 255, and white is foreground: "
            "look at what the masks hold",
            *(len(rows), masks.name(rows[0]), brightest),
        )
