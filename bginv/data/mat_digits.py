"""Digits in the MATLAB files of their publishers."""

import pathlib

import numpy as np
import scipy.io

from bginv.data.sources import ArraySource, Dataset

SYNTHDIGITS = ("synthdigits/synth_train_32x32.mat", "synthdigits/synth_test_32x32.mat")


def load_synthdigits(name: str, root: pathlib.Path) -> Dataset:
    """Synthetic Digits (Ganin & Lempitsky 2015): digits in many fonts and colours, 32x32.

    Args:
        name: the name of the data set to return.
        root: it holds the files of `SYNTHDIGITS`.

    Raises:
        ValueError: a file that holds something else.
    """
    train, test = (_read(root / file) for file in SYNTHDIGITS)
    shape = train.images.shape[1:]
    return Dataset(name, train, {"clean": test}, tuple("0123456789"), shape)


def _read(file: pathlib.Path) -> ArraySource:
    try:
        content = scipy.io.loadmat(file, variable_names=("X", "y"))
        pixels, labels = content["X"], content["y"].reshape(-1)
        whole = np.all(labels == labels.astype(np.int64))
    except Exception as error:  # SciPy lets errors of many kinds through for a damaged file
        raise ValueError(
            f"{file} is no MATLAB file with the arrays X and y: download it again"
        ) from error
    if not whole:
        raise ValueError(f"{file}: y must hold whole numbers, the digits")
    if pixels.dtype != np.uint8 or pixels.shape != (32, 32, 3, len(labels)):
        raise ValueError(
            f"{file}: X must be uint8 32x32x3xN, with N labels; received {pixels.dtype} "
            f"{'x'.join(map(str, pixels.shape))} with {len(labels)} labels"
        )
    return ArraySource(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), labels)
