"""Traffic signs in the folders of their publishers: GTSRB and Synthetic Signs."""

import concurrent.futures
import csv
import pathlib

import cv2
import numpy as np

from bginv.data.files import load_files, mixing_key
from bginv.data.images import rows_without, shown
from bginv.data.sources import ArraySource, Dataset, Source, split_off_test

CLASS_NAMES = tuple(f"{number:02}" for number in range(43))
GTSRB_TRAIN = ("gtsrb/GTSRB/Training", "gtsrb/GTSRB/Final_Training/Images")
GTSRB_TEST = "gtsrb/GTSRB/Final_Test/Images"
GTSRB_LABELS = "gtsrb/GT-final_test.csv"
SYNSIGNS = "synsigns/synthetic_data/train_labelling.txt"


def load_gtsrb(name: str, root: pathlib.Path, side: int, skip_bad_files: bool) -> Dataset:
    """German Traffic Sign Recognition Benchmark (Stallkamp et al. 2012), 43 classes.

    Args:
        name: the name of the data set to return.
        root: it holds `gtsrb` with the three archives unpacked in it.
        side: height and width of the images.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        ValueError: files that cannot be read, or labels that do not fit them.
    """
    folder = next(root / place for place in GTSRB_TRAIN if (root / place).is_dir())
    files = sorted(
        folder.glob("*/*.ppm"), key=lambda file: mixing_key(file.name + str(file.parent))
    )
    labels = [_label(file.parent.name, file) for file in files]
    train = _read_ppm(files, labels, side, skip_bad_files)
    rows = _rows(root / GTSRB_LABELS, ";")[1:]
    files = [root / GTSRB_TEST / row[0] for row in rows]
    labels = [_label(row[-1], root / GTSRB_LABELS) for row in rows]
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
    rows = _rows(root / SYNSIGNS, " ")
    names = [row[0] for row in rows]
    labels = [_label(row[1] if len(row) > 1 else "", root / SYNSIGNS) for row in rows]
    folder = (root / SYNSIGNS).parent
    return load_files(folder, names, labels, (side, side, 3), skip_bad_files)


def _rows(file: pathlib.Path, delimiter: str) -> list[list[str]]:
    """Lines of a text file that are not empty, cut at the delimiter."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text file: download it again") from error
    if not rows:
        raise ValueError(f"{file} is empty: download it again")
    return rows


def _label(text: str, file: pathlib.Path) -> int:
    if text.isdecimal() and int(text) < len(CLASS_NAMES):
        return int(text)
    raise ValueError(f"{shown(file)}: {text!r} is no class of GTSRB, which are 0 to 42")


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
    return ArraySource(np.stack([read[row] for row in rows]), np.array(labels)[rows])


def _square(file: pathlib.Path, side: int) -> np.ndarray | str:
    """Pixels uint8 [side, side, 3], or why there are none."""
    if not file.is_file():
        return "it is missing"
    pixels = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        return "it is damaged"
    smaller = side < min(pixels.shape[:2])
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(pixels, (side, side), interpolation=way)
