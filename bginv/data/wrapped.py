"""Sources made of other sources: mixed, stratified, parts held out."""

import abc
import hashlib
import zlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bginv.data.files import FileSource
from bginv.data.sources import ArraySource, Source, endless
from bginv.errors import UserError


class WrappedSource(Source):
    """A source whose records or batches hold more than those of another.

    Args:
        source: the other one.
    """

    def __init__(self, source: Source):
        self.source = source
        self.labels, self.image_shape = source.labels, source.image_shape
        self.places = source.places

    @abc.abstractmethod
    def around(self, source: Source) -> "WrappedSource":
        """The same around another source."""

    def __len__(self) -> int:
        return len(self.source)

    @property
    def parallel_batches(self) -> int:
        """See `Source.parallel_batches`."""
        return self.source.parallel_batches

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


class StratifiedSource(WrappedSource):
    """A source whose shuffled epochs hold given shares of several kinds of records.

    An epoch is as long as the source; records of a kind come as often as each other, to one. In
    order, each record comes once, as in the source.

    Args:
        source: the records.
        strata: int [N], the kind of each, from 0 on.
        shares: of an epoch, one a kind; they sum to 1.

    Raises:
        UserError: a kind has no record.
    """

    def __init__(self, source: Source, strata: np.ndarray, shares: Sequence[float]):
        super().__init__(source)
        counts = np.bincount(strata, minlength=len(shares))
        if not counts.all() or len(counts) != len(shares):
            raise UserError(
                f"each of {len(shares)} kinds needs records; {len(source)} records are of the "
                f"kinds {', '.join(map(str, np.flatnonzero(counts)))}"
            )
        self.strata, self.shares = strata, tuple(shares)

    def around(self, source: Source) -> "StratifiedSource":
        """See `WrappedSource.around`."""
        return StratifiedSource(source, self.strata, self.shares)

    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "StratifiedSource":
        """See `Source.take`."""
        return StratifiedSource(self.source.take(rows, labels), self.strata[rows], self.shares)

    def _epoch(self, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        ends = np.round(np.cumsum((0.0, *self.shares)) * len(self)).astype(int)
        drawn = [
            _draw(np.flatnonzero(self.strata == kind), int(count), (seed, 1), epoch)
            for kind, count in enumerate(np.diff(ends))
        ]
        return tf.data.Dataset.from_tensor_slices(_shuffle(tf.concat(drawn, 0), (seed, 0), epoch))


class RepeatedSource(WrappedSource):
    """Records of another source, of which one may come several times; all are held once.

    Args:
        source: the records.
        rows: int [N], which of them come.
    """

    def __init__(self, source: Source, rows: np.ndarray):
        super().__init__(source)
        self.rows, self.labels = rows, source.labels[rows]
        self.places = None if source.places is None else source.places[rows]
        with tf.device("CPU"):
            self._rows = tf.constant(rows, tf.int64)

    def around(self, source: Source) -> "RepeatedSource":
        """See `WrappedSource.around`."""
        return RepeatedSource(source, self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Source.gather`."""
        return {**self.source.gather(tf.gather(self._rows, indices)), "index": indices}

    def digest(self) -> int:
        """See `Source.digest`."""
        return zlib.crc32(self.rows.astype(np.int64).tobytes(), self.source.digest())

    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> Source:
        """See `Source.take`."""
        return self.source.take(self.rows[rows], labels)


def _draw(rows: np.ndarray, count: int, seed: tuple[int, int], epoch: tf.Tensor) -> tf.Tensor:
    """So many of these rows, int64; how often they come differs by one at most."""
    order = _shuffle(tf.constant(rows, tf.int64), seed, epoch)
    return tf.tile(order, [-(-count // len(rows))])[:count]


def _shuffle(rows: tf.Tensor, seed: tuple[int, int], epoch: tf.Tensor) -> tf.Tensor:
    own = tf.random.experimental.stateless_fold_in(tf.constant(seed, tf.int64), epoch)
    return tf.random.experimental.stateless_shuffle(rows, seed=own)


FEWEST = 2


def hold_out(source: Source, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to validate with, by a hash of each image's content.

    The same image is on the same side in every run, whatever else is in the folder; copies of one
    image are never on both sides. Every class keeps images on both sides, but one that has a single
    image, or copies of one, which is trained on.

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
        if not len(rows) or held[rows].all() != held[rows].any():
            continue
        if held[rows].all():
            held &= places != places[rows].max()
        elif len(np.unique(places[rows])) >= FEWEST:
            held |= places == places[rows].min()
    return np.flatnonzero(~held), np.flatnonzero(held)


def contents(source: Source) -> list[bytes]:
    """Something that stands for each image's content, the same wherever it lies.

    Raises:
        UserError: a source that holds neither files nor arrays.
    """
    if isinstance(source, FileSource):
        return [int(number).to_bytes(8, "little") for number in source.images.fingerprints.numpy()]
    if isinstance(source, ArraySource):
        return [np.ascontiguousarray(image).tobytes() for image in source.images]
    raise UserError(f"images of a {type(source).__name__} have no content to tell them by")


def _place(content: bytes) -> float:
    """A number in [0, 1) that a content has."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=6).digest(), "big") / 2**48
