"""Conditions on an audit, for checks that run by themselves: `gap>0.03`."""

import dataclasses
import operator
import re
from collections.abc import Collection

from bginv.errors import UserError
from bginv.evaluation.intervals import Interval

OPERATORS = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
FORM = re.compile(r"\s*([a-z_]+)\s*(>=|<=|>|<)\s*(-?[0-9.]+)\s*(%?)\s*")


@dataclasses.dataclass(frozen=True)
class Condition:
    """A figure, compared with a number.

    Attributes:
        text: as it was written.
        name: of the figure.
        sign: one of `OPERATORS`.
        bound: a share.
    """

    text: str
    name: str
    sign: str
    bound: float

    def holds(self, figure: Interval) -> bool:
        """Whether it holds for the whole interval of a figure."""
        end = figure.low if ">" in self.sign else figure.high
        return OPERATORS[self.sign](end, self.bound)


def read_conditions(text: str, names: Collection[str]) -> list[Condition]:
    """Conditions that are separated by commas.

    Args:
        text: such as "gap>0.03,only_fg<80%".
        names: of the figures.

    Raises:
        UserError: another form, or an unknown name.
    """
    found = []
    for part in text.split(","):
        match = FORM.fullmatch(part)
        if match is None or match[3].count(".") > 1 or match[3] in (".", "-."):
            raise UserError(
                f"a condition is a figure, one of {', '.join(OPERATORS)}, and a number, such as "
                f"gap>0.03 or gap>3%; received {part.strip()!r}"
            )
        if match[1] not in names:
            raise UserError(f"{part.strip()}: the figures are {', '.join(names)}")
        bound = float(match[3]) / (100 if match[4] else 1)
        if not -1 <= bound <= 1:
            raise UserError(f"{part.strip()}: shares are from 0 to 1, or in %, such as gap>3%")
        found.append(Condition(part.strip(), match[1], match[2], bound))
    return found
