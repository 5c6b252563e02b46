"""Files of comma-separated values whose first line names the columns."""

import csv
import dataclasses
import itertools
import pathlib
import sys
from collections.abc import Collection, Mapping, Sequence

from bginv.data.images import shown
from bginv.errors import UserError

MOST_SHOWN = 80
"""Characters of a value, in a message."""


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes:
        file: path of the table.
        number: in the file, from 1 on; the first names the columns.
        cells: texts without space around them, by column, of those that were asked for; "" where
            the line ends before.
        unit: what the number counts.
    """

    file: pathlib.Path
    number: int
    cells: Mapping[str, str]
    unit: str = "line"

    @property
    def told(self) -> str:
        """Where it stands, for a message."""
        return f"{shown(self.file)}, {self.unit} {self.number}"

    def error(self, column: str, why: str) -> UserError:
        """An error that names the file, the line and the value of a column."""
        value = self.cells[column][:MOST_SHOWN]
        return UserError(f"{self.told}, {column} {value!r}: {why}")


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A table in a file.

    Attributes:
        file: its path.
        columns: their names.
        lines: at least one.
    """

    file: pathlib.Path
    columns: tuple[str, ...]
    lines: Sequence[Line]

    def column(self, what: str, names: Sequence[str]) -> str:
        """The first of some names that is one of a column.

        Args:
            what: stands in such a column, for the message.
            names: those that are looked for.

        Raises:
            UserError: there is none.
        """
        found = next((name for name in names if name in self.columns), None)
        if found is None:
            wanted = "a column" if len(names) == 1 else "one of the columns"
            raise self.error(
                f"{what} need {wanted} {', '.join(names)}; it has "
                f"{', '.join(map(repr, self.columns))}"
            )
        return found

    def error(self, why: str) -> UserError:
        """An error that names the file."""
        return UserError(f"{shown(self.file)}: {why}")


def read_table(file: pathlib.Path, kept: Collection[str]) -> TextTable:
    """Read a table of text in UTF-8.

    Args:
        file: its path.
        kept: names of the columns whose cells are kept, where they are there.

    Raises:
        UserError: it cannot be read, is no text, or has no line below the columns' names.
    """
    columns: tuple[str, ...] = ()
    lines: list[Line] = []
    number = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            for row in reader:
                number = reader.line_num
                if not any(map(str.strip, row)):
                    continue
                if columns:
                    lines.append(Line(file, number, _cells(columns, row, kept)))
                else:
                    columns = tuple(map(str.strip, row))
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(file)} is no text file in UTF-8") from error
    except OSError as error:
        raise UserError(f"{shown(file)} cannot be read: {error.strerror.lower()}") from error
    except csv.Error as error:
        raise UserError(f"{shown(file)}, after line {number}: {error}") from error
    check_columns(shown(file), columns, kept)
    if not columns:
        raise UserError(f"{shown(file)} is empty; its first line names the columns")
    if not lines:
        raise UserError(f"{shown(file)} has no line below the names of its columns")
    return TextTable(file, columns, lines)


def check_columns(told: str, columns: Sequence[str], kept: Collection[str]) -> None:
    """Raise where a column that is asked for is there twice.

    Args:
        told: the table, for the message.
        columns: names of its columns.
        kept: those that are asked for.

    Raises:
        UserError: it names the column.
    """
    twice = next((own for own in columns if own in kept and columns.count(own) > 1), None)
    if twice:
        raise UserError(f"{told} has the column {twice!r} twice: rename one")


def _cells(columns: Sequence[str], row: Sequence[str], kept: Collection[str]) -> dict[str, str]:
    """The cells of a line by column; equal ones are held once."""
    held = itertools.zip_longest(columns, row[: len(columns)], fillvalue="")
    return {column: sys.intern(cell.strip()) for column, cell in held if column in kept}
