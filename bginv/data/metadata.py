"""Pictures with a class and a place each, as Waterbirds and the sets of WILDS list them.

```
PATH/metadata.csv        columns of file names, class numbers, splits and places
PATH/NAME.jpg            the pictures; those of iWildCam lie in PATH/train
PATH/masks/NAME.png      their masks, white is foreground: for every picture, or no folder
```
"""

import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bginv.data.entries import WATERBIRDS
from bginv.data.files import mixing_key
from bginv.data.folder import MASKS, METADATA, TRAIN, Split, read_splits
from bginv.data.images import shown
from bginv.data.sources import Dataset
from bginv.data.tables import Line, TextTable, read_table
from bginv.errors import UserError

FILE_COLUMNS = ("img_filename", "filename", "file", "image", "path", "name")
CLASS_COLUMNS = ("y", "label", "category_id")
PLACE_COLUMNS = (
    *("place", "location_remapped", "location", "hospital", "center", "region", "site", "camera"),
    *("background", "group"),
)
SPLIT, CLASS_NAME, PLACE_NAME = "split", "class_name", "place_name"
TEST, VALIDATION = "test", "validation"
COLUMNS = {*FILE_COLUMNS, *CLASS_COLUMNS, *PLACE_COLUMNS, SPLIT, CLASS_NAME, PLACE_NAME}
SPLITS = {
    **{"0": TRAIN, "1": VALIDATION, "2": TEST},
    **{TRAIN: TRAIN, TEST: TEST, "id_test": "id_test", "id_val": "id_val"},
    **dict.fromkeys(("val", "valid", VALIDATION), VALIDATION),
}
"""What stands in the column, in Waterbirds and in WILDS, and what splits are called here."""
TESTS = (TEST, VALIDATION, "id_test", "id_val")
FOLDERS = ("", "train", "images")
"""In which pictures may lie."""
BIRDS, LANDS = ("landbird", "waterbird"), ("land", "water")
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
OF_BIRDS = re.compile(r"\d{3}\.[^/]+/[^/]+")
"""A file of CUB, from which Waterbirds' pictures are."""
PUBLISHERS = (
    "Waterbirds is the archive waterbird_complete95_forest2water2 of Sagawa et al. "
    "(nlp.stanford.edu/data/dro); other sets are those of WILDS (wilds.stanford.edu)"
)


class Columns(NamedTuple):
    """Names of the columns that are read; None where there is none."""

    file: str
    label: str
    split: str
    place: str
    class_name: str | None
    place_name: str | None


class Record(NamedTuple):
    """What a line tells of a picture: its file, class, place and split, in our words."""

    file: str
    label: int
    place: str
    split: str


def load_metadata(path: str, side: int, skip_bad_files: bool) -> Dataset:
    """A training split, and tests in the order "test", "validation"; see the module.

    Class and place names are those of the columns `class_name` and `place_name`, where there are
    some; Waterbirds' own, where two classes and two places have files of CUB; else the values
    themselves.

    Args:
        path: it holds `metadata.csv`.
        side: height and width of the images, which are stretched to squares.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        FileNotFoundError: no such path or file; it names the publishers.
        UserError: another content, files that cannot be read, or masks that do not fit.
    """
    root = pathlib.Path(path).expanduser()
    file = root / METADATA
    if not file.is_file():
        raise FileNotFoundError(f"{shown(file)} is not there; {PUBLISHERS}")
    table = read_table(file, COLUMNS)
    columns = _columns(table)
    records = [_record(line, columns) for line in table.lines]
    _check(table, columns, records)
    class_names, place_names = _names(table, columns, records)
    splits = _splits(root, records, place_names)
    shape = (side, side, 3)
    sources = read_splits(list(splits.values()), shape, skip_bad_files, tuple(place_names.values()))
    train, *tests = sources
    return Dataset(
        f"{WATERBIRDS}{path}",
        train,
        dict(zip(list(splits)[1:], tests, strict=True)),
        class_names,
        shape,
        place_names=tuple(place_names.values()),
    )


def _columns(table: TextTable) -> Columns:
    """The columns to read.

    Raises:
        UserError: one is lacking.
    """
    return Columns(
        table.column("file names", FILE_COLUMNS),
        table.column("class numbers", CLASS_COLUMNS),
        table.column("splits", (SPLIT,)),
        table.column("places", PLACE_COLUMNS),
        CLASS_NAME if CLASS_NAME in table.columns else None,
        PLACE_NAME if PLACE_NAME in table.columns else None,
    )


def _record(line: Line, columns: Columns) -> Record:
    """What a line tells.

    Raises:
        UserError: a value that cannot be one of its column.
    """
    name, split, place = (line.cells[own] for own in (columns.file, columns.split, columns.place))
    parts = pathlib.PurePosixPath(name).parts
    if not parts or os.path.isabs(name) or ".." in parts:
        raise line.error(columns.file, "a path below the folder of the file is needed")
    if split not in SPLITS:
        raise line.error(columns.split, "0 (train), 1 (validation), 2 (test) or a name is needed")
    for column in (columns.label, *(["place"] if columns.place == "place" else [])):
        if not WHOLE_NUMBER.fullmatch(line.cells[column]):
            raise line.error(column, "a whole number of 0 or above is needed")
    if not place:
        raise line.error(columns.place, "every picture needs a place")
    return Record(os.path.normpath(name), int(line.cells[columns.label]), place, SPLITS[split])


