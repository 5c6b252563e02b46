"""Files of comma-separated values whose first line names the columns."""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence

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
        cells: texts without space around them, by column; "" where the line ends before.
    """

    file: pathlib.Path
    number: int
    cells: Mapping[str, str]

    def error(self, column: str, why: str) -> UserError:
        """An error that names the file, the line and the value of a column."""
        value = self.cells[column][:MOST_SHOWN]
        return UserError(f"{shown(self.file)}, line {self.number}, {column} {value!r}: {why}")


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


def read_table(file: pathlib.Path) -> TextTable:
    """Read a table of text in UTF-8.

    Raises:
        UserError: it cannot be read, is no text, or has no line below the columns' names.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(file)} is no text file in UTF-8") from error
    except OSError as error:
        raise UserError(f"{shown(file)} cannot be read: {error.strerror.lower()}") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    lines, columns = [], None
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if columns is None:
                columns = tuple(cells)
                continue
            cells += [""] * (len(columns) - len(cells))
            named = dict(zip(columns, cells, strict=False))
            lines.append(Line(file, reader.line_num, named))
    except csv.Error as error:
        raise UserError(f"{shown(file)}, line {reader.line_num}: {error}") from error
    if columns is None:
        raise UserError(f"{shown(file)} is empty; its first line names the columns")
    if not lines:
        raise UserError(f"{shown(file)} has no line below the names of its columns")
    return TextTable(file, columns, lines)
