"""Pictures that a file or a table lists, as a data set: what all such lists are checked for."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from bginv.data.files import FileSource, mixing_key
from bginv.data.images import ImageFiles, check_sizes, readable_rows, scan, shown
from bginv.data.outlines import DrawnMasks, Outline
from bginv.data.sources import Dataset, Source, split_off_test
from bginv.errors import UserError

TRAIN, VALIDATION, CLEAN = "train", "validation", "clean"
SPLITS = {
    **dict.fromkeys(("0", "train", "training"), TRAIN),
    **dict.fromkeys(("1", "val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("2", "test", "testing"), "test"),
}
"""What splits are called, and what here; every other word is a test of that name."""


def split_of(word: str) -> str | None:
    """The split that a word of the name of a file or folder tells; a number tells none there."""
    return None if word.isdigit() else SPLITS.get(word.lower())


@dataclasses.dataclass(frozen=True)
class Listed:
    """A picture of a list.

    Attributes:
        file: path of the picture.
        label: name of its class.
        told: where the list has it, for messages, such as "birds.csv, line 3".
        mask: path of its mask, or the outlines of its objects; None where it has none.
        place: the name of its place; "" where it has none.
        size: width and height that the list tells; None where it tells none.
    """

    file: str
    label: str
    told: str
    mask: str | tuple[Outline, ...] | None = None
    place: str = ""
    size: tuple[int, int] | None = None


def dataset_of(
    name: str,
    splits: Mapping[str, Sequence[Listed]],
    class_names: Sequence[str],
    side: int,
    skip_bad_files: bool,
) -> Dataset:
    """A data set of listed pictures; without a test, a quarter of the pictures becomes one.

    Args:
        name: of the data set.
        splits: "train" among them.
        class_names: in the order of their numbers.
        side: height and width of the images, which are stretched to squares.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        FileNotFoundError: a picture that is not there.
        UserError: pictures, classes, masks or places that do not go together; it names the record.
    """
    splits = dict(sorted(splits.items(), key=lambda own: (own[0] != TRAIN, own[0] == VALIDATION)))
    splits = _of_one_kind(splits)
    if not splits.get(TRAIN):
        raise UserError(f"{shown(name)} lists no picture to train on; it has {', '.join(splits)}")
    _check_records(name, splits, class_names)
    everything = [own for records in splits.values() for own in records]
    place_names = tuple(sorted({own.place for own in everything} - {""}))
    shape = (side, side, 3)
    sources: dict[str, Source] = {}
    # below their folder, so that the order and the test are the same wherever that lies
    root = os.path.commonpath([os.path.dirname(own.file) for own in everything])
    for split, records in splits.items():
        ordered = sorted(records, key=lambda own: mixing_key(_below(root, own.file)))
        sources[split] = _source(ordered, class_names, place_names, shape, skip_bad_files)
    train = sources.pop(TRAIN)
    if not sources:
        train, sources[CLEAN] = split_off_test(train)
    return Dataset(name, train, sources, tuple(class_names), shape, place_names=place_names)


def _of_one_kind(splits: Mapping[str, Sequence[Listed]]) -> Mapping[str, Sequence[Listed]]:
    """The records with absolute paths of pictures where some of them are and others are not."""
    if len({os.path.isabs(own.file) for records in splits.values() for own in records}) == 1:
        return splits
    return {
        split: [dataclasses.replace(own, file=os.path.abspath(own.file)) for own in records]
        for split, records in splits.items()
    }


def _below(root: str, file: str) -> str:
    """The path of a file in a folder, with `/`."""
    return pathlib.PurePath(os.path.relpath(file, root)).as_posix()


def classes_in_order(labels: Sequence[str]) -> tuple[str, ...]:
    """Names of the classes that labels stand for, in the order of their numbers.

    Labels that are whole numbers are the numbers, from 0 on; "01" is a name.
    """
    if all(own.isascii() and own.isdigit() and own == str(int(own[:5])) for own in labels):
        return tuple(map(str, range(1 + max(map(int, labels), default=0))))
    return tuple(sorted(set(labels)))


def _check_records(
    name: str, splits: Mapping[str, Sequence[Listed]], class_names: Sequence[str]
) -> None:
    """Raise unless the records go together; see `dataset_of`."""
    trained = {own.label for own in splits[TRAIN]}
    if len(trained) < 2:
        raise UserError(
            f"{splits[TRAIN][0].told}: every picture to train on is of the class "
            f"{class_names[0] if not trained else next(iter(trained))!r}; a classifier needs two"
        )
    first: dict[str, Listed] = {}
    everything = [own for records in splits.values() for own in records]
    for own in everything:
        earlier = first.setdefault(own.file, own)
        if earlier is not own:
            raise UserError(f"{own.told}: {earlier.told} has {shown(own.file)} already; remove one")
        if own.label not in trained:
            raise UserError(
                f"{own.told}: the class {own.label!r} has no picture to train on; "
                f"{TRAIN} has {', '.join(sorted(trained))[:200]}"
            )
    for own in everything:
        for what, path in (("picture", own.file), ("mask", own.mask)):
            if isinstance(path, str) and not os.path.isfile(path):
                raise FileNotFoundError(f"{own.told}: the {what} {shown(path)} is not there")
    for what in ("mask", "place"):
        some = [bool(getattr(own, what)) for own in everything]
        if any(some) and not all(some):
            lacking = everything[some.index(False)]
            raise UserError(f"{lacking.told}: it has no {what}, and other pictures have one")


def _source(
    records: Sequence[Listed],
    class_names: Sequence[str],
    place_names: Sequence[str],
    shape: tuple[int, int, int],
    skip_bad_files: bool,
) -> FileSource:
    """The readable pictures of a split."""
    mask_files = [own.mask for own in records if isinstance(own.mask, str)]
    files = scan([*(own.file for own in records), *mask_files])
    readable = np.zeros(len(files), bool)
    readable[readable_rows(files, skip_bad_files)] = True
    usable = readable[: len(records)]
    if mask_files:
        usable = usable & readable[len(records) :]
    rows = np.flatnonzero(usable)
    if not len(rows):
        raise UserError(f"{records[0].told}: no picture of its split can be read")
    images, kept = files.take(rows), [records[row] for row in rows]
    _check_told_sizes(images, kept)
    masks: ImageFiles | DrawnMasks | None = None
    if mask_files:
        masks = files.take(len(records) + rows)
        check_sizes(images, masks, "mask")
    elif kept[0].mask is not None:
        masks = DrawnMasks([own.mask for own in kept], images.sizes, [own.told for own in kept])
    number = {own: place for place, own in enumerate(class_names)}
    labels = np.array([number[own.label] for own in kept])
    source = FileSource(images, labels, shape, masks, masks_of_labels=bool(mask_files))
    source.folder = os.path.commonpath([os.path.dirname(own.file) for own in kept])
    if place_names:
        places = {own: place for place, own in enumerate(place_names)}
        source = source.with_places(np.array([places[own.place] for own in kept]))
    return source


def _check_told_sizes(images: ImageFiles, records: Sequence[Listed]) -> None:
    """Raise where a list tells another size of a picture than it has."""
    for (height, width), own in zip(images.sizes, records, strict=True):
        if own.size and own.size != (width, height):
            raise UserError(
                f"{own.told}: the picture {shown(own.file)} is {width}x{height}, and the list says "
                f"{own.size[0]}x{own.size[1]}"
            )


def existing_folder(list_file: pathlib.Path, names: Sequence[str], more: Sequence[str]) -> str:
    """The folder below which the pictures of a list are, as far as the first one tells.

    Args:
        list_file: its path.
        names: of the pictures, as it has them.
        more: other folders beside it that may hold them.
    """
    here = list_file.parent
    places = [here / own for own in ("", "images", "JPEGImages", "data", *more)]
    places += [here.parent / own for own in ("", "images", "JPEGImages", *more)]
    found = next((own for own in places if (own / names[0]).is_file()), here)
    return os.fspath(found)
