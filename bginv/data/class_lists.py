"""Classes of label maps: names, colours, and the numbers that stand for them in files."""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from bginv.data.images import shown
from bginv.errors import UserError

IGNORED, VOID = 255, "void"


def _voc_colours() -> np.ndarray:
    """PASCAL VOC's colour of each number, uint8 [256, 3].

    From the lowest on, the bits of a number are the highest of red, green and blue in turn.
    """
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        colours[:, bit % 3] |= ((np.arange(256) >> bit & 1) << (7 - bit // 3)).astype(np.uint8)
    return colours


VOC_COLOURS = _voc_colours()
_CITYSCAPES = {
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "light": (19, (250, 170, 30)),
    "sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
_SYNTHIA = (3, 4, 2, 21, 5, 7, 15, 9, 6, 16, 1, 10, 17, 8, 18, 19, 20, 12, 11)
"""Numbers in SYNTHIA-RAND-CITYSCAPES, in the order of the classes above."""
_CAMVID = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}


@dataclasses.dataclass(frozen=True)
class ClassList:
    """What label maps show.

    Attributes:
        names: of the classes, in order.
        colours: uint8 [K, 3].
        numbers: class of each number in a file, or 255; the others are ignored.
        ignored: class whose pixels do not count, or 255 for none.
        complete: a number that is neither here nor 255 is a fault of the file, and so are colours.
    """

    names: tuple[str, ...]
    colours: np.ndarray
    numbers: Mapping[int, int]
    ignored: int = IGNORED
    complete: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def table(self) -> np.ndarray:
        """Class of each number from 0 to 255, int32 [256]; 255 for those that are ignored."""
        classes = np.full(256, IGNORED, np.int32)
        for number, place in self.numbers.items():
            classes[number] = place
        return classes

    def ignoring(self, place: int) -> "ClassList":
        """The same, but the pixels of one class do not count."""
        return dataclasses.replace(self, ignored=place)


def _of_cityscapes(numbers: tuple[int, ...]) -> ClassList:
    colours = np.array([colour for _, colour in _CITYSCAPES.values()], np.uint8)
    return ClassList(tuple(_CITYSCAPES), colours, {own: i for i, own in enumerate(numbers)})


CLASS_LISTS = {
    "cityscapes": _of_cityscapes(tuple(number for number, _ in _CITYSCAPES.values())),
    "synthia": _of_cityscapes(_SYNTHIA),
    "camvid": ClassList(
        tuple(_CAMVID),
        np.array(list(_CAMVID.values()), np.uint8),
        {number: number for number in range(len(_CAMVID))},
    ),
}
"""Those that need no file: the 19 classes of Cityscapes, by its numbers (and GTA5's) or by
SYNTHIA's, and the 11 of CamVid."""


def read_class_list(name: str) -> ClassList:
    """A list of `CLASS_LISTS`, or that of a file.

    Args:
        name: of the list, or path of a file: line n, from 0, names the class of number n; lines
            `void` stand for numbers without a class.

    Raises:
        UserError: no such list or file, or a file without two classes.
    """
    if name in CLASS_LISTS:
        return CLASS_LISTS[name]
    file = pathlib.Path(name).expanduser()
    if not file.is_file():
        raise UserError(
            f"classes must be one of {', '.join(CLASS_LISTS)} or a file with a class a line; "
            f"received {shown(name)}"
        )
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    named = [number for number, line in enumerate(lines) if line.lower() != VOID]
    if len(named) < 2 or not all(lines) or len(lines) > IGNORED:
        raise UserError(
            f"{shown(file)} must name two classes or more, one a line, {VOID} for a number "
            f"without a class, and at most {IGNORED} lines"
        )
    return class_list(tuple(lines[number] for number in named), tuple(named), len(lines))


def class_list(
    names: tuple[str, ...], numbers: tuple[int, ...] | None = None, count: int | None = None
) -> ClassList:
    """A list with colours that tell the classes apart.

    Args:
        names: of the classes.
        numbers: of each class in files; None counts from 0.
        count: numbers below it have no fault where they stand for no class.
    """
    numbers = tuple(range(len(names))) if numbers is None else numbers
    of_files = {number: place for place, number in enumerate(numbers)}
    void = dict.fromkeys(set(range(count or len(names))) - set(numbers), IGNORED)
    colours = VOC_COLOURS[1 : len(names) + 1]
    return ClassList(names, colours, {**of_files, **void}, complete=True)
