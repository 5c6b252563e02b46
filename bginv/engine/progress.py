"""What a training tells while it runs: a bar or plain lines for people, JSON lines for programs."""

import pathlib
import sys
import time

import tensorflow as tf
import tqdm
from absl import logging

from bginv.report.metrics import append_record, remove_beyond

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Reports the losses and the speed of one training.

    Args:
        phase: its name.
        done: steps of an earlier command; what the file holds beyond them is removed.
        steps: how many it will take in all.
        batch_size: images a step, for the speed.
        metrics_file: JSON lines are appended to it; None writes none.
        tensorboard: folder of event files for TensorBoard; None writes none.
    """

    def __init__(
        self,
        phase: str,
        done: int,
        steps: int,
        batch_size: int,
        metrics_file: pathlib.Path | None = None,
        tensorboard: pathlib.Path | None = None,
    ):
        self._events = tensorboard and tf.summary.create_file_writer(str(tensorboard / phase))
        self._phase, self._steps, self._batch_size = phase, steps, batch_size
        if metrics_file:
            metrics_file.touch()
            remove_beyond(metrics_file, phase, done)
        self._metrics = metrics_file
        on_terminal = sys.stderr.isatty()
        self._bar = tqdm.tqdm(
            total=steps,
            initial=done,
            desc=phase,
            unit="step",
            file=sys.stderr,
            disable=not on_terminal,
        )
        if done:
            logging.info("%s goes on after step %d of %d", phase, done, steps)
        self._plain = not on_terminal
        self._last_line = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception) -> None:
        self._bar.close()
        if self._events:
            self._events.close()

    def clear(self) -> None:
        """Take the bar off the terminal until the next update, for lines of somebody else's."""
        self._bar.clear()

    def update(
        self, step: int, taken: int, seconds: float, epoch: int, metrics: dict[str, float]
    ) -> None:
        """Report.

        Args:
            step: steps done so far.
            taken: steps since the last report.
            seconds: how long these steps took.
            epoch: the epoch of the last step, from 1.
            metrics: their means over these steps.
        """
        now = time.monotonic()
        speed = taken * self._batch_size / max(seconds, 1e-9)
        if self._metrics:
            record = {"phase": self._phase, "step": step, "epoch": epoch, **metrics}
            speeds = {"images_per_second": round(speed, 1), "seconds": round(seconds, 4)}
            append_record(self._metrics, {**record, **speeds})
        if self._events:
            with self._events.as_default(step):
                for name, value in {**metrics, "images_per_second": speed}.items():
                    tf.summary.scalar(name, value)
        shown = {name: f"{value:.4f}" for name, value in metrics.items()}
        shown["images/s"] = f"{speed:.0f}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(taken)
        if self._plain and (step == self._steps or now - self._last_line > SECONDS_BETWEEN_LINES):
            self._last_line = now
            losses = "  ".join(f"{name} {value}" for name, value in shown.items())
            done = f"step {step}/{self._steps}  epoch {epoch}"
            logging.info("%s  %s  %s", self._phase, done, losses)
