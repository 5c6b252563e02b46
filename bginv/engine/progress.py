"""What a training tells while it runs: a bar or plain lines for people, JSON lines for programs."""

import pathlib

import tensorflow as tf
from absl import logging

from bginv.report.metrics import append_record, remove_beyond
from bginv.terminal import Bar


class Progress:
    """Reports the losses and the speed of one training.

    Args:
        phase: its name.
        done: steps of an earlier command; what the file holds beyond them is removed.
        steps: how many it will take in all.
        batch_size: images a step, for the speed.
        metrics_file: JSON lines are appended to it; None writes none.
        tensorboard: folder of event files for TensorBoard; None writes none.
        with_bar: show a bar on a terminal, or lines where there is none.
    """

    def __init__(
        self,
        phase: str,
        done: int,
        steps: int,
        batch_size: int,
        metrics_file: pathlib.Path | None = None,
        tensorboard: pathlib.Path | None = None,
        with_bar: bool = True,
    ):
        self._events = tensorboard and tf.summary.create_file_writer(str(tensorboard / phase))
        self._phase, self._batch_size = phase, batch_size
        if metrics_file:
            metrics_file.touch()
            remove_beyond(metrics_file, phase, done)
        self._metrics = metrics_file
        self._bar = Bar(phase, steps, "step", done, shown=with_bar)
        if done:
            logging.info("%s goes on after step %d of %d", phase, done, steps)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception) -> None:
        self._bar.__exit__(*exception)
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
        losses = [f"{name} {value}" for name, value in shown.items()]
        self._bar.advance(taken, "  ".join([f"epoch {epoch}", *losses, f"images/s {speed:.0f}"]))
