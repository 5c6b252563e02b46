"""A table of numbers that prints as Markdown, shows in a notebook and converts to pandas."""

import dataclasses
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

PERCENT = "percent"


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of numbers or texts.

    Attributes:
        title: of the first column, which holds the rows' names.
        formats: by the column's name: `PERCENT` for shares, else a format such as ".3f" or "".
        rows: by the row's name: values by the column's name; what is None, NaN or missing is shown
            as "-".
    """

    title: str
    formats: Mapping[str, str]
    rows: Mapping[str, Mapping[str, Any]]

    def __str__(self) -> str:
        return aligned([self.title, *self.formats], self._cells())

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        return self.html()

    def html(self) -> str:
        """The table for a page."""
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self._header())
        body = "".join(
            f'<tr><th scope="row">{html.escape(name)}</th>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def to_pandas(self):
        """A `pandas.DataFrame` of the values as they are, shares in [0, 1].

        Raises:
            ModuleNotFoundError: pandas is not there.
        """
        try:
            import pandas
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("to_pandas needs pandas: pip install pandas") from error
        rows = [[row.get(name) for name in self.formats] for row in self.rows.values()]
        return pandas.DataFrame(rows, index=list(self.rows), columns=list(self.formats))

    def _header(self) -> list[str]:
        return [self.title, *self.formats]

    def _cells(self) -> list[list[str]]:
        return [
            [name, *(_shown(row.get(column), form) for column, form in self.formats.items())]
            for name, row in self.rows.items()
        ]


def percent(value: float | None) -> str:
    """A share in [0, 1] in %, with one decimal."""
    return _shown(value, PERCENT)


def aligned(header: Sequence[str], body: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table, the first `left` columns to the left and the others to the right."""
    header, *body = ([cell.replace("|", "\\|") for cell in row] for row in (header, *body))
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    lines = [
        [
            *map(str.ljust, cells[:left], widths[:left]),
            *map(str.rjust, cells[left:], widths[left:]),
        ]
        for cells in (header, *body)
    ]
    rule = [
        *("-" * width for width in widths[:left]),
        *("-" * (width - 1) + ":" for width in widths[left:]),
    ]
    lines.insert(1, rule)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _shown(value: Any, form: str) -> str:
    if value is None or isinstance(value, float) and math.isnan(value):
        return "-"
    return f"{100 * value:.1f}" if form == PERCENT else format(value, form)
