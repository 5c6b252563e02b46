"""A user's own photographs: `PATH/SPLIT/CLASS/*.jpg`, and masks beside the class folders.

```
PATH/train/CLASS/NAME.jpg          the training split
PATH/train/masks/CLASS/NAME.png    its masks, white is foreground: for every image, or no folder
PATH/OTHER/CLASS/NAME.jpg          every other folder is a test of that name, with or without masks
```
"""

import collections
import dataclasses
import os
import pathlib
import unicodedata
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.files import FileSource, mixing_key, stretched_labels
from bginv.data.images import ENDINGS, ImageFiles, check_sizes, readable_rows, scan, shown
from bginv.data.sources import Dataset
from bginv.errors import UserError

TRAIN, MASKS = "train", "masks"
FIRST_TESTS = ("test", "clean")
LAYOUT = "the layout is PATH/train/CLASS/*.jpg and PATH/test/CLASS/*.jpg"
LOOKED_AT, BRIGHT = 20, 200
"""Masks that tell whether their foreground is white, and the least value of white."""
JUNK = {"__MACOSX", "Thumbs.db", "desktop.ini"}
"""What systems leave in folders, beside what is hidden."""
Ignored: TypeAlias = list[tuple[str, pathlib.Path]]
"""Kind and path of everything that was ignored."""

NAMED = 3
"""Of them, in the warning."""

COUNTED = f"files that end in {', '.join(ENDINGS)} count"


@dataclasses.dataclass
class Split:
    """Files of a split, in the order of its records.

    Attributes:
        folder: `PATH/NAME`.
        images: CLASS/NAME.jpg of each.
        labels: a class number for each.
        masks: masks/CLASS/NAME.png for each, or empty.
    """

    folder: pathlib.Path
    images: list[str]
    labels: list[int]
    masks: list[str]

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
    _tell_ignored(root, ignored)
    shape = (image_size, image_size, 3)
    sources = read_splits(splits, shape, skip_bad_files)
    train, *tests = sources
    tests = dict(zip(names[1:], tests, strict=True))
    return Dataset(f"folder:{path}", train, tests, class_names, shape)


