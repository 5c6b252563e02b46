"""Which class of the pictures each output of a model stands for."""

import csv
import dataclasses
import json
import pathlib
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.optimize

from bginv.data.images import shown
from bginv.errors import UserError

OTHER = -1
"""What an output stands for that is none of the pictures' classes."""
IMAGENET_OUTPUTS = 1000
MOST_LISTED = 12
SHUFFLED = 0.3
"""Share of the answers that another order of classes has to win before it is told."""


@dataclasses.dataclass(frozen=True)
class Matching:
    """Classes of outputs.

    Attributes:
        classes: int [K], the class of each output, `OTHER` for none.
        how: in words.
    """

    classes: np.ndarray
    how: str


def match_classes(
    wanted: Sequence[str],
    num_outputs: int,
    names: Sequence[str] = (),
    class_map: Mapping[str, Sequence[str | int]] | None = None,
) -> Matching:
    """Match a model's outputs with the classes of pictures.

    By the map, where there is one; else by names, where the model has some; else by order, where
    there are as many. An answer that is none of the pictures' classes is a wrong one.

    Args:
        wanted: names of the pictures' classes.
        num_outputs: K of the model; 1 tells two classes apart.
        names: of its outputs, where they are known.
        class_map: for each of the pictures' classes, names or numbers of outputs.

    Raises:
        UserError: classes that cannot be matched; it lists both.
    """
    count = max(num_outputs, 2)
    if names and len(names) != count:
        raise UserError(
            f"the model has {count} outputs, but {len(names)} names are given for them: "
            f"{_listed(names)}"
        )
    if class_map is not None:
        return Matching(_by_map(wanted, count, names, class_map), "by the class map")
    if names:
        places = {_plain(name): number for number, name in enumerate(names)}
        missing = [name for name in wanted if _plain(name) not in places]
        if not missing:
            classes = np.full(count, OTHER)
            classes[[places[_plain(name)] for name in wanted]] = np.arange(len(wanted))
            return Matching(classes, "by name")
        raise UserError(
            f"the model has no class {_listed(missing)}; it has {_listed(names)}, and the pictures "
            f"have {_listed(wanted)}: give a class map"
        )
    if count == len(wanted):
        return Matching(np.arange(count), "by order: the model does not name its classes")
    hint = "give labels, the model's classes in order, or a class map"
    if count == IMAGENET_OUTPUTS:
        hint = "for ImageNet's classes, give labels, their 1,000 names in order, or a class map"
    raise UserError(
        f"the model tells {count} classes apart, and the pictures have {len(wanted)}: "
        f"{_listed(wanted)}; {hint}"
    )


def read_labels(path: str) -> list[str]:
    """Names of a model's outputs, from a file with one a line.

    Raises:
        FileNotFoundError: no such file.
        UserError: it cannot be read as text.
    """
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def read_class_map(path: str) -> dict[str, list[str | int]]:
    """A class map from a file.

    Args:
        path: `.json`, an object of lists of names or numbers by class; or `.csv`, lines of an
            output (a name or a number) and its class.

    Raises:
        FileNotFoundError: no such file.
        UserError: another content.
    """
    text = _text(path)
    if path.endswith(".json"):
        try:
            held = json.loads(text)
            return {name: own if isinstance(own, list) else [own] for name, own in held.items()}
        except (ValueError, AttributeError) as error:
            raise UserError(f'{path} is not JSON such as {{"dog": ["beagle", 207]}}') from error
    found: dict[str, list[str | int]] = {}
    for number, row in enumerate(csv.reader(text.splitlines()), 1):
        if len(row) != 2:
            raise UserError(f"{path}:{number} is not a line of an output and its class, a,b")
        output, name = (cell.strip() for cell in row)
        found.setdefault(name, []).append(int(output) if output.isdigit() else output)
    return found


def other_order(
    labels: np.ndarray, answers: np.ndarray, num_classes: int
) -> tuple[float, int, int] | None:
    """Whether answers would be right if the classes were in another order.

    Args:
        labels: int [N].
        answers: int [N], negative for none of the classes.
        num_classes: K.

    Returns:
        The share of the answers that it would win, and the class and the answer that go together
        most often; None where it would win little.
    """
    counts = np.zeros((num_classes, num_classes))
    known = answers >= 0
    np.add.at(counts, (labels[known], answers[known]), 1)
    rows, columns = scipy.optimize.linear_sum_assignment(-counts)
    gained = float(counts[rows, columns].sum() - np.trace(counts)) / len(answers)
    if gained < SHUFFLED:
        return None
    moved = [pair for pair in zip(rows, columns, strict=True) if pair[0] != pair[1]]
    label, answer = max(moved, key=lambda pair: counts[pair])
    return gained, int(label), int(answer)


def _by_map(
    wanted: Sequence[str],
    count: int,
    names: Sequence[str],
    class_map: Mapping[str, Sequence[str | int]],
) -> np.ndarray:
    numbers = {_plain(name): number for number, name in enumerate(wanted)}
    places = {_plain(name): number for number, name in enumerate(names)}
    classes = np.full(count, OTHER)
    for name, outputs in class_map.items():
        if _plain(name) not in numbers:
            raise UserError(
                f"the class map has {shown(name)}, which is no class of the pictures; they have "
                f"{_listed(wanted)}"
            )
        for output in [outputs] if isinstance(outputs, str | int) else outputs:
            place = output if isinstance(output, int) else places.get(_plain(str(output)), count)
            if not 0 <= place < count:
                known = _listed(names) if names else f"numbers from 0 to {count - 1}"
                raise UserError(f"the class map has output {output!r}; the model has {known}")
            classes[place] = numbers[_plain(name)]
    lost = [name for number, name in enumerate(wanted) if number not in classes]
    if lost:
        raise UserError(f"the class map gives no output for {_listed(lost)}")
    return classes


def _text(path: str) -> str:
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8") from error


def _plain(name: str) -> str:
    """A name without what people write in several ways."""
    composed = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(composed.replace("_", " ").replace("-", " ").split())


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(map(shown, names[:MOST_LISTED])) + more
