"""Masks by programs that fail in all the ways that programs do."""

import sys
import time

import numpy as np
import pytest

from bginv.masks.command import CommandMasks
from bginv.masks.source import Picture

PROGRAM = """
import sys, time, cv2, numpy as np
kind, source, target = sys.argv[1:]
pixels = cv2.imread(source)
print("much that nobody asked for")
if kind == "fail":
    print("first", file=sys.stderr); print("the weights are missing", file=sys.stderr); sys.exit(3)
if kind == "hang":
    time.sleep(60)
if kind == "text":
    open(target, "w").write("no image"); sys.exit()
mask = (pixels[..., 2] > 127).astype(np.uint8) * 255
if kind == "half":
    mask = cv2.resize(mask, None, fx=0.5, fy=0.5)
if kind == "wide":
    mask = cv2.resize(mask, (80, 10))
if kind != "nothing":
    cv2.imwrite(target, mask)
"""


@pytest.fixture
def run(tmp_path):
    script = tmp_path / "a program.py"
    script.write_text(PROGRAM)

    def call(kind, timeout=30, end=""):
        source = CommandMasks(f"{sys.executable} '{script}' {kind}{end}", timeout)
        return source.masks([picture()])[0]

    return call


def picture():
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, 15:, 0] = 255  # red, so that its channels' order shows
    return Picture(pixels, "a/b.jpg")


def test_a_program_that_works(run, capfd):
    mask = run("work")
    assert mask.failure is None
    np.testing.assert_array_equal(mask.soft, np.arange(30)[None].repeat(20, 0) >= 15)
    np.testing.assert_array_equal(run("work", end=" {input} {output}").soft, mask.soft)
    assert capfd.readouterr() == ("", "")


def test_a_smaller_mask_of_the_same_shape_is_resized(run):
    mask = run("half")
    assert mask.failure is None and mask.soft.shape == (20, 30)
    assert mask.soft[:, :13].max() == 0 and mask.soft[:, 17:].min() == 1


@pytest.mark.parametrize(
    "kind, said",
    [
        ("fail", "code 3: the weights are missing"),
        ("nothing", "wrote no mask"),
        ("text", "no image"),
        ("wide", "80x10, and the image is 30x20"),
    ],
)
def test_failures_are_told(run, kind, said):
    mask = run(kind)
    assert said in mask.failure and mask.soft.min() == 1


def test_a_program_that_hangs_is_ended(run):
    began = time.monotonic()
    assert "more than 1 seconds" in run("hang", timeout=1).failure
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "command, said",
    [
        ("no-such-program-at-all x", "no program 'no-such-program-at-all'"),
        ("", "needs a program"),
        (f"{sys.executable} 'x", "no command line"),
        (f"{sys.executable} {{input}}", "both"),
    ],
)
def test_bad_commands_are_told_before_anything_starts(command, said):
    with pytest.raises(ValueError, match=said) as caught:
        CommandMasks(command)
    assert "\n" not in str(caught.value)


def test_another_program_in_the_file_has_another_fingerprint(tmp_path):
    script = tmp_path / "program.py"
    script.write_text("1")
    source = CommandMasks(f"{sys.executable} {script}")
    before = source.fingerprint
    script.write_text("12")
    assert source.fingerprint != before
