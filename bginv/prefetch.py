"""Items that are made while their user looks at the one before."""

import concurrent.futures
from collections.abc import Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

_END: Any = object()


def prefetched(items: Iterator[Item]) -> Iterator[Item]:
    """The items of an iterator, each made in another thread, one ahead."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, items, _END)
        while (item := waiting.result()) is not _END:
            waiting = pool.submit(next, items, _END)
            yield item
