"""Tables of pictures, and data sets of Hugging Face, as the entrance takes them."""

import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bginv.data.catalog import IMAGE_SIZE
from bginv.data.files import stretch
from bginv.data.listed_tables import GUESSED, Columns, load_csv, of_table
from bginv.data.other_formats import colours_of
from bginv.data.sources import Dataset
from bginv.data.tables import Line, TextTable, check_columns
from bginv.errors import UserError

FRAME = "frame"


def is_frame(data: Any) -> bool:
    """Whether data is a pandas DataFrame, which nobody has who has not imported pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def is_hugging_face(data: Any) -> bool:
    """Whether data is a split of Hugging Face's `datasets`."""
    datasets = sys.modules.get("datasets")
    return datasets is not None and isinstance(data, datasets.Dataset)


def load_table(
    table: Any,
    *,
    path: str | None = None,
    label: str | None = None,
    mask: str | None = None,
    place: str | None = None,
    split: str | None = None,
    folder: str | os.PathLike | None = None,
    image_size: int | None = None,
    skip_bad_files: bool = False,
) -> Dataset:
    """A data set of the pictures that a table lists, a line each.

    Args:
        table: a pandas DataFrame, or the path of a CSV file.
        path: name of the column of paths; None looks for "path", "filename" and the like.
        label: of classes, names or numbers from 0 on; None looks for "label", "class" and the like.
        mask: of paths of masks, white is foreground; None looks for "mask".
        place: of what else tells pictures apart; None looks for "place", "site" and the like.
        split: of "train", "validation", "test" or other names of tests; without one, a quarter of
            the pictures becomes the test.
        folder: that paths begin in; None is that of the file, or the working directory.
        image_size: side of the images, which are stretched to squares; None means 64.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        FileNotFoundError: a file that is not there.
        UserError: a column that is lacking, or what does not go together; it names the line.
    """
    columns = Columns.named(path=path, label=label, mask=mask, place=place, split=split)
    side = image_size or IMAGE_SIZE
    if isinstance(table, str | os.PathLike) and folder is None:
        return load_csv(os.fspath(table), side, skip_bad_files, columns)
    if not is_frame(table):
        raise UserError(
            "a table must be a pandas DataFrame or the path of a CSV file (without a folder); "
            f"received {type(table).__name__}"
        )
    text = _text_of(table, columns)
    return of_table(
        text, FRAME, pathlib.Path(folder or ".").expanduser(), side, skip_bad_files, columns
    )


def frames_of(frames: Mapping[str, Any], image_size: int | None) -> Dataset:
    """A data set of data frames, one for each split.

    Args:
        frames: by the names of the splits; one alone may have a column of splits.
        image_size: see `load_table`.

    Raises:
        FileNotFoundError, UserError: see `load_table`.
    """
    if len(frames) == 1:
        return load_table(next(iter(frames.values())), image_size=image_size)
    texts = [(name, _text_of(own, GUESSED, f"{FRAME} {name}")) for name, own in frames.items()]
    split = GUESSED.split[0]
    held = [set(own.columns) for _, own in texts]
    masks = set().union(*held) & set(GUESSED.mask)  # a split without is told, and not taken as all
    lines = []
    for name, own in texts:
        lines += [
            Line(
                line.file,
                line.number,
                {**dict.fromkeys(masks, ""), **line.cells, split: name},
                line.unit,
            )
            for line in own.lines
        ]
    columns = (set.intersection(*held) | masks) - {split}
    together = TextTable(pathlib.Path(FRAME), (*sorted(columns), split), lines)
    return of_table(together, FRAME, pathlib.Path("."), image_size or IMAGE_SIZE, False)


def _text_of(frame: Any, columns: Columns, name: str = FRAME) -> TextTable:
    """The cells of a data frame that are asked for, as text; "" where one is missing."""
    names = [own for own in map(str, frame.columns) if own in columns.all_names()]
    if len(frame) == 0:
        raise UserError(f"{name} has no row")
    check_columns(name, names, names)
    cells = {own: list(map(_text, frame[own].tolist())) for own in names}
    lines = [
        Line(pathlib.Path(name), row, {own: cells[own][row] for own in names}, "row")
        for row in range(len(frame))
    ]
    return TextTable(pathlib.Path(name), tuple(map(str, frame.columns)), lines)


def _text(value: Any) -> str:
    # as pandas has what is missing; NA does not even tell that it is not itself
    if value is None or value is sys.modules["pandas"].NA or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():  # integers beside what is missing
        value = int(value)
    return str(value).strip()


class Records(NamedTuple):
    """Images and labels of a split in memory.

    Attributes:
        images: uint8 [N, H, W, 3].
        labels: of any kind that `labels_of` takes.
        class_names: of labels that are numbers; None where they are not told.
    """

    images: np.ndarray
    labels: Any
    class_names: tuple[str, ...] | None


def hugging_face_records(data: Any, name: str, image_size: int | None) -> Records:
    """A split of Hugging Face's `datasets`, taken into memory.

    Args:
        data: with a feature `Image`, and a `ClassLabel` or a column "label" or "labels".
        name: of the split, for messages.
        image_size: side of the images, which are stretched to squares; None keeps their size where
            all have one, else means 64.

    Raises:
        UserError: no such features, or a picture that cannot be read.
    """
    kinds = {column: type(own).__name__ for column, own in data.features.items()}
    image = next((column for column, kind in kinds.items() if kind == "Image"), None)
    label = next((column for column, kind in kinds.items() if kind == "ClassLabel"), None)
    label = label or next((own for own in ("label", "labels") if own in kinds), None)
    if image is None or label is None:
        raise UserError(
            f"data: {name} needs a feature Image, and a ClassLabel or a column label; it has "
            f"{', '.join(f'{column} ({kind})' for column, kind in kinds.items())}"
        )
    own_names = getattr(data.features[label], "names", None)
    pictures = []
    for row in range(len(data)):
        try:
            pictures.append(colours_of(data[row][image]))
        except Exception as error:  # as many kinds as there are formats, None without a picture
            raise UserError(f"data: {name}, row {row}: its picture cannot be read") from error
        if image_size:
            pictures[-1] = _resized(pictures[-1], image_size)
    if len({own.shape for own in pictures}) > 1:
        pictures = [_resized(own, IMAGE_SIZE) for own in pictures]
    if not pictures:
        raise UserError(f"data: {name} has no row")
    labels = data[label][:]
    return Records(np.stack(pictures), np.array(labels), own_names and tuple(own_names))


def _resized(pixels: np.ndarray, side: int) -> np.ndarray:
    return stretch(tf.constant(pixels), (side, side)).numpy()
