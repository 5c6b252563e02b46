"""Sets of two domains: one to train on, the other as a further test."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from bginv.data.digits import SYNTH_DIGITS
from bginv.data.entries import Entry, Place
from bginv.data.signs import GTSRB, SYNSIGNS, load_all_synsigns
from bginv.data.sources import Dataset, Source
from bginv.data.tfds import CIFAR10, CIFAR10_CLASSES, STL10, STL10_CLASSES, SVHN

COMMON_CLASSES = tuple(name for name in CIFAR10_CLASSES if name in STL10_CLASSES)
"""What both know, in the order of CIFAR-10: without its frog, and without the monkey of STL-10."""


def pair(name: str, first: Dataset, others: Mapping[str, Source]) -> Dataset:
    """The training split and clean test of one data set, then tests of other domains.

    Args:
        name: the name of the data set to return.
        first: the data set to train on.
        others: tests with the same classes, by the name of their domain.
    """
    tests = {"clean": first.tests["clean"], **others}
    return Dataset(name, first.train, tests, first.class_names, first.image_shape)


def with_classes(dataset: Dataset, class_names: tuple[str, ...]) -> Dataset:
    """The records of these classes, with their labels in this order.

    Args:
        dataset: it has these classes.
        class_names: of the data set to return.
    """
    new_labels = np.array(
        [class_names.index(name) if name in class_names else -1 for name in dataset.class_names]
    )

    def of_classes(source: Source) -> Source:
        labels = new_labels[source.labels]
        rows = np.flatnonzero(labels >= 0)
        return source.take(rows, labels[rows])

    return Dataset(
        dataset.name,
        of_classes(dataset.train),
        {test: of_classes(source) for test, source in dataset.tests.items()},
        class_names,
        dataset.image_shape,
    )


def _entry(
    one: Entry, other: Entry, tests_of_other: Callable[[Place], Mapping[str, Source]], about: str
) -> Entry:
    return Entry(
        load=lambda place: pair(place.name, one.load(place), tests_of_other(place)),
        about=about,
        side=one.side,
        builders=one.builders + other.builders,
        files=one.files + other.files,
        publisher=" and ".join(filter(None, (one.publisher, other.publisher))),
    )


def _clean_of(name: str, entry: Entry) -> Callable[[Place], Mapping[str, Source]]:
    return lambda place: {name: entry.load(place).tests["clean"]}


def _with_common_classes(entry: Entry) -> Entry:
    def load(place: Place) -> Dataset:
        return with_classes(entry.load(place), COMMON_CLASSES)

    return dataclasses.replace(entry, load=load)


def _all_synsigns(place: Place) -> dict[str, Source]:
    return {"synsigns": load_all_synsigns(place.root, place.side, place.skip_bad_files)}


_CIFAR10, _STL10 = map(_with_common_classes, (CIFAR10, STL10))
NINE = "their nine common classes"
CIFAR10_STL10 = _entry(_CIFAR10, _STL10, _clean_of("stl10", _STL10), NINE)
STL10_CIFAR10 = _entry(_STL10, _CIFAR10, _clean_of("cifar10", _CIFAR10), NINE)
GTSRB_SYNSIGNS = _entry(GTSRB, SYNSIGNS, _all_synsigns, "signs, then synthetic ones")
SVHN_SYNTHDIGITS = _entry(SVHN, SYNTH_DIGITS, _clean_of("synthdigits", SYNTH_DIGITS), "digits")
SYNTHDIGITS_SVHN = _entry(SYNTH_DIGITS, SVHN, _clean_of("svhn", SVHN), "digits")
