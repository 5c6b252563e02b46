"""What we ask of the C library, and of TensorFlow before it starts."""

import contextlib
import ctypes
import functools
import gc
import os
import platform
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P, R = ParamSpec("P"), TypeVar("R")

ARENA_MAX, MMAP_MAX, TRIM_THRESHOLD = -8, -4, -1
"""Numbers of `mallopt`: how many pools there are, how many blocks of the system's own, and how much
freed memory at a pool's end is kept."""
KEPT = 2**30
ONEDNN, X86 = "TF_ENABLE_ONEDNN_OPTS", ("x86_64", "AMD64")


def prepare_host() -> None:
    """Make steps fast on this machine; settings that the environment holds stay."""
    _keep_memory()
    _take_onednn()


def trim_memory() -> None:
    """Give the system the memory that is free, between two parts of a run.

    Within a part it is kept, see `prepare_host`, as the next step needs as much again. The next
    part needs blocks of other sizes, and what the parts keep would add up.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def part_of_run(function: Callable[P, R]) -> Callable[P, R]:
    """A function after which memory is trimmed, see `trim_memory`."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        finally:
            trim_memory()

    return run


def _keep_memory() -> None:
    """Let glibc give a step the memory that the step before has freed.

    As it comes, it takes each tensor above some megabytes from the system and gives it back at
    once, and the system clears every page anew; and each thread gets a pool of its own, in which
    what it once needed stays. `docs/results/speed.md` has what that costs. Nothing is changed with
    another C library, or where the environment has settings of its own (`MALLOC_ARENA_MAX`, ...).
    """
    if not sys.platform.startswith("linux") or any(own.startswith("MALLOC_") for own in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        for number, value in ((ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, KEPT)):
            ctypes.CDLL(None).mallopt(number, value)


def _take_onednn() -> None:
    """Let TensorFlow take oneDNN's kernels on every x86 processor.

    As it comes, it does so where there are instructions for neural networks alone (AVX-512 VNNI and
    later); with AVX2, oneDNN's convolutions are faster too, see `docs/results/speed.md`.
    """
    if platform.machine() in X86:
        os.environ.setdefault(ONEDNN, "1")
