"""What a scan has found of image files, kept on disk until they change."""

import hashlib
import io
import os
import pathlib
import time
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging

from bginv.errors import UserError
from bginv.output_files import default_cache, write_bytes

LEAST_FILES = 1000
"""Fewer are scanned in seconds, and nothing is kept of them."""
FORMAT = "scan 1"
JUST_NOW = 2 * 10**9
"""Nanoseconds in which a file may be changed twice and look as if it were once."""
LARGEST = 2**63 - 1

Examined = tuple[int, int, tuple[int, int]]
"""Orientation, fingerprint, and (height, width) of a file that can be read."""
Seen = tuple[int, int, int, int]
"""What the system tells of a file that has not changed: size, two times, and its number."""


class ScanCache:
    """Findings of files by their paths; those of a file that has changed since do not count.

    What is read of the files in training is compared with the fingerprint in any case.

    Args:
        files: paths of a scan, whose findings go into `scans/` of `default_cache`.
    """

    def __init__(self, files: Sequence[str]):
        self._kept: dict[str, tuple[Seen, Examined]] = {}
        self._new: dict[str, tuple[Seen, Examined]] = {}
        self._path = None
        if len(files) >= LEAST_FILES:
            common = os.path.commonpath([os.path.abspath(file) for file in files])
            name = hashlib.sha256(f"{FORMAT} {common}".encode(errors="surrogateescape")).hexdigest()
            self._path = default_cache() / "scans" / f"{name[:16]}.npz"
            self._kept = _read(self._path)

    def __call__(self, file: str, examine: Callable[[str], Examined | str]) -> Examined | str:
        """What is known of a file, or else what `examine` finds: that, or why it is not read."""
        if self._path is None:
            return examine(file)
        path = os.path.abspath(file)
        seen = _seen(path)
        known = self._kept.get(path)
        if known and known[0] == seen:
            return known[1]
        found = examine(file)
        if seen and not isinstance(found, str) and _seen(path) == seen:
            self._new[path] = seen, found
        return found

    def write(self) -> None:
        """Keep what was found; without a word where the disk does not take it."""
        if self._path is None or not self._new:
            return
        before = time.time_ns() - JUST_NOW
        old = {path: own for path, own in self._new.items() if max(own[0][1:3]) < before}
        try:
            write_bytes(self._path, _content({**self._kept, **old}), durable=False)
        except (OSError, UserError) as error:
            logging.debug("a scan is not kept: %s", error)


def _seen(path: str) -> Seen | None:
    try:
        told = os.stat(path)
    except (OSError, ValueError):
        return None
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino & LARGEST


def _content(found: dict[str, tuple[Seen, Examined]]) -> bytes:
    numbers = [(*seen, turn, number, *size) for seen, (turn, number, size) in found.values()]
    held = io.BytesIO()
    paths = np.frombuffer(b"\0".join(map(os.fsencode, found)), np.uint8)
    np.savez(held, paths=paths, numbers=np.array(numbers, np.int64).reshape(-1, 8))
    return held.getvalue()


def _read(path: pathlib.Path) -> dict[str, tuple[Seen, Examined]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            paths = file["paths"].tobytes().split(b"\0")
            numbers = file["numbers"].tolist()
        return {
            os.fsdecode(own): (tuple(row[:4]), (row[4], row[5], tuple(row[6:])))
            for own, row in zip(paths, numbers, strict=True)
        }
    except Exception:  # none, or one that a killed computer has left
        return {}
