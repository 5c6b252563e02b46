"""A part of the training images that choices are made on."""

import hashlib

import numpy as np

from bginv.data.files import FileSource
from bginv.data.sources import ArraySource, Source

FEWEST = 2


def hold_out(source: Source, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to validate with, by a hash of each image's content.

    The same image is on the same side in every run, whatever else is in the folder; copies of one
    image are never on both sides. Every class keeps images on both sides, as far as it has two.

    Args:
        source: training images.
        share: of those held out, in [0, 1).

    Returns:
        int [N - M] and int [M], both in the order of the source.
    """
    if share == 0:
        return np.arange(len(source)), np.array([], int)
    places = np.array([_place(content) for content in contents(source)])
    held = places < share
    for label in range(int(source.labels.max()) + 1):
        rows = np.flatnonzero(source.labels == label)
        if len(rows) >= FEWEST and held[rows].all() != held[rows].any():
            continue
        if len(rows) >= FEWEST and not held[rows].any():
            held |= places == places[rows].min()
        elif len(rows) >= FEWEST:
            held &= places != places[rows].max()
    return np.flatnonzero(~held), np.flatnonzero(held)


def contents(source: Source) -> list[bytes]:
    """Something that stands for each image's content, the same wherever it lies.

    Raises:
        ValueError: a source that holds neither files nor arrays.
    """
    if isinstance(source, FileSource):
        return [int(number).to_bytes(8, "little") for number in source.images.fingerprints.numpy()]
    if isinstance(source, ArraySource):
        return [np.ascontiguousarray(image).tobytes() for image in source.images]
    raise ValueError(f"images of a {type(source).__name__} have no content to tell them by")


def _place(content: bytes) -> float:
    """A number in [0, 1) that a content has."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=6).digest(), "big") / 2**48
