"""What commands set before TensorFlow starts, in processes of their own, as it cannot be undone."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping

import pytest

from bginv.host import ONEDNN, X86

PAGES = """
import resource
from bginv.host import prepare_host

prepare_host()
size = 2**25

def faults() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * size
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), faults())
"""
IN_PAGES = 2**25 // 4096

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="other systems have other C libraries"
)


def told_by(program: str, environment: Mapping[str, str]) -> list[str]:
    """Words that a program of its own prints."""
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return told.stdout.split()


def faults(**environment: str) -> list[int]:
    """Pages that the system clears for 32 MB that are written, and for as many again."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    found = [int(number) for number in told_by(PAGES, {**own, **environment})]
    if not any(found):
        pytest.skip("this kernel counts no pages")
    return found


def test_the_second_time_takes_the_memory_of_the_first():
    first, second = faults()
    assert first > IN_PAGES / 2
    assert second < IN_PAGES / 100


def test_settings_of_the_environment_stay():
    first, second = faults(MALLOC_MMAP_THRESHOLD_="1048576")
    assert min(first, second) > IN_PAGES / 2


@pytest.mark.skipif(platform.machine() not in X86, reason="oneDNN is for x86 here")
@pytest.mark.parametrize(("given", "found"), [({}, "1"), ({ONEDNN: "0"}, "0")])
def test_onednn_is_taken_unless_the_environment_says_no(given, found):
    own = {name: value for name, value in os.environ.items() if name != ONEDNN}
    program = f"import os, bginv.host as h; h.prepare_host(); print(os.environ[{ONEDNN!r}])"
    assert told_by(program, {**own, **given}) == [found]


TRIMMED = """
from bginv.host import prepare_host, trim_memory

def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

prepare_host()
held = [b"x" * 2**20 for _ in range(64)]
end = b"x" * 2**20
del held
before = resident()
trim_memory()
print(before - resident())
"""


def test_memory_between_parts_goes_back_to_the_system():
    (given_back,) = told_by(TRIMMED, os.environ)
    assert int(given_back) > 2**26 // 4096 / 2