def is_of_classes_alone(path: str) -> bool:
    """Whether a folder holds class folders and no splits, `PATH/CLASS/*.jpg`."""
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        return False
    names = _folders(root)
    return TRAIN not in names and any(
        any(map(_is_image, _entries(root / own))) for own in names.values()
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
    _tell_ignored(root, ignored)
    (source,) = read_splits([split], (image_size, image_size, 3), skip_bad_files)
    return source, names


def read_splits(
    splits: Sequence[Split],
    image_shape: tuple[int, int, int],
    skip_bad_files: bool,
) -> list[FileSource]:
    """A source of each split; an image whose mask cannot be read counts as a bad file itself.

    Args:
        splits: their files.
        image_shape: (H, W, 3).
        skip_bad_files: leave files out that cannot be read, with a warning.

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
        sources.append(_source(split, part, readable[start:end], image_shape))
        start = end
    return sources


def _split_names(root: pathlib.Path) -> list[str]:
    """ "train", then the tests in their order."""
    if not root.exists():
        raise FileNotFoundError(f"{shown(root)} does not exist; {LAYOUT}")
    if not root.is_dir():
        raise UserError(f"{shown(root)} is not a folder; {LAYOUT}")
    names = set(_folders(root).values())
    if TRAIN not in names:
        found = ", ".join(sorted(map(shown, names))) or "no folder"
        raise UserError(f"{shown(root)} holds no folder {TRAIN}, but {found}; {LAYOUT}")
    tests = names - {TRAIN}
    if not tests:
        raise UserError(
            f"{shown(root)} holds no test beside {TRAIN}; {LAYOUT}, "
            "and every further folder is a test of its own name"
        )
    return [TRAIN, *sorted(tests, key=lambda name: (name not in FIRST_TESTS, name != "test", name))]


def _class_names(train: pathlib.Path) -> tuple[str, ...]:
    names = tuple(sorted(_folders(train).keys() - {MASKS}))
    if not names and any(map(_is_image, _entries(train))):
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
    found = _folders(folder)
    found.pop(MASKS, None)
    unknown = sorted(found.keys() - set(class_names))
    if unknown:
        raise UserError(
            f"{shown(folder / unknown[0])} is a class that {TRAIN} does not have; it has "
            f"{', '.join(map(shown, class_names))}"
        )
    if not found:
        raise UserError(f"{shown(folder)} holds no class folder; fill or remove it")
    loose = [name for name in _entries(folder) if _is_image(name) and name not in found.values()]
    ignored += [("images outside the class folders", folder / name) for name in loose]
    records = [
        (f"{found[name]}/{file}", label)
        for label, name in enumerate(class_names)
        if name in found
        for file in _find_images(folder / found[name], ignored)
    ]
    records.sort(key=lambda record: mixing_key(record[0]))
    images, labels = map(list, zip(*records, strict=True))
    masks = _find_masks(folder, images, ignored) if (folder / MASKS).is_dir() else []
    return Split(folder, images, labels, masks)


def _find_images(folder: pathlib.Path, ignored: Ignored) -> list[str]:
    names = _entries(folder)
    images = [name for name in names if _is_image(name)]
    others = [(_kind(folder / name), folder / name) for name in names if not _is_image(name)]
    ignored += others
    if not images:
        held = f"(it holds {_counts(others)})" if others else "(it is empty)"
        raise UserError(f"{shown(folder)} holds no image {held}; fill or remove it; {COUNTED}")
    return images


def _find_masks(folder: pathlib.Path, images: list[str], ignored: Ignored) -> list[str]:
    """The mask of each image: the same class and stem, any image ending."""
    masks = {}
    found = _folders(folder / MASKS)
    for class_name in sorted({_composed(os.path.dirname(image)) for image in images}):
        if class_name not in found:
            continue
        for name in _find_images(folder / MASKS / found[class_name], ignored):
            mask = f"{MASKS}/{found[class_name]}/{name}"
            other = masks.setdefault(_stem(f"{class_name}/{name}"), mask)
            if other != mask:
                raise UserError(
                    f"{shown(folder / other)} and {shown(folder / mask)} are masks of one image; "
                    "remove one"
                )
    for image in images:
        if _stem(image) not in masks:
            wanted = folder / MASKS / f"{_stem(image)}.png"
            raise UserError(
                f"{shown(folder / image)} has no mask; put it at {shown(wanted)}, or remove "
                f"{shown(folder / MASKS)}"
            )
    unused = masks.keys() - set(map(_stem, images))
    ignored += [("masks without an image", folder / masks[stem]) for stem in sorted(unused)]
    return [masks[_stem(image)] for image in images]


def _source(
    split: Split,
    files: ImageFiles,
    readable: np.ndarray,
    image_shape: tuple[int, int, int],
) -> FileSource:
    """Readable records of a split; files holds its images, then its masks."""
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
    return FileSource(images, labels[rows], image_shape, masks, masks_of_labels=True)


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


def _entries(folder: pathlib.Path) -> list[str]:
    """Names of what a folder holds, sorted, without what is hidden."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        raise UserError(f"{shown(folder)} cannot be read: {error.strerror.lower()}") from error
    return [name for name in names if not name.startswith(".") and name not in JUNK]


def _folders(folder: pathlib.Path) -> dict[str, str]:
    """Folders in a folder: their names in Unicode's composed form, and as they stand there."""
    found: dict[str, str] = {}
    for name in _entries(folder):
        if os.path.islink(folder / name) and not (folder / name).exists():
            raise UserError(f"{shown(folder / name)} is a link that leads nowhere; remove it")
        if not (folder / name).is_dir():
            continue
        other = found.setdefault(_composed(name), name)
        if other != name:
            raise UserError(
                f"{shown(folder / name)} is there twice, in two forms of Unicode: put the files "
                "of both into one folder"
            )
    return found


def _is_image(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def _stem(name: str) -> str:
    return _composed(os.path.splitext(name)[0])


def _composed(name: str) -> str:
    """A name in Unicode's composed form; archives of macOS have the other."""
    return unicodedata.normalize("NFC", name)


def _kind(path: pathlib.Path) -> str:
    return "folders in class folders" if path.is_dir() else path.suffix.lower() or "no ending"


def _tell_ignored(root: pathlib.Path, ignored: Ignored) -> None:
    if ignored:
        logging.warning("%s: ignored %s, such as %s", shown(root), _counts(ignored), _some(ignored))


def _counts(ignored: Ignored) -> str:
    kinds = collections.Counter(kind for kind, _ in ignored)
    return ", ".join(f"{count} {shown(kind)}" for kind, count in sorted(kinds.items()))


def _some(ignored: Ignored) -> str:
    """One of each kind, at most so many."""
    first = dict(reversed(ignored))
    return ", ".join(shown(first[kind]) for kind in sorted(first)[:NAMED])
