"""Images with any number of classes each, in the lists of ChestX-ray14 as AG-CNN's code has them.

```
PATH/train_list.txt     NAME 0 1 0 ...: an image a line, then a 0 or 1 for each class
PATH/OTHER_list.txt     every further list is a test of its own name
PATH/images/NAME        the images
PATH/classes.txt        a class name a line; without it, classes have numbers
```
"""

import pathlib

import numpy as np

from bginv.data.files import FileSource, load_files
from bginv.data.images import shown
from bginv.data.sources import Dataset

ENDING, TRAIN = "_list.txt", "train"
LAYOUT = f"the layout is PATH/train{ENDING}, PATH/test{ENDING} and PATH/images"


def load_multilabel(path: str, side: int, skip_bad_files: bool) -> Dataset:
    """A training split and named tests from lists of images.

    Args:
        path: it holds the lists and the folder `images`.
        side: height and width of the images.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        FileNotFoundError: no such path.
        ValueError: another layout, or files that cannot be read.
    """
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"{shown(root)} is not a folder; {LAYOUT}")
    lists = {file.name.removesuffix(ENDING): file for file in sorted(root.glob(f"*{ENDING}"))}
    if TRAIN not in lists or len(lists) < 2:
        found = ", ".join(file.name for file in lists.values()) or "no list"
        raise ValueError(
            f"{shown(root)} needs a list to train and one to test, not {found}; {LAYOUT}"
        )
    read = {name: _read_list(file) for name, file in lists.items()}
    num_classes = read[TRAIN][1].shape[1]
    for name, (_, labels) in read.items():
        if labels.shape[1] != num_classes:
            raise ValueError(
                f"{shown(lists[name])} has {labels.shape[1]} classes, but {lists[TRAIN].name} has "
                f"{num_classes}"
            )
    shape = (side, side, 3)
    splits: dict[str, FileSource] = {
        name: load_files(root / "images", names, labels, shape, skip_bad_files)
        for name, (names, labels) in read.items()
    }
    train = splits.pop(TRAIN)
    return Dataset(f"multilabel:{path}", train, splits, _class_names(root, num_classes), shape)


def _read_list(file: pathlib.Path) -> tuple[list[str], np.ndarray]:
    """Names of the images, and labels int [N, K], 0 or 1."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{shown(file)} is no text file") from error
    rows = [line.split() for line in lines if line.strip()]
    if not rows:
        raise ValueError(f"{shown(file)} is empty; {LAYOUT}")
    for number, row in enumerate(rows, 1):
        if len(row) < 3 or len(row) != len(rows[0]) or not {"0", "1"}.issuperset(row[1:]):
            raise ValueError(
                f"{shown(file)}, image {number}: a name is needed and a 0 or 1 for each class, "
                f"as many as in the first line and at least 2; found {' '.join(row)[:80]!r}"
            )
    return [row[0] for row in rows], np.array([row[1:] for row in rows], np.int32)


def _class_names(root: pathlib.Path, num_classes: int) -> tuple[str, ...]:
    file = root / "classes.txt"
    if not file.is_file():
        return tuple(map(str, range(num_classes)))
    names = tuple(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines())
    names = tuple(filter(None, names))
    if len(names) != num_classes:
        raise ValueError(f"{shown(file)} names {len(names)} classes; the lists have {num_classes}")
    return names
