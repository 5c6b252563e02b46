"""Sources around others, whose records or batches hold more."""

import abc
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bginv.data.sources import Source, endless


class WrappedSource(Source):
    """A source whose records or batches hold more than those of another.

    Args:
        source: the other one.
    """

    def __init__(self, source: Source):
        self.source = source
        self.labels, self.image_shape = source.labels, source.image_shape

    @abc.abstractmethod
    def around(self, source: Source) -> "WrappedSource":
        """The same around another source."""

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Source.gather`."""
        return self.source.gather(indices)

    def digest(self) -> int:
        """See `Source.digest`."""
        return self.source.digest()

    def masks_digest(self) -> int:
        """See `Source.masks_digest`."""
        return self.source.masks_digest()

    @property
    def has_masks(self) -> bool:
        """See `Source.has_masks`."""
        return self.source.has_masks

    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "WrappedSource":
        """See `Source.take`."""
        return self.around(self.source.take(rows, labels))

    def without_masks(self) -> "Source":
        """See `Source.without_masks`."""
        return self.around(self.source.without_masks())


class PairedSource(WrappedSource):
    """A source whose shuffled batches hold something more, that has an order of its own."""

    @abc.abstractmethod
    def beside(
        self, batch_size: int, seed: int, start: int, replicas: Sequence[int], num_replicas: int
    ) -> tf.data.Dataset:
        """An endless stream of dicts that are joined to the batches; see `Source.batches`."""

    def batches(
        self,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        start: int = 0,
        replicas: Sequence[int] = (0,),
        num_replicas: int = 1,
    ) -> tf.data.Dataset:
        """See `Source.batches`; those that are not shuffled are the source's."""
        own = self.source.batches(batch_size, shuffle, seed, start, replicas, num_replicas)
        if not shuffle:
            return own
        more = self.beside(batch_size, seed, start, replicas, num_replicas)
        return endless(tf.data.Dataset.zip(own, more).map(lambda one, other: {**one, **other}))
