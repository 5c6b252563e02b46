"""YOLO's text files: a class and a box, or a polygon, in each line, beside the pictures.

```
PATH/data.yaml                     names of the classes, and folders of train, val and test
PATH/images/train/NAME.jpg         or PATH/train/images/NAME.jpg
PATH/labels/train/NAME.txt         CLASS x y width height, or CLASS x1 y1 x2 y2 ..., in shares
```
"""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import PIL.ExifTags
import PIL.Image

from bginv.data import other_formats, outlines
from bginv.data.coco import Objects, listed_of, with_pictures
from bginv.data.entries import YOLO
from bginv.data.images import ENDINGS, shown
from bginv.data.listed import SPLITS, Listed, dataset_of
from bginv.data.outlines import Outline
from bginv.data.sources import Dataset
from bginv.errors import UserError, first_line

YAML = ("data.yaml", "data.yml", "dataset.yaml")
IMAGES, LABELS = "images", "labels"
NEEDED = "yolo:PATH needs data.yaml with names, train and val"


def load_yolo(path: str, side: int, skip_bad_files: bool) -> Dataset:
    """Pictures with the class of their largest object, and masks; see the module.

    Args:
        path: of the folder, or of its data.yaml.
        side: height and width of the images, which are stretched to squares.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        FileNotFoundError: no such file or folder.
        UserError: another content; it names the file and the line.
    """
    root = pathlib.Path(path).expanduser()
    file = next((root / own for own in YAML if (root / own).is_file()), root)
    if not file.is_file():
        raise FileNotFoundError(f"there is no {shown(root / YAML[0])}; {NEEDED}")
    held = _read_yaml(file)
    names = _names(file, held)
    splits: dict[str, list[Listed]] = {}
    for word, split in SPLITS.items():
        told = held.get(word) or []
        for place in told if isinstance(told, list) else [told]:
            folder = _folder(file, held, word, place)
            own = listed_of(folder, _pictures(folder, names), str(folder), is_for_boxes=False)
            splits[split] = [*splits.get(split, []), *own]
    class_names = with_pictures(file, names, splits)
    return dataset_of(f"{YOLO}{path}", splits, class_names, side, skip_bad_files)


def _read_yaml(file: pathlib.Path) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError:
        raise UserError("yolo:PATH needs the package: pip install pyyaml") from None
    try:
        held = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{shown(file)} is no YAML ({first_line(error)})") from None
    if not isinstance(held, Mapping):
        raise UserError(f"{shown(file)} is no mapping; {NEEDED}")
    return held


def _names(file: pathlib.Path, held: Mapping[str, Any]) -> list[str]:
    names = held.get("names")
    if isinstance(names, Mapping):
        numbers = range(len(names))
        if names.keys() != set(numbers):
            raise UserError(f"{shown(file)}: names needs the numbers 0, 1, 2, ... without gaps")
        names = [names[own] for own in numbers]
    if not isinstance(names, list) or not names:
        raise UserError(f"{shown(file)} has no names of classes; {NEEDED}")
    found = list(map(str, names))
    twice = next((own for own in found if found.count(own) > 1), None)
    if twice:
        raise UserError(f"{shown(file)}: names has {twice!r} twice; give each class its own")
    return found


def _folder(file: pathlib.Path, held: Mapping[str, Any], word: str, place: Any) -> pathlib.Path:
    """A folder of a split's pictures; Roboflow begins with ../ where the file's own is meant."""
    if not isinstance(place, str):
        raise UserError(f"{shown(file)}, {word}: a folder is needed; received {place!r}")
    told = pathlib.Path(place)
    bases = [file.parent / str(held.get("path") or ""), file.parent]
    places = [base / told for base in bases]
    places += [file.parent / pathlib.Path(*[own for own in told.parts if own != ".."])]
    found = next((own for own in places if own.is_dir()), None)
    if found is None:
        raise FileNotFoundError(f"{shown(file)}, {word}: there is no folder {shown(places[0])}")
    return found


def _pictures(
    folder: pathlib.Path, names: list[str]
) -> Iterator[tuple[str, tuple[int, int] | None, str, Objects]]:
    files = sorted(own for own in folder.rglob("*") if own.suffix.lower() in ENDINGS)
    if not files:
        raise UserError(f"{shown(folder)} holds no picture; {NEEDED}")
    for file in files:
        labels = _label_file(file)
        objects = _read(labels, _size(file), names) if labels.is_file() else []
        yield file.relative_to(folder).as_posix(), None, shown(labels), objects


def _label_file(picture: pathlib.Path) -> pathlib.Path:
    """The last folder `images` of the path becomes `labels`, as YOLO has it."""
    parts = list(picture.parts)
    if IMAGES in parts:
        place = len(parts) - 1 - parts[::-1].index(IMAGES)
        parts[place] = LABELS
    return pathlib.Path(*parts).with_suffix(".txt")


def _size(picture: pathlib.Path) -> tuple[int, int]:
    """Width and height as shown; (1, 1) of a file that cannot be read, which is told later."""
    other_formats.register()
    try:
        with PIL.Image.open(picture) as held:
            turned = held.getexif().get(PIL.ExifTags.Base.Orientation, 1) in range(5, 9)
            comes_turned = held.format == "TIFF"
            return held.size[::-1] if turned and not comes_turned else held.size
    except Exception:  # a damaged file raises anything
        return 1, 1


def _read(file: pathlib.Path, size: tuple[int, int], names: list[str]) -> Objects:
    found: Objects = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{shown(file)} holds what is not UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        told = f"{shown(file)}, line {number}"
        try:
            label, *numbers = line.split()
            shares, place = np.array(numbers, np.float64), int(label)
        except ValueError:
            raise UserError(
                f"{told}: a class number and shares of the picture are needed; received "
                f"{line[:80]!r}"
            ) from None
        if not 0 <= place < len(names):
            raise UserError(f"{told}: there is no class {place}; data.yaml names {len(names)}")
        if len(shares) < 4 or not ((shares >= -0.01) & (shares <= 1.01)).all():
            raise UserError(
                f"{told}: 4 numbers or more in [0, 1] are needed; received {line[:80]!r}"
            )
        try:
            found.append((names[place], _outline(shares, size)))
        except UserError as error:
            raise UserError(f"{told}: {error}") from None
    return found


def _outline(shares: np.ndarray, size: tuple[int, int]) -> Outline:
    if len(shares) == 4:
        x, y, width, height = shares * np.tile(size, 2)
        edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return Outline(box=outlines.box(edges, size))
    if len(shares) % 2 == 0:
        shares = shares * np.tile(size, len(shares) // 2)
    return Outline((outlines.polygon(shares.tolist(), size),))
