"""Objects and places of a set like Waterbirds: what is read, and what is left out."""

import copy
import dataclasses
import os
import pathlib
import zlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.correlated import distinct_rows
from bginv.data.files import FileSource, mixing_key, stretched_labels
from bginv.data.images import ImageFiles, image_names, readable_rows, scan, shown
from bginv.data.listing import JUNK
from bginv.errors import UserError
from bginv.ops.augment import sharpen_masks

SHARPNESS = 100.0
"""Of masks' edges, as runs on photographs have it."""
FOREGROUND = 0.5
FEWEST_PLACES = 2
FEWEST_PICTURES = 3
"""Of a place: one for each split."""
NAMED = 5
"""Of the pictures that are left out, in the warning."""


@dataclasses.dataclass(frozen=True)
class Places:
    """Pictures of places.

    Attributes:
        images: the files.
        numbers: int [M], the place of each.
        names: of the places.
        files: PLACE/NAME.jpg of each picture.
    """

    images: ImageFiles
    numbers: np.ndarray
    names: tuple[str, ...]
    files: list[str]

    @property
    def contents(self) -> list[bytes]:
        """Something that stands for each picture's content."""
        return _contents(self.images)

    def digest(self) -> int:
        """A number that tells other pictures, names or places from these."""
        return _digest(self.contents, self.files)


def read_places(path: str, skip_bad_files: bool) -> Places:
    """The pictures of `PATH/PLACE/*.jpg`, each content once, in a fixed mixed order.

    Args:
        path: a folder with one folder a place.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        UserError: no such folder, fewer than two places, a place with fewer than three different
            pictures, a picture in two places, or files that cannot be read.
    """
    root = pathlib.Path(path).expanduser()
    names = _place_names(root)
    found = [
        (f"{name}/{file}", place)
        for place, name in enumerate(names)
        for file in image_names(root / name)
    ]
    found.sort(key=lambda pair: mixing_key(pair[0]))
    images = scan([os.path.join(root, file) for file, _ in found])
    rows = readable_rows(images, skip_bad_files)
    images, files = images.take(rows), [found[row][0] for row in rows]
    numbers = np.array([found[row][1] for row in rows], int)
    _check_in_one_place(images, files, numbers, root)
    kept = distinct_rows(_contents(images))
    tell_left_out(files, np.setdiff1d(np.arange(len(files)), kept), "they are copies of others")
    for place, name in enumerate(names):
        count = int(np.sum(numbers[kept] == place))
        if count < FEWEST_PICTURES:
            raise UserError(
                f"{shown(root / name)} holds too few different pictures, {count}: a place needs "
                f"{FEWEST_PICTURES}, as none is used in two splits"
            )
    return Places(images.take(kept), numbers[kept], names, [files[row] for row in kept])


def _place_names(root: pathlib.Path) -> tuple[str, ...]:
    if not root.is_dir():
        raise UserError(f"--backgrounds needs a folder with PLACE/*.jpg; {shown(root)} is none")
    names = sorted(
        own.name
        for own in root.iterdir()
        if own.is_dir() and own.name[0] != "." and own.name not in JUNK
    )
    if len(names) < FEWEST_PLACES:
        raise UserError(
            f"{shown(root)} holds {', '.join(map(shown, names)) or 'no folder'}: two folders or "
            "more are needed, one a place with its pictures"
        )
    return tuple(names)


def _check_in_one_place(
    images: ImageFiles, files: list[str], numbers: np.ndarray, root: pathlib.Path
) -> None:
    """Raise if a content lies in two places.

    Raises:
        UserError: it names both files.
    """
    first: dict[bytes, int] = {}
    for row, content in enumerate(_contents(images)):
        other = first.setdefault(content, row)
        if numbers[other] != numbers[row]:
            one, two = sorted((files[other], files[row]))
            raise UserError(
                f"{shown(root / one)} and {shown(root / two)} are the same picture in two places: "
                "remove one"
            )


