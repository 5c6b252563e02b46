"""Exact resume: everything that a step changes, saved often and read back with care."""

import contextlib
import pathlib
import re
import shutil
import time
from collections.abc import Iterator, Mapping

import keras
import tensorflow as tf
from absl import logging

from bginv.errors import UserError, first_line
from bginv.output_files import OVERWRITE, told_as_not_written

NAME = "step"
KEPT = 2


class Checkpoints:
    """Checkpoints of one training, the last two of which are kept.

    A file is written beside its place and renamed (by TensorFlow), and one that does not read back
    is passed over in favour of the one before.

    Args:
        folder: where they are; None keeps nothing.
        objects: what is saved, by name.
        every_steps: save at every multiple of this step; 0: do not.
        every_minutes: save when this time has passed; 0: do not.
    """

    def __init__(
        self,
        folder: pathlib.Path | None,
        objects: Mapping[str, object],
        every_steps: int,
        every_minutes: float,
    ):
        self.folder, self._every_steps, self._every_minutes = folder, every_steps, every_minutes
        self.last_step: int | None = None
        self._saved_at = time.monotonic()
        if folder:
            self._checkpoint = tf.train.Checkpoint(**objects, **_not_tracked(objects))

    def restore(self) -> int:
        """Read the latest checkpoint that is whole.

        Returns:
            Steps done; 0 where there is no checkpoint.

        Raises:
            UserError: there are checkpoints, and none can be read or fits.
        """
        found = self._found()
        for step, prefix in found:
            reason = _reason_not_readable(prefix)
            if reason:
                logging.warning(
                    "checkpoint %s cannot be read and is passed over: %s", prefix, reason
                )
                continue
            try:
                self._checkpoint.read(prefix).assert_existing_objects_matched()
            except (AssertionError, ValueError) as error:
                raise UserError(
                    f"checkpoint {prefix} does not fit the models of this command (was it written "
                    f"by another version of bginv?); {OVERWRITE} begins again"
                ) from error
            self.last_step = step
            return step
        if found:
            raise UserError(
                f"none of the checkpoints in {self.folder} can be read; {OVERWRITE} begins again"
            )
        return 0

    def next_step(self, step: int) -> int | None:
        """The first step after `step` to save at, as far as steps decide.

        The same for workers that keep nothing, as all have to return to Python at the same steps.
        """
        if not self._every_steps:
            return None
        return (step // self._every_steps + 1) * self._every_steps

    def is_due(self, step: int) -> bool:
        """Whether it is time to save after `step` steps."""
        if not self.folder:
            return False
        minutes = (time.monotonic() - self._saved_at) / 60
        by_time = self._every_minutes and minutes >= self._every_minutes
        return bool(by_time or (self._every_steps and step % self._every_steps == 0))

    def save(self, step: int, again: bool = False) -> None:
        """Save after `step` steps; one that is saved already only where `again` says so.

        Raises:
            OSError: it could not be written; the checkpoints before are whole.
        """
        if not self.folder or (step == self.last_step and not again):
            return
        remedy = f"{self.last()}; mend that"
        try:
            with _without_tensorflow_notes(), told_as_not_written(f"checkpoint {step}", remedy):
                self._checkpoint.write(self._prefix(step))
        except OSError:
            self._remove_unfinished()
            raise
        self.last_step, self._saved_at = step, time.monotonic()
        self._remove_old()

    def last(self) -> str:
        """Where the last good checkpoint is, in words."""
        if not self.folder:
            return "no checkpoint is kept without --run-dir or --output"
        if self.last_step is None:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {self._prefix(self.last_step)}"

    def _prefix(self, step: int) -> str:
        return str(self.folder / f"{NAME}-{step}")

    def _found(self) -> list[tuple[int, str]]:
        """Steps and prefixes of all checkpoints, the latest first."""
        if not self.folder:
            return []
        steps = [
            int(match[1])
            for path in self.folder.glob(f"{NAME}-*.index")
            if (match := re.fullmatch(rf"{NAME}-(\d+)\.index", path.name))
        ]
        return [(step, self._prefix(step)) for step in sorted(steps, reverse=True)]

    def _remove_old(self) -> None:
        """Remove all but the last two; what is of later steps was passed over as damaged."""
        kept = [step for step, _ in self._found() if step <= self.last_step][:KEPT]
        for step, _ in self._found():
            if step not in kept:
                # the index first: without it the rest is no checkpoint
                for path in sorted(self.folder.glob(f"{NAME}-{step}.*"), reverse=True):
                    path.unlink(missing_ok=True)

    def _remove_unfinished(self) -> None:
        for path in self.folder.glob(f"{NAME}-*temp*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _not_tracked(objects: Mapping[str, object]) -> dict[str, list[tf.Variable]]:
    """Variables of models that TensorFlow does not find: Keras wraps lists of layers."""
    found = {}
    for name, model in objects.items():
        if not isinstance(model, keras.Model):
            continue
        known = {id(own) for own in tf.train.TrackableView(model).descendants()}
        missing = [own.value for own in model.variables if id(own.value) not in known]
        if missing:
            found[f"{name}_variables"] = missing
    return found


@contextlib.contextmanager
def _without_tensorflow_notes() -> Iterator[None]:
    """TensorFlow logs how long it took to decide what goes into which file."""
    logger = logging.get_absl_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason_not_readable(prefix: str) -> str | None:
    """Why a checkpoint is not whole; None if it is. Reading compares checksums."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception as error:  # the reader raises many kinds, IndexError where a file is cut
        return first_line(error)
    return None
