"""Tables with the path and the class of a picture in each line: CSV files and data frames.

```
path,label,mask,place,split
a/1.jpg,cat,masks/1.png,garden,train
```

The first two columns are needed. Paths are below the folder of the file, or whole.
"""

import dataclasses
import os
import pathlib

from bginv.data.entries import CSV
from bginv.data.listed import SPLITS, TRAIN, Listed, classes_in_order, dataset_of
from bginv.data.metadata import FILE_COLUMNS, PLACE_COLUMNS
from bginv.data.sources import Dataset
from bginv.data.tables import Line, TextTable, read_table


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names that a column may have, the first one that is there counts; one name alone is needed.

    Attributes:
        path: of the pictures.
        label: their classes, as names or as numbers from 0 on.
        mask: paths of masks, white is foreground.
        place: what else tells pictures apart: a site, a camera.
        split: "train", "validation", "test", or the name of another test.
    """

    path: tuple[str, ...] = (
        *("path", "filename", "filepath", "file_path", "image_path", "file_name"),
        *(own for own in FILE_COLUMNS if own not in ("path", "filename")),
    )
    label: tuple[str, ...] = ("label", "class", "class_name", "category", "target", "y")
    mask: tuple[str, ...] = ("mask", "mask_path", "mask_filename")
    place: tuple[str, ...] = PLACE_COLUMNS
    split: tuple[str, ...] = ("split", "subset", "set")

    @classmethod
    def named(cls, **names: str | None) -> "Columns":
        """Those with one name, where it is given; the others as they are guessed."""
        return cls(**{role: (name,) for role, name in names.items() if name is not None})

    def all_names(self) -> set[str]:
        """Every name that is looked for."""
        return {name for names in dataclasses.astuple(self) for name in names}


GUESSED = Columns()


def load_csv(path: str, side: int, skip_bad_files: bool, columns: Columns = GUESSED) -> Dataset:
    """The pictures that a CSV file lists; see the module.

    Args:
        path: of the file.
        side: height and width of the images, which are stretched to squares.
        skip_bad_files: leave files out that cannot be read, with a warning.
        columns: their names.

    Raises:
        FileNotFoundError: no such file, or a picture that is not there.
        UserError: a column that is lacking, or see `dataset_of`.
    """
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"there is no table {path}; csv:FILE needs columns path and label")
    table = read_table(file, columns.all_names())
    return of_table(table, f"{CSV}{path}", file.parent, side, skip_bad_files, columns)


def of_table(
    table: TextTable,
    name: str,
    root: pathlib.Path,
    side: int,
    skip_bad_files: bool,
    columns: Columns = GUESSED,
) -> Dataset:
    """The pictures that a table lists.

    Args:
        table: see the module.
        name: of the data set.
        root: the folder that paths begin in.
        side: see `load_csv`.
        skip_bad_files: see there.
        columns: their names.

    Raises:
        FileNotFoundError: a picture that is not there.
        UserError: a column that is lacking, or see `dataset_of`.
    """
    path = table.column("paths of pictures", columns.path)
    label = table.column("classes", columns.label)
    optional = {}
    for role, what in (("mask", "masks"), ("place", "places"), ("split", "splits")):
        names = getattr(columns, role)
        asked = names != getattr(GUESSED, role)
        there = next((own for own in names if own in table.columns), None)
        optional[role] = table.column(what, names) if asked else there
    splits: dict[str, list[Listed]] = {}
    for line in table.lines:
        split = line.cells[optional["split"]] if optional["split"] else TRAIN
        if not split:
            raise line.error(optional["split"], "train, validation, test or a name is needed")
        record = _listed(line, root, path, label, optional["mask"], optional["place"])
        splits.setdefault(SPLITS.get(split.lower(), split), []).append(record)
    labels = [own.label for records in splits.values() for own in records]
    return dataset_of(name, splits, classes_in_order(labels), side, skip_bad_files)


def _listed(
    line: Line,
    root: pathlib.Path,
    path: str,
    label: str,
    mask: str | None,
    place: str | None,
) -> Listed:
    """What a line tells.

    Raises:
        UserError: an empty cell, or a class that is a number with a fraction.
    """
    for column in (path, label, *([place] if place else [])):
        if not line.cells[column]:
            raise line.error(column, "it is empty")
    if _is_fraction(line.cells[label]):
        raise line.error(label, "a class is a name or a whole number")
    of_mask = line.cells[mask] if mask else ""
    return Listed(
        _file(root, line.cells[path]),
        line.cells[label],
        line.told,
        _file(root, of_mask) if of_mask else None,
        line.cells[place] if place else "",
    )


def _file(root: pathlib.Path, name: str) -> str:
    return os.path.normpath(root / pathlib.Path(name).expanduser())


def _is_fraction(text: str) -> bool:
    try:
        return float(text) != int(float(text))
    except (ValueError, OverflowError):
        return False
