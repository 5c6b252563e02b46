import threading
import time

import pytest

from bginv.prefetch import prefetched


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
