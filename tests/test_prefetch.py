import pathlib
import threading
import time

import pytest
import tensorflow as tf

import bginv
from bginv.prefetch import mapped, prefetched


def test_items_come_in_order_each_made_while_the_one_before_is_used():
    made, using = [], threading.Event()

    def items():
        for number in range(3):
            made.append(number)
            yield number
            assert number or using.wait(10)

    found = prefetched(items())
    assert next(found) == 0
    using.set()
    while made != [0, 1]:
        time.sleep(0.01)
    assert list(found) == [1, 2]


def test_an_error_comes_when_its_item_is_asked_for():
    def items():
        yield 1
        raise ValueError("unreadable")

    found = prefetched(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="unreadable"):
        next(found)


def test_mapped_records_keep_their_order_and_nothing_searches_for_numbers():
    changed = mapped(tf.data.Dataset.range(9), lambda number: number + 1, 3)
    assert list(changed.as_numpy_iterator()) == list(range(1, 10))
    assert changed.options().autotune.enabled is False


def test_all_records_are_mapped_so():
    package = pathlib.Path(bginv.__file__).parent
    found = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "num_parallel_calls" in path.read_text(encoding="utf-8")
    ]
    assert found == ["prefetch.py"]