class Objects:
    """Pictures of objects, with masks, of one or two splits.

    Args:
        train: those to be split.
        test: those of the test, if there are some.
        root: folder that file names are relative to.
    """

    def __init__(self, train: FileSource, test: FileSource | None, root: pathlib.Path):
        sources = [train, *([test] if test else [])]
        self._at = [(source, row) for source in sources for row in range(len(source))]
        self.labels = np.concatenate([source.labels for source in sources])
        self.of_test = np.arange(len(self._at)) >= len(train)
        self.contents = [own for source in sources for own in _contents(source.images)]
        self.files = [
            pathlib.PurePath(os.path.relpath(source.images.path(row), root)).as_posix()
            for source, row in self._at
        ]
        self._masks = [source.masks_digest() for source in sources]

    def __len__(self) -> int:
        return len(self._at)

    def digest(self) -> int:
        """A number that tells other pictures, names or masks, or other splits, from these."""
        return _digest(self.contents, [*self.files, *map(str, self._masks)])

    def take(self, rows: Sequence[int] | np.ndarray) -> "Objects":
        """Those of these rows, in this order."""
        taken = copy.copy(self)
        taken._at = [self._at[row] for row in rows]
        taken.labels, taken.of_test = self.labels[rows], self.of_test[rows]
        taken.contents = [self.contents[row] for row in rows]
        taken.files = [self.files[row] for row in rows]
        return taken

    def image(self, row: int) -> tf.Tensor:
        """Pixels of one, at its own size: uint8 [h, w, 3]."""
        source, own = self._at[row]
        return source.images.read(own)

    def mask(self, row: int) -> tf.Tensor:
        """Its mask with sharp edges, at the image's size: float32 [h, w, 1] in [0, 1]."""
        source, own = self._at[row]
        pixels = source.masks.read(own)
        if source.masks_of_labels:
            pixels = stretched_labels(pixels)
        soft = tf.cast(tf.reduce_max(pixels, -1, keepdims=True), tf.float32) / 255.0
        sized = tf.image.resize(soft, source.images.sizes[own], antialias=True)
        return sharpen_masks(sized[tf.newaxis], SHARPNESS)[0]

    def shows_object(self, row: int, side: int) -> bool:
        """Whether a mask shows an object and leaves some background, in a square of this side."""
        mask = tf.image.resize(self.mask(row), [side, side], antialias=True) > FOREGROUND
        return bool(tf.reduce_any(mask)) and not bool(tf.reduce_all(mask))


def usable_objects(objects: Objects, side: int, class_names: Sequence[str]) -> Objects:
    """Those whose mask shows an object, each content once; what is left out is counted and named.

    Of copies, those of the test are kept. A content in two classes is left out altogether.

    Args:
        objects: all.
        side: of the pictures that they are for.
        class_names: of their labels.

    Raises:
        UserError: a class of which nothing is left.
    """
    shows = np.array([objects.shows_object(row, side) for row in range(len(objects))], bool)
    tell_left_out(objects.files, np.flatnonzero(~shows), "their masks are empty or whole")
    for label, name in enumerate(class_names):
        if not shows[objects.labels == label].any():
            raise UserError(
                f"no mask of the class {shown(name)} shows an object: look at them with "
                "`bginv masks`, or name another source with --masks"
            )
    objects = objects.take(np.flatnonzero(shows))
    classes: dict[bytes, set[int]] = {}
    for content, label in zip(objects.contents, objects.labels.tolist(), strict=True):
        classes.setdefault(content, set()).add(label)
    doubtful = np.array([len(classes[content]) > 1 for content in objects.contents])
    tell_left_out(objects.files, np.flatnonzero(doubtful), "they are in two classes")
    objects = objects.take(np.flatnonzero(~doubtful))
    test_first = np.argsort(~objects.of_test, kind="stable")
    kept = test_first[distinct_rows([objects.contents[row] for row in test_first])]
    copies = np.setdiff1d(np.arange(len(objects)), kept)
    tell_left_out(objects.files, copies, "they are copies of others")
    return objects.take(np.sort(kept))


def check_apart(objects: Objects, places: Places) -> None:
    """Raise if a picture of a place is one of an object too.

    Raises:
        UserError: it names both files.
    """
    held = dict(zip(objects.contents, objects.files, strict=True))
    for content, file in zip(places.contents, places.files, strict=True):
        if content in held:
            raise UserError(
                f"the place's picture {shown(file)} is the object's picture {shown(held[content])} "
                "too: remove one"
            )


def tell_left_out(files: Sequence[str], rows: np.ndarray, why: str) -> None:
    """Warn of pictures that do not count, if there are some."""
    if len(rows):
        more = len(rows) - NAMED
        names = ", ".join(shown(files[row]) for row in rows[:NAMED])
        logging.warning(
            "%d of %d pictures are left out, as %s: %s%s",
            *(len(rows), len(files), why, names, f" and {more} more" if more > 0 else ""),
        )


def _contents(images: ImageFiles) -> list[bytes]:
    return [int(number).to_bytes(8, "little") for number in images.fingerprints.numpy()]


def _digest(contents: Sequence[bytes], texts: Sequence[str]) -> int:
    return zlib.crc32(
        "\0".join(texts).encode(errors="surrogateescape"), zlib.crc32(b"".join(contents))
    )
