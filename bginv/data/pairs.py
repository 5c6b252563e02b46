"""Cross-domain pairs: train on one data set, test on it and on another with the same classes."""

from collections.abc import Mapping

import numpy as np

from bginv.data.sources import Dataset, Source

CIFAR10 = ("airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
CIFAR10_STL10 = tuple(name for name in CIFAR10 if name in STL10)
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
