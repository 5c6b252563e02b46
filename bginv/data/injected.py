"""Tests with injected backgrounds, made from the clean test of a grey data set."""

import dataclasses
from collections.abc import Callable

from bginv.data.digits import DIGITS
from bginv.data.entries import Entry
from bginv.data.sources import ArraySource, Dataset
from bginv.data.tfds import FASHION_MNIST, MNIST
from bginv.ops.patterns import BACKGROUNDS, NOISE_RATES, inject_pattern, salt_pepper


def with_backgrounds(dataset: Dataset) -> Dataset:
    """The clean test, then one test for each of the six patterns of the paper.

    Args:
        dataset: grey images of objects on black, square, with a test named "clean".
    """
    clean = dataset.tests["clean"]
    side = dataset.image_shape[0]
    tests = {name: _inject(clean, draw(side)) for name, draw in BACKGROUNDS.items()}
    return dataclasses.replace(dataset, tests={"clean": clean, **tests})


def with_noises(dataset: Dataset) -> Dataset:
    """Salt and pepper at 0 to 0.09 by 0.01, then at 0.1 to 1 by 0.1: one test a rate.

    Args:
        dataset: grey images of objects on black, square, with a test named "clean".
    """
    clean = dataset.tests["clean"]
    side = dataset.image_shape[0]
    tests = {
        f"salt_pepper {rate:.2f}": _inject(clean, salt_pepper(side, rate)) for rate in NOISE_RATES
    }
    return dataclasses.replace(dataset, tests=tests)


def _inject(clean: ArraySource, pattern) -> ArraySource:
    return ArraySource(inject_pattern(clean.images, pattern), clean.labels)


def _entry(name: str, entry: Entry, change: Callable[[Dataset], Dataset], about: str) -> Entry:
    return dataclasses.replace(
        entry, load=lambda place: change(entry.load(place)), about=f"{name}, {about}"
    )


def _entries(name: str, entry: Entry) -> tuple[Entry, Entry]:
    return (
        _entry(name, entry, with_backgrounds, "six backgrounds as tests"),
        _entry(name, entry, with_noises, "20 noises as tests"),
    )


DIGITS_BACKGROUNDS, DIGITS_NOISES = _entries("digits", DIGITS)
MNIST_BACKGROUNDS, MNIST_NOISES = _entries("mnist", MNIST)
FASHION_BACKGROUNDS, FASHION_NOISES = _entries("fashionmnist", FASHION_MNIST)
