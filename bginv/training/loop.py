"""The loop that every method shares."""

import abc
import math
import pathlib
import time
from collections.abc import Callable

import tensorflow as tf

from bginv.data.sources import Source
from bginv.ops.augment import Augmentation, augment
from bginv.recipes import PhaseSettings
from bginv.training.progress import Progress


class Method(abc.ABC):
    """What the loop asks of a method: its step, and what happens between steps.

    Attributes:
        name: of the phase, for reports.
        augmentation: ranges of the random transforms.
        align_masks: augment image and mask together, not the image alone.
    """

    name: str
    augmentation: Augmentation
    align_masks: bool = True

    def augment_batch(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """The batch with augmented images; apart from the step, as XLA has no affine transforms."""
        masks = batch.get("mask") if self.align_masks else None
        images, warped = augment(batch["image"], seed, self.augmentation, masks)
        return {**batch, "image": images, **({} if warped is None else {"mask": warped})}

    @abc.abstractmethod
    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Update the method's models once; traced inside a `tf.function`.

        Args:
            batch: augmented records of a `Source`, with static shapes.
            seed: int32 [2], another one at each step.

        Returns:
            Scalars to report.
        """

    def before_step(self, step: int) -> None:  # noqa: B027 - most methods have nothing to do
        """Called in Python before a step that `next_event` named."""

    def next_event(self, step: int) -> int | None:  # noqa: B027
        """The first step after `step` that needs `before_step`, or None."""

    def finish(self) -> None:  # noqa: B027
        """Called once after the last step."""


def steps_per_epoch(num_records: int, batch_size: int) -> int:
    """Batches that show every record, the last one completed from the next epoch."""
    return math.ceil(num_records / batch_size)


def total_steps(settings: PhaseSettings, num_records: int) -> int:
    """Length of a training: `steps`, or `epochs` times the batches of an epoch."""
    return settings.steps or settings.epochs * steps_per_epoch(num_records, settings.batchsize)


def train(
    method: Method,
    source: Source,
    settings: PhaseSettings,
    metrics_file: pathlib.Path | None = None,
    on_epoch_end: Callable[[int], None] | None = None,
) -> None:
    """Run a method over shuffled batches of a source.

    Args:
        method: it owns the models.
        source: training records.
        settings: `steps` or `epochs`, `batchsize`, `seed`, `steps_per_call`.
        metrics_file: JSON lines are appended to it.
        on_epoch_end: is given the number of the epoch, from 1.

    Raises:
        FloatingPointError: a loss that is not finite.
    """
    epoch_steps = steps_per_epoch(len(source), settings.batchsize)
    steps = total_steps(settings, len(source))
    batches = iter(source.batches(settings.batchsize, shuffle=True, seed=settings.seed))
    run_steps = _compile(method, settings.seed)
    step = 0
    with Progress(method.name, steps, settings.batchsize, metrics_file) as progress:
        while step < steps:
            epoch_end = (step // epoch_steps + 1) * epoch_steps
            event = method.next_event(step)
            stops = [steps, step + settings.steps_per_call, event]
            if on_epoch_end:
                stops.append(epoch_end)
            stop = min(candidate for candidate in stops if candidate is not None)
            began = time.monotonic()
            # tensors, as Python numbers would be traced anew at each call
            means = run_steps(batches, tf.constant(step), tf.constant(stop))
            metrics = {name: float(value) for name, value in means.items()}
            seconds = time.monotonic() - began
            _check_finite(metrics, method.name, step, stop)
            epoch = math.ceil(stop / epoch_steps)
            progress.update(stop, stop - step, seconds, epoch, metrics)
            step = stop
            if on_epoch_end and step in (epoch_end, steps):
                progress.clear()
                on_epoch_end(epoch)
            if step == event and step < steps:
                method.before_step(step)
    method.finish()


def _compile(method: Method, seed: int) -> Callable:
    """Steps `start` to `stop` in one call, with the means of their metrics."""
    # XLA raises the speed on GPUs and halves that of these convolutions on CPUs.
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    train_step = tf.function(method.train_step, jit_compile=on_gpu, autograph=False)

    @tf.function(autograph=False)
    def one_step(batches, step: tf.Tensor) -> dict[str, tf.Tensor]:
        seeds = tf.random.split(tf.random.fold_in(tf.constant([seed, 0]), step), 2)
        return train_step(method.augment_batch(next(batches), seeds[0]), seeds[1])

    @tf.function(reduce_retracing=True)
    def run_steps(batches, start: tf.Tensor, stop: tf.Tensor) -> dict[str, tf.Tensor]:
        sums = one_step(batches, start)
        for step in tf.range(start + 1, stop):
            latest = one_step(batches, step)
            sums = {name: sums[name] + latest[name] for name in sums}
        return {name: total / tf.cast(stop - start, total.dtype) for name, total in sums.items()}

    return run_steps


def _check_finite(metrics: dict[str, float], phase: str, start: int, stop: int) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{phase}: {name} is {value} between steps {start + 1} and {stop}; "
                "try a smaller --learning-rate or a larger --batchsize"
            )
