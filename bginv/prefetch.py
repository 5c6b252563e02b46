"""Items and records that are made while their user looks at those before."""

import concurrent.futures
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tensorflow as tf

AT_ONCE = min(os.cpu_count() or 1, 16)
"""Batches, or files, that are read at once."""
AHEAD = 2

Item = TypeVar("Item")

_END: Any = object()


def prefetched(items: Iterator[Item]) -> Iterator[Item]:
    """The items of an iterator, each made in another thread, one ahead."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, items, _END)
        while (item := waiting.result()) is not _END:
            waiting = pool.submit(next, items, _END)
            yield item


def mapped(records: tf.data.Dataset, change: Callable, at_once: int = AT_ONCE) -> tf.data.Dataset:
    """Records of a data set in their order, each changed, some at once and two ahead.

    TensorFlow does not look for a better number of records at once: its thread for that sleeps
    twice as long each time, up to a minute, and a pass over the data does not end before it wakes.

    Args:
        records: see there.
        change: of a record; it is traced as it stands, as AutoGraph takes seconds.
        at_once: how many are changed at once.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    change = tf.autograph.experimental.do_not_convert(change)
    return records.map(change, num_parallel_calls=at_once).prefetch(AHEAD).with_options(options)
