"""Traffic signs in the folders of their publishers: GTSRB and Synthetic Signs."""

import concurrent.futures
import contextlib
import csv
import pathlib
from collections.abc import Iterator
from typing import TextIO

import cv2
import numpy as np

from bginv.data.entries import Entry
from bginv.data.files import load_files, mixing_key
from bginv.data.images import rows_without, shown
from bginv.data.sources import ArraySource, Dataset, Source, split_off_test
from bginv.errors import UserError

CLASS_NAMES = tuple(f"{number:02}" for number in range(43))
GTSRB_TRAIN = ("gtsrb/GTSRB/Training", "gtsrb/GTSRB/Final_Training/Images")
GTSRB_TEST = "gtsrb/GTSRB/Final_Test/Images"
GTSRB_LABELS = "gtsrb/GT-final_test.csv"
SYNSIGNS_LABELS = "synsigns/synthetic_data/train_labelling.txt"


def load_gtsrb(name: str, root: pathlib.Path, side: int, skip_bad_files: bool) -> Dataset:
    """German Traffic Sign Recognition Benchmark (Stallkamp et al. 2012), 43 classes.

    Args:
        name: the name of the data set to return.
        root: it holds `gtsrb` with the three archives unpacked in it.
        side: height and width of the images.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        UserError: files that cannot be read, or labels that do not fit them.
    """
    files = _training_files(root)
    labels = [_label(file.parent.name, file) for file in files]
    train = _read_ppm(files, labels, side, skip_bad_files)
    table = root / GTSRB_LABELS
    with _text(table) as lines:
        rows = list(csv.DictReader(lines, delimiter=";"))
    if not rows or not {"Filename", "ClassId"} <= rows[0].keys():
        raise UserError(
            f"{shown(table)} has no rows with Filename and ClassId; see GTSRB_Final_Test_GT.zip"
        )
    files = [root / GTSRB_TEST / row["Filename"] for row in rows]
    labels = [_label(row["ClassId"], table) for row in rows]
    test = _read_ppm(files, labels, side, skip_bad_files)
    return Dataset(name, train, {"clean": test}, CLASS_NAMES, (side, side, 3))


def load_synsigns(name: str, root: pathlib.Path, side: int, skip_bad_files: bool) -> Dataset:
    """Synthetic Signs (Moiseev et al. 2013), the classes of GTSRB; a quarter of it is the test.

    Args: see `load_gtsrb`.
    """
    train, test = split_off_test(load_all_synsigns(root, side, skip_bad_files))
    return Dataset(name, train, {"clean": test}, CLASS_NAMES, (side, side, 3))


def load_all_synsigns(root: pathlib.Path, side: int, skip_bad_files: bool) -> Source:
    """Every image of Synthetic Signs; see `load_synsigns`."""
    with _text(root / SYNSIGNS_LABELS) as lines:
        rows = [line.split() for line in lines if line.strip()]
    if not rows or min(map(len, rows)) < 2:
        raise UserError(f"{shown(root / SYNSIGNS_LABELS)}: each line needs a file and its class")
    names = [row[0] for row in rows]
    labels = [_label(row[1], root / SYNSIGNS_LABELS) for row in rows]
    folder = (root / SYNSIGNS_LABELS).parent
    return load_files(folder, names, labels, (side, side, 3), skip_bad_files)


def _training_files(root: pathlib.Path) -> list[pathlib.Path]:
    """The training images in an order that shows every class early."""
    for place in GTSRB_TRAIN:
        files = [
            file
            for file in (root / place).glob("*/*")
            if file.suffix.lower() == ".ppm" and file.name[0] != "."
        ]
        if files:
            return sorted(files, key=lambda file: mixing_key(f"{file.parent.name}/{file.name}"))
    raise UserError(f"{shown(root / GTSRB_TRAIN[0])} holds no folder of .ppm images")


@contextlib.contextmanager
def _text(file: pathlib.Path) -> Iterator[TextIO]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(file)} is no text file: download it again") from error


def _label(text: str | None, file: pathlib.Path) -> int:
    number = (text or "").strip()
    if number.isdecimal() and int(number) < len(CLASS_NAMES):
        return int(number)
    raise UserError(f"{shown(file)}: {text!r} is no class of GTSRB, which are 0 to 42")


def _read_ppm(
    files: list[pathlib.Path], labels: list[int], side: int, skip_bad_files: bool
) -> ArraySource:
    """Images in memory, as TensorFlow reads no `.ppm`."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        read = list(pool.map(lambda file: _square(file, side), files))
    faults = {
        row: f"{shown(files[row])} ({fault})"
        for row, fault in enumerate(read)
        if isinstance(fault, str)
    }
    rows = rows_without(faults, len(files), skip_bad_files)
    if not len(rows):
        raise UserError(f"every image is one that cannot be read, the first: {faults[0]}")
    return ArraySource(np.stack([read[row] for row in rows]), np.array(labels)[rows])


def _square(file: pathlib.Path, side: int) -> np.ndarray | str:
    """Pixels uint8 [side, side, 3], or why there are none."""
    if not file.is_file():
        return "it is missing"
    contents = np.fromfile(file, np.uint8)
    pixels = cv2.imdecode(contents, cv2.IMREAD_COLOR_RGB) if len(contents) else None
    if pixels is None:
        return "it is damaged"
    smaller = side < min(pixels.shape[:2])
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(pixels, (side, side), interpolation=way)


GTSRB = Entry(
    load=lambda place: load_gtsrb(place.name, place.root, place.side, place.skip_bad_files),
    about="German traffic signs",
    side=64,
    files=("|".join(GTSRB_TRAIN), GTSRB_TEST, GTSRB_LABELS),
    publisher="INI Bochum (benchmark.ini.rub.de)",
)
SYNSIGNS = Entry(
    load=lambda place: load_synsigns(place.name, place.root, place.side, place.skip_bad_files),
    about="synthetic traffic signs",
    side=64,
    files=(SYNSIGNS_LABELS,),
    publisher="Moiseev et al. (graphics.cs.msu.ru)",
)
