"""Memory for pixels that several threads share."""

import contextlib
import threading
from collections.abc import Iterator


class Room:
    """Room for pixels that threads decode at once.

    Args:
        pixels: how many; who wants more has the room alone.
    """

    def __init__(self, pixels: int):
        self._free = self._all = pixels
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Wait for room for so many pixels, and keep it for the block."""
        wanted = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
