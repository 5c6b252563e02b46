"""The embedded default: scikit-learn's 1,797 handwritten digits (UCI, Alpaydin & Kaynak 1998)."""

import pathlib

import cv2
import numpy as np
import scipy.io
import sklearn.datasets
import sklearn.model_selection

from bginv.data.entries import Entry
from bginv.data.sources import ArraySource, Dataset
from bginv.errors import UserError

DRAWN_SIDE, SIDE = 24, 32
TEST_SHARE = 0.2


def load_digits(name: str) -> Dataset:
    """Digits resized to 24x24 and padded to 32x32; a fixed stratified split, 80 % to train.

    Args:
        name: the name of the data set to return.
    """
    bunch = sklearn.datasets.load_digits()
    bright = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    images = np.stack([_enlarge(image) for image in bright])[..., None]
    train, test = sklearn.model_selection.train_test_split(
        np.arange(len(images)), test_size=TEST_SHARE, stratify=bunch.target, random_state=0
    )
    return Dataset(
        name=name,
        train=ArraySource(images[train], bunch.target[train]),
        tests={"clean": ArraySource(images[test], bunch.target[test])},
        class_names=tuple(map(str, bunch.target_names)),
        image_shape=(SIDE, SIDE, 1),
    )


def _enlarge(image: np.ndarray) -> np.ndarray:
    resized = cv2.resize(image, (DRAWN_SIDE, DRAWN_SIDE), interpolation=cv2.INTER_LINEAR)
    return np.pad(resized, (SIDE - DRAWN_SIDE) // 2)


SYNTH_FILES = ("synthdigits/synth_train_32x32.mat", "synthdigits/synth_test_32x32.mat")


def load_synthdigits(name: str, root: pathlib.Path) -> Dataset:
    """Synthetic Digits (Ganin & Lempitsky 2015): digits in many fonts and colours, 32x32.

    Args:
        name: the name of the data set to return.
        root: it holds the files of `SYNTH_FILES`.

    Raises:
        UserError: a file that holds something else.
    """
    train, test = (_read(root / file) for file in SYNTH_FILES)
    shape = train.images.shape[1:]
    return Dataset(name, train, {"clean": test}, tuple("0123456789"), shape)


def _read(file: pathlib.Path) -> ArraySource:
    try:
        content = scipy.io.loadmat(file, variable_names=("X", "y"))
        pixels, labels = content["X"], content["y"].reshape(-1)
        whole = np.all(labels == labels.astype(np.int64))
    except Exception as error:  # SciPy lets errors of many kinds through for a damaged file
        raise UserError(
            f"{file} is no MATLAB file with the arrays X and y: download it again"
        ) from error
    if not whole:
        raise UserError(f"{file}: y must hold whole numbers, the digits")
    if pixels.dtype != np.uint8 or pixels.shape != (32, 32, 3, len(labels)):
        raise UserError(
            f"{file}: X must be uint8 32x32x3xN, with N labels; received {pixels.dtype} "
            f"{'x'.join(map(str, pixels.shape))} with {len(labels)} labels"
        )
    return ArraySource(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), labels)


DIGITS = Entry(
    load=lambda place: load_digits(place.name),
    about="1,797 handwritten digits",
    side=SIDE,
    channels=1,
)
SYNTH_DIGITS = Entry(
    load=lambda place: load_synthdigits(place.name, place.root),
    about="digits in many fonts and colours",
    side=SIDE,
    files=SYNTH_FILES,
    publisher="Ganin & Lempitsky (yaroslav.ganin.net)",
)
