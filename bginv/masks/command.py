"""Masks by any program that reads a picture's file and writes its mask's."""

import hashlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence

import cv2
import numpy as np

from bginv.errors import UserError
from bginv.masks.source import Mask, MaskSource, Picture, confidence_of

INPUT, OUTPUT = "{input}", "{output}"
TIMEOUT = 60.0
ASPECT = 0.02
"""Relative difference of the sides' ratios up to which a mask of another size is resized."""


class CommandMasks(MaskSource):
    """Masks by a program, one picture at a time.

    `PROGRAM ARGUMENTS` is split as a shell would, but no shell runs it. `{input}` and `{output}`
    stand for the PNG file of the picture and the one that the program writes, white for
    foreground; without them both paths are appended. What it prints is kept off our own output.

    Args:
        command: program and arguments.
        timeout: seconds that a picture may take.

    Raises:
        UserError: no such program, or one placeholder without the other.
    """

    batch_size = 1
    seconds = 1.0

    def __init__(self, command: str, timeout: float = TIMEOUT):
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UserError(f"{command!r} is no command line: {error}") from error
        if not words:
            raise UserError("command: needs a program, as in command:PROGRAM {input} {output}")
        if timeout <= 0:
            raise UserError(f"the time limit must be above 0 seconds; received {timeout}")
        program = shutil.which(words[0])
        if program is None:
            raise UserError(
                f"there is no program {words[0]!r} to run for masks: install it, or give its path"
            )
        used = [any(own in word for word in words) for own in (INPUT, OUTPUT)]
        if used[0] != used[1]:
            raise UserError(f"{command!r} needs both {INPUT} and {OUTPUT}, or neither")
        if not any(used):
            words += [INPUT, OUTPUT]
        self.name, self._timeout = f"command:{command}", timeout
        self._words = [os.path.abspath(program), *words[1:]]

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`; files among the words count with size and time."""
        number = hashlib.sha256()
        for word in self._words:
            state = os.stat(word) if os.path.isfile(word) else None
            marks = f"{state.st_size} {state.st_mtime_ns}" if state else ""
            number.update(f"{word}\0{marks}\0".encode())
        return f"command {number.hexdigest()}"

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        return list(map(self._mask, pictures))

    def _mask(self, picture: Picture) -> Mask:
        with tempfile.TemporaryDirectory(prefix="bginv-mask-") as folder:
            paths = {own: os.path.join(folder, f"{own[1:-1]}.png") for own in (INPUT, OUTPUT)}
            cv2.imwrite(paths[INPUT], picture.pixels[..., ::-1])
            problem = self._run(paths)
            if problem:
                return Mask.failed(picture, problem)
            if not os.path.isfile(paths[OUTPUT]):
                return Mask.failed(picture, f"{self._program} wrote no mask to {OUTPUT}")
            found = cv2.imread(paths[OUTPUT], cv2.IMREAD_COLOR)
        if found is None:
            return Mask.failed(picture, f"what {self._program} wrote is no image")
        return self._fitted(picture, found.max(-1).astype(np.float32) / 255)

    @property
    def _program(self) -> str:
        return pathlib.Path(self._words[0]).name

    def _run(self, paths: dict[str, str]) -> str | None:
        """Run it; what went wrong."""
        words = []
        for word in self._words:
            for placeholder, path in paths.items():
                word = word.replace(placeholder, path)
            words.append(word)
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return f"{self._program} cannot be run: {error.strerror}"
        with process:
            try:
                _, said = process.communicate(timeout=self._timeout)
            except subprocess.TimeoutExpired:
                _kill(process)
                return f"{self._program} took more than {self._timeout:g} seconds"
            except BaseException:
                _kill(process)
                raise
        if process.returncode:
            lines = said.decode(errors="replace").split("\n")
            last = next(
                (line.strip() for line in reversed(lines) if line.strip()), "it said nothing"
            )
            return f"{self._program} ended with code {process.returncode}: {last}"
        return None

    def _fitted(self, picture: Picture, soft: np.ndarray) -> Mask:
        """The mask at the picture's size, if it has the picture's shape."""
        rows, columns = picture.pixels.shape[:2]
        if soft.shape != (rows, columns):
            ratio = soft.shape[1] / soft.shape[0] * rows / columns
            if abs(ratio - 1) > ASPECT:
                return Mask.failed(
                    picture,
                    f"{self._program} wrote a mask of {soft.shape[1]}x{soft.shape[0]}, and the "
                    f"image is {columns}x{rows}",
                )
            soft = cv2.resize(soft, (columns, rows))
        return Mask(soft, confidence_of(soft))


def _kill(process: subprocess.Popen) -> None:
    """End a program and what it started."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    else:
        process.kill()
