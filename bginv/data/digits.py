"""The embedded default: scikit-learn's 1,797 handwritten digits (UCI, Alpaydin & Kaynak 1998)."""

import cv2
import numpy as np
import sklearn.datasets
import sklearn.model_selection

from bginv.data.sources import ArraySource, Dataset

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
