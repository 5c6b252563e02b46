"""Places of pictures from a table, and what is told of groups, a class and a place.

The table is a file of comma-separated values with a column of file names, one of `FILE_COLUMNS`,
and a column of places, one of `PLACE_COLUMNS` unless it is named. A picture is found by its path in
the data set's folder, by that in its split, or by its file's name, where one picture has these.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from absl import logging

from bginv.data.files import FileSource
from bginv.data.images import shown
from bginv.data.listing import composed
from bginv.data.sources import Dataset, Source
from bginv.data.tables import TextTable, read_table
from bginv.errors import UserError

FILE_COLUMNS = ("filename", "file", "image", "img_filename", "path", "name")
PLACE_COLUMNS = ("place", "group", "background", "site", "location", "camera")
TRAIN = "train"
Names: TypeAlias = tuple[str, str, str]
"""Of a picture: its path in the data set's folder, that in its split, its file's name."""

NAMED = 3
"""Groups, in a warning."""


def with_groups(dataset: Dataset, root: str, table: str) -> Dataset:
    """A data set of image files with places from a table.

    Args:
        dataset: its splits are `FileSource`s.
        root: its folder.
        table: "FILE.csv" or "FILE.csv:COLUMN".

    Raises:
        FileNotFoundError: no such file.
        UserError: it cannot be read, lacks a column, tells two places of a picture, or none.
    """
    file, column = _file_and_column(table)
    kept = {*FILE_COLUMNS, *PLACE_COLUMNS, column or ""}
    values = _places_in(read_table(file, kept), column)
    splits = {TRAIN: dataset.train, **dataset.tests}
    keys = {name: _keys(source, root) for name, source in splits.items()}
    found = _match(values, keys, file)
    place_names = tuple(sorted({place for places in found.values() for place in places}))
    numbers = {name: number for number, name in enumerate(place_names)}
    placed = {
        name: source.with_places(np.array([numbers[place] for place in found[name]], np.int32))
        for name, source in splits.items()
    }
    return dataclasses.replace(
        dataset, train=placed.pop(TRAIN), tests=placed, place_names=place_names
    )


def _file_and_column(table: str) -> tuple[pathlib.Path, str | None]:
    """The file of "FILE" or "FILE:COLUMN", and the column's name."""
    path = pathlib.Path(table).expanduser()
    name, colon, column = table.rpartition(":")
    if colon and column and not path.is_file():
        named = pathlib.Path(name).expanduser()
        if named.is_file():
            return named, column
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no table of groups {shown(path)}: name a .csv file, or FILE.csv:COLUMN"
        )
    return path, None


def _places_in(table: TextTable, column: str | None) -> dict[str, str]:
    """The place of each file that a table names.

    Raises:
        UserError: a lacking column, a line without a file or a place, or a file with two places.
    """
    files = table.column("file names", FILE_COLUMNS)
    places = table.column("places", PLACE_COLUMNS if column is None else (column,))
    found: dict[str, str] = {}
    for line in table.lines:
        name, place = (composed(line.cells[own]) for own in (files, places))
        if not name:
            raise line.error(files, "a file name is needed")
        if not place:
            raise line.error(places, f"{shown(name)} needs a place")
        other = found.setdefault(os.path.normpath(name), place)
        if other != place:
            raise line.error(places, f"an earlier line has {shown(name)} in {other!r}")
    return found


def _keys(source: Source, root: str) -> list[Names]:
    """The names of each picture."""
    if not isinstance(source, FileSource) or source.labels.ndim != 1:
        raise UserError("groups (--groups) are for image files with one class each")
    folder = pathlib.Path(root).expanduser()
    found = []
    for row in range(len(source)):
        path, name = pathlib.PurePath(source.images.path(row)), source.name(row)
        whole = path.relative_to(folder).as_posix()
        found.append((composed(whole), composed(name), composed(path.name)))
    return found


def _match(
    values: Mapping[str, str],
    keys: Mapping[str, Sequence[Names]],
    file: pathlib.Path,
) -> dict[str, list[str]]:
    """The place of each picture of each split.

    Raises:
        UserError: pictures without one; it names the first and how many.
    """
    every = [own for split in keys.values() for own in split]
    counts = [collections.Counter(own[level] for own in every) for level in range(3)]
    listed = collections.Counter(os.path.basename(name) for name in values)
    by_name = {os.path.basename(name): own for name, own in values.items()}
    by_name = {name: own for name, own in by_name.items() if listed[name] == 1}

    def place_of(own: Names) -> str | None:
        for level, table in enumerate((values, values, by_name)):
            if counts[level][own[level]] == 1 and own[level] in table:
                return table[own[level]]
        return None

    found = {split: list(map(place_of, own)) for split, own in keys.items()}
    lacking = [
        own[0]
        for split in keys
        for own, place in zip(keys[split], found[split], strict=True)
        if place is None
    ]
    if lacking:
        raise UserError(
            f"{shown(file)} has no place of {len(lacking)} of {len(every)} pictures, the first: "
            f"{shown(lacking[0])}; name each by its path in the data set's folder"
        )
    return found


def tell_groups(dataset: Dataset) -> None:
    """Warn of groups that a test has and training has not, and of those with one picture."""
    trained = _groups(dataset, dataset.train)
    for name, source in dataset.tests.items():
        tested = _groups(dataset, source)
        unseen = [own for own in tested if own not in trained] if trained else []
        if unseen:
            logging.warning(
                "%s: no training picture is of %s, which %s has",
                *(dataset.name, _named(unseen), name),
            )
        single = [own for own, count in tested.items() if count == 1]
        if single:
            logging.warning(
                "%s: %s has one picture of %s: its accuracy tells next to nothing",
                *(dataset.name, name, _named(single)),
            )


def _groups(dataset: Dataset, source: Source) -> dict[str, int]:
    """Pictures of each group that has some, by its name."""
    if source.places is None or source.labels.ndim != 1:
        return {}
    pairs = np.stack([source.labels, source.places], 1)
    groups, counts = np.unique(pairs, axis=0, return_counts=True)
    return {
        f"{dataset.class_names[label]}/{dataset.place_names[place]}": int(count)
        for (label, place), count in zip(groups.tolist(), counts, strict=True)
    }


def _named(groups: Sequence[str]) -> str:
    more = f" and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
    return ", ".join(map(shown, groups[:NAMED])) + more
