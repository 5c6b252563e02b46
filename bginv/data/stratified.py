"""A source that draws some of its records more often than others."""

import numpy as np
import tensorflow as tf

from bginv.data.sources import Source
from bginv.data.wrapped import WrappedSource


class StratifiedSource(WrappedSource):
    """A source whose shuffled epochs hold a given share of chosen records.

    An epoch is as long as the source: `share` of it are chosen records, the rest are others; either
    come as often as each other, to one. In order, each record comes once, as in the source.

    Args:
        source: the records.
        chosen: bool [N], those that have a share of their own.
        share: of an epoch, in [0, 1].

    Raises:
        ValueError: none or all of the records are chosen.
    """

    def __init__(self, source: Source, chosen: np.ndarray, share: float):
        super().__init__(source)
        if not 0 < chosen.sum() < len(source):
            raise ValueError(f"{chosen.sum()} of {len(source)} records are chosen, not a part")
        self.chosen, self.share = chosen, share

    def around(self, source: Source) -> "StratifiedSource":
        """See `WrappedSource.around`."""
        return StratifiedSource(source, self.chosen, self.share)

    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "StratifiedSource":
        """See `Source.take`."""
        return StratifiedSource(self.source.take(rows, labels), self.chosen[rows], self.share)

    def _epoch(self, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        num_chosen = round(self.share * len(self))
        strata = (
            (np.flatnonzero(self.chosen), num_chosen),
            (np.flatnonzero(~self.chosen), len(self) - num_chosen),
        )
        drawn = [_draw(rows, count, (seed, 1), epoch) for rows, count in strata]
        return tf.data.Dataset.from_tensor_slices(_shuffle(tf.concat(drawn, 0), (seed, 0), epoch))


def _draw(rows: np.ndarray, count: int, seed: tuple[int, int], epoch: tf.Tensor) -> tf.Tensor:
    """So many of these rows, int64; how often they come differs by one at most."""
    order = _shuffle(tf.constant(rows, tf.int64), seed, epoch)
    return tf.tile(order, [-(-count // len(rows))])[:count]


def _shuffle(rows: tf.Tensor, seed: tuple[int, int], epoch: tf.Tensor) -> tf.Tensor:
    own = tf.random.experimental.stateless_fold_in(tf.constant(seed, tf.int64), epoch)
    return tf.random.experimental.stateless_shuffle(rows, seed=own)