def _check(table: TextTable, columns: Columns, records: Sequence[Record]) -> None:
    """Raise unless the lines go together.

    Raises:
        UserError: a file that is listed twice, class numbers with gaps, one class alone, nothing to
            train on or no test.
    """
    first: dict[str, int] = {}
    for record, line in zip(records, table.lines, strict=True):
        earlier = first.setdefault(record.file, line.number)
        if earlier != line.number:
            raise line.error(columns.file, f"line {earlier} has it already: remove one")
    labels = {record.label for record in records}
    gap = next(number for number in range(len(labels) + 1) if number not in labels)
    if gap < len(labels):
        raise table.error(
            f"no line has {columns.label} {gap}, and one has {max(labels)}: number the classes 0, "
            "1, 2, ... without gaps"
        )
    if len(labels) < 2:
        raise table.error(f"{columns.label} is 0 in every line; a classifier needs two classes")
    splits = {record.split for record in records}
    if TRAIN not in splits:
        raise table.error(f"no line has {SPLIT} 0 or train: there is no picture to train on")
    if len(splits) < 2:
        raise table.error(f"no line has {SPLIT} 1, 2, val or test: there is no test")


def _names(
    table: TextTable, columns: Columns, records: Sequence[Record]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names of the classes, and those of the places by the values of their column."""
    labels = range(1 + max(record.label for record in records))
    values = sorted({record.place for record in records}, key=_in_order)
    of_classes, of_places = (
        _named(table, column, own)
        for column, own in (
            (columns.class_name, [str(record.label) for record in records]),
            (columns.place_name, [record.place for record in records]),
        )
    )
    if not of_classes and not of_places and _are_birds(columns, records):
        return BIRDS, dict(zip("01", LANDS, strict=True))
    return (
        tuple(of_classes.get(str(label), str(label)) for label in labels),
        {value: of_places.get(value, value) for value in values},
    )


def _are_birds(columns: Columns, records: Iterable[Record]) -> bool:
    """Whether these are Waterbirds' classes and places."""
    return columns.place == "place" and all(
        record.label < 2 and record.place in ("0", "1") and OF_BIRDS.fullmatch(record.file)
        for record in records
    )


def _in_order(value: str) -> tuple[float, str]:
    """What sorts numbers by size, and before texts."""
    return (float(value) if value.isascii() and value.isdigit() else float("inf"), value)


def _named(table: TextTable, column: str | None, values: Sequence[str]) -> dict[str, str]:
    """The name of each value, from a column of names.

    Raises:
        UserError: no name, two names of one value, or two values of one name.
    """
    if column is None:
        return {}
    names: dict[str, str] = {}
    values_of: dict[str, str] = {}
    for value, line in zip(values, table.lines, strict=True):
        name = line.cells[column]
        if not name or "/" in name:
            raise line.error(column, "a name without / is needed")
        for held, key, own in ((names, value, name), (values_of, name, value)):
            if held.setdefault(key, own) != own:
                raise line.error(column, f"an earlier line has {held[key]!r} with {key!r}")
    return names


def _splits(
    root: pathlib.Path, records: Sequence[Record], place_names: dict[str, str]
) -> dict[str, Split]:
    """Files of each split, the training split first.

    Raises:
        FileNotFoundError: pictures that are not there.
        UserError: a picture without a mask, where others have one.
    """
    files = [record.file for record in records]
    below = next((own for own in FOLDERS if (root / own / files[0]).is_file()), "")
    missing = [name for name in files if not (root / below / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(files)} pictures of {shown(root / METADATA)} are not there, "
            f"the first: {shown(root / below / missing[0])}; {PUBLISHERS}"
        )
    has_masks = (root / MASKS).is_dir()
    found = {}
    for split in (TRAIN, *TESTS):
        own = [record for record in records if record.split == split]
        own.sort(key=lambda record: mixing_key(record.file))
        if own:
            found[split] = Split(
                root / below,
                [record.file for record in own],
                [record.label for record in own],
                [_mask(root, below, record.file) for record in own] if has_masks else [],
                [place_names[record.place] for record in own],
            )
    return found


def _mask(root: pathlib.Path, below: str, name: str) -> str:
    """Where the mask of a picture is, from the folder of the pictures on.

    Raises:
        UserError: it is not there.
    """
    mask = (root / MASKS / name).with_suffix(".png")
    if not mask.is_file():
        raise UserError(
            f"{shown(root / below / name)} has no mask; put it at {shown(mask)}, or remove "
            f"{shown(root / MASKS)}"
        )
    return os.path.relpath(mask, root / below)
