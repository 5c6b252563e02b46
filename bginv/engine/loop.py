"""The loop that every method shares."""

import contextlib
import math
import pathlib
import re
import signal
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.files import input_error
from bginv.data.sources import Source
from bginv.engine.callbacks import Watch
from bginv.engine.checkpoints import Checkpoints
from bginv.engine.common_settings import PhaseSettings
from bginv.engine.distribution import is_chief, num_workers, send_from_chief
from bginv.engine.interrupts import Interrupted, StopRequest
from bginv.engine.method import MOST_SKIPPED, Method, Step
from bginv.engine.progress import Progress
from bginv.errors import UserError
from bginv.host import part_of_run
from bginv.nn.precision import computing_in
from bginv.report.metrics import EVENTS

FINISHED = 2**62
"""For the number of epochs that have ended: callbacks have left the weights as they stay."""

RANDOM_STATE = "seed_generator_state"
"""Keras' name of a variable that counts what a layer has drawn."""
LOST_WORKER = (
    *(tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError),
    *(tf.errors.InternalError, tf.errors.UnavailableError),
)
"""What TensorFlow raises where another process of a training has ended."""


def steps_per_epoch(num_records: int, batch_size: int) -> int:
    """Batches that show every record, the last one completed from the next epoch."""
    return math.ceil(num_records / batch_size)


def total_steps(settings: PhaseSettings, num_records: int) -> int:
    """Length of a training: `steps`, or `epochs` times the batches of an epoch."""
    return settings.steps or settings.epochs * steps_per_epoch(num_records, settings.batchsize)


def last_epoch(settings: PhaseSettings, num_records: int) -> int:
    """Number of the epoch that a training ends in, from 1."""
    epoch_steps = steps_per_epoch(num_records, settings.batchsize)
    return math.ceil(total_steps(settings, num_records) / epoch_steps)


@part_of_run
def train(
    method: Method,
    source: Source,
    settings: PhaseSettings,
    metrics_file: pathlib.Path | None = None,
    on_epoch_end: Callable[[int], None] | None = None,
    checkpoints: pathlib.Path | None = None,
    watch: Watch | None = None,
) -> None:
    """Run a method over shuffled batches of a source, from the last checkpoint on.

    Args:
        method: it owns the models.
        source: training records.
        settings: of the phase; those of `PhaseSettings` matter here.
        metrics_file: JSON lines are appended to it.
        on_epoch_end: is given the number of the epoch, from 1.
        checkpoints: their folder; None keeps none.
        watch: is told of epochs, and may end the training at one; None tells nobody.

    Raises:
        FloatingPointError: a loss that is not finite.
        Interrupted: SIGINT or SIGTERM came, and the last step is saved.
        ConnectionError: another worker was lost.
        OSError: a checkpoint cannot be written.
    """
    _Training(method, source, settings, checkpoints, watch).run(metrics_file, on_epoch_end)


class _Training:
    """One call of `train`."""

    def __init__(
        self,
        method: Method,
        source: Source,
        settings: PhaseSettings,
        checkpoints: pathlib.Path | None,
        watch: Watch | None,
    ):
        self.method, self.source, self.settings = method, source, settings
        self.epoch_steps = steps_per_epoch(len(source), settings.batchsize)
        self.steps = total_steps(settings, len(source))
        self.stop_request = StopRequest()
        self.epochs_ended = tf.Variable(0, trainable=False, dtype=tf.int64)
        random_states = _seed_random_layers(method, settings.seed)
        saved = {**method.checkpointed(), "epochs_ended": self.epochs_ended, **random_states}
        self.checkpoints = Checkpoints(
            checkpoints if is_chief(method.strategy) else None,
            saved,
            settings.checkpoint_steps,
            settings.checkpoint_minutes,
        )
        self.step = send_from_chief(method.strategy, self.checkpoints.restore(), _variables(saved))
        self.skipped = int(method.loss_scale.skipped) if method.loss_scale else 0
        length = (last_epoch(settings, len(source)), self.epoch_steps)
        self.watched = watch and watch.training(method, *length)

    def run(
        self, metrics_file: pathlib.Path | None, on_epoch_end: Callable[[int], None] | None
    ) -> None:
        """See `train`."""
        if int(self.epochs_ended) == FINISHED:
            logging.info("%s: it is done, after %d steps", self.method.name, self.step)
            return
        if self.step == self.steps:
            logging.info("%s: all %d steps are done", self.method.name, self.steps)
        elif self.settings.precision == "auto":
            logging.info("%s: layers compute in %s", self.method.name, self.method.precision)
        batches = _distributed_batches(self.method, self.source, self.settings, self.step)
        compiled: dict[Step, Callable] = {}  # one for each turn that players take
        batch_size, name = self.settings.batchsize, self.method.name
        wanted = self.settings.tensorboard and metrics_file
        events = metrics_file.parent / EVENTS if wanted else None
        shown = self.watched is None or self.watched.with_bar
        progress = Progress(name, self.step, self.steps, batch_size, metrics_file, events, shown)
        with progress, self.stop_request, self.watched or contextlib.nullcontext():
            self._end_epoch(progress, on_epoch_end)
            while self.step < self.steps:
                stop = self._next_stop(on_epoch_end is not None or self.watched is not None)
                began, start = time.monotonic(), self.step
                if self.watched:
                    self.watched.begin_steps(start)
                train_step = self.method.step_at(start)
                if train_step not in compiled:
                    compiled[train_step] = _compile(
                        self.method, train_step, self.settings, self.stop_request.flag
                    )
                means, stopping = self._call(compiled[train_step], batches, stop)
                seconds = time.monotonic() - began
                epoch = math.ceil(self.step / self.epoch_steps)
                progress.update(self.step, self.step - start, seconds, epoch, means)
                if self.watched:
                    self.watched.end_steps(self.step, self.step - start, means)
                if self.step == self.method.next_event(start) and self.step < self.steps:
                    self.method.before_step(self.step)
                if stopping or self.checkpoints.is_due(self.step):
                    self._save()
                if stopping:
                    self._raise_interrupted()
                self._end_epoch(progress, on_epoch_end)
            self._save()
            if self.stop_request.signal_number and not self.watched:
                self._raise_interrupted()
            self.method.finish()
            if self.watched:  # callbacks may have changed the weights, or ended early
                self.watched.end()
                self.epochs_ended.assign(FINISHED)
                self._save(again=True)
                if self.stop_request.signal_number:  # the next command's callbacks know no epoch
                    self._raise_interrupted()

    def _end_epoch(self, progress: Progress, on_epoch_end: Callable[[int], None] | None) -> None:
        """Call `on_epoch_end` where that is due, after the checkpoint: it may take long."""
        epoch = math.ceil(self.step / self.epoch_steps)
        at_end = self.step in (epoch * self.epoch_steps, self.steps)
        told = on_epoch_end or self.watched
        if told and at_end and int(self.epochs_ended) < epoch:
            progress.clear()
            if on_epoch_end:
                on_epoch_end(epoch)
            if self.watched and self.watched.end_epoch(epoch):
                self.steps = self.step
            self.epochs_ended.assign(epoch)
            if self.step == self.steps:
                self._save(again=True)

    def _save(self, again: bool = False) -> None:
        """Save a checkpoint, unless the weights are those of a training that has diverged."""
        for model in self.method.models:
            for weight in model.trainable_variables:
                if not bool(tf.reduce_all(tf.math.is_finite(weight.value))):
                    self._raise_diverged(f"{weight.path} is not finite")
        self.checkpoints.save(self.step, again)

    def _next_stop(self, with_epochs: bool) -> int:
        """The step to return to Python after: there is a report, an event or a checkpoint."""
        epoch_end = (self.step // self.epoch_steps + 1) * self.epoch_steps
        per_call = self.settings.steps_per_call
        candidates = [
            self.steps,
            (self.step // per_call + 1) * per_call,
            self.method.next_event(self.step),
            self.checkpoints.next_step(self.step),
            epoch_end if with_epochs else None,
        ]
        return min(candidate for candidate in candidates if candidate is not None)

    def _call(self, run_steps: Callable, batches, stop: int) -> tuple[dict[str, float], bool]:
        """Train up to step `stop`, or less; the means of the metrics, and whether to end here."""
        start = self.step
        try:
            # tensors, as Python numbers would be traced anew at each call
            sums, reached, stopping = run_steps(batches, tf.constant(start), tf.constant(stop))
        except tf.errors.OpError as error:
            bad_file = input_error(error)
            if bad_file:
                raise UserError(
                    f"{self.method.name}: {bad_file}; {self.checkpoints.last()}; put the file back "
                    "as it was and run the same command again"
                ) from error
            if num_workers(self.method.strategy) == 1 or not isinstance(error, LOST_WORKER):
                raise
            raise ConnectionError(
                f"{self.method.name}: another worker was lost after step {start} "
                f"({_first_cause(error)}); {self.checkpoints.last()}; start every worker "
                "again with the same command to go on from there"
            ) from error
        self._tell_skipped(int(reached) - start)
        self.step = int(reached)
        means = {name: float(total) / (self.step - start) for name, total in sums.items()}
        self._check_finite(means)
        return means, bool(stopping)

    def _tell_skipped(self, steps: int) -> None:
        """Tell of steps that 16 bits have made useless, and of a loss scale that cannot help."""
        scale = self.method.loss_scale
        if scale is None:
            return
        skipped = int(scale.skipped) - self.skipped
        self.skipped += skipped
        if skipped:
            logging.info(
                "%s: %d of %d steps moved no weight, as gradients were not finite in float16; the "
                "loss scale is %g now",
                *(self.method.name, skipped, steps, float(scale.scale)),
            )
        if int(scale.skipped_at_floor) >= MOST_SKIPPED:
            raise FloatingPointError(
                f"{self.method.name}: the last {int(scale.skipped_at_floor)} steps moved no weight,"
                f" as gradients are not finite in float16 at the smallest loss scale; "
                f"{self.checkpoints.last()}: begin again with --overwrite and --precision float32"
            )

    def _check_finite(self, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            if not math.isfinite(value):
                self._raise_diverged(f"{name} is {value}")

    def _raise_diverged(self, what: str) -> None:
        wider = "" if self.method.precision == "float32" else ", --precision float32"
        raise FloatingPointError(
            f"{self.method.name}: {what} at step {self.step} of {self.steps}; "
            f"{self.checkpoints.last()}, and the same settings would fail again from there: begin "
            f"again with --overwrite and a smaller --learning-rate{wider} or a larger --batchsize"
        )

    def _raise_interrupted(self) -> None:
        number = self.stop_request.signal_number
        name = signal.Signals(number).name if number else "another worker's signal"
        kept = self.checkpoints.folder or not is_chief(self.method.strategy)
        again = "without --overwrite " if self.settings.overwrite else ""
        remedy = (
            f"the same command {again}goes on from there"
            if kept
            else "nothing is kept: only a command with --run-dir or --output can go on"
        )
        raise Interrupted(
            number or signal.SIGTERM,
            f"{self.method.name}: {name} after step {self.step} of {self.steps}; {remedy}",
        )


def _distributed_batches(method: Method, source: Source, settings: PhaseSettings, start: int):
    """An iterator over batches for each replica, from batch number `start` on."""

    def batches_of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * local
        return source.batches(
            settings.batchsize,
            shuffle=True,
            seed=settings.seed,
            start=start,
            replicas=range(first, first + local),
            num_replicas=context.num_replicas_in_sync,
        )

    return iter(method.strategy.distribute_datasets_from_function(batches_of_worker))


def _compile(
    method: Method, train_step: Step, settings: PhaseSettings, stop_flag: tf.Variable
) -> Callable:
    """Steps `start` to `stop` in one call.

    Gives the sums of their metrics, the step reached, and whether a stop was asked for. It ends
    early for that, and at a metric that is not finite.
    """
    strategy = method.strategy
    several_workers = num_workers(strategy) > 1
    if method.static_shapes and _with_xla(settings, strategy):
        train_step = tf.function(train_step, jit_compile=True, autograph=False)

    def replica_step(batch: dict[str, tf.Tensor], step: tf.Tensor) -> dict[str, tf.Tensor]:
        seeds = _seeds(settings, step)
        metrics = train_step(method.augment_batch(batch, seeds[0]), seeds[1])
        # all workers have to end with the same step
        return {**metrics, "": tf.identity(stop_flag)} if several_workers else metrics

    @tf.function(autograph=False)
    def one_step(batches, step: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        with computing_in(method.precision, method.models):
            per_replica = strategy.run(replica_step, args=(next(batches), step))
        stopping = (
            strategy.reduce("SUM", per_replica.pop(""), axis=None)
            if several_workers
            else stop_flag.read_value()
        )
        metrics = {
            name: strategy.reduce("MEAN", value, axis=None) for name, value in per_replica.items()
        }
        finite = tf.reduce_all(tf.math.is_finite(tf.stack(list(metrics.values()))))
        return metrics, stopping > 0, finite

    @tf.function(reduce_retracing=True, autograph=False)  # which would change kinds of errors
    def run_steps(batches, start: tf.Tensor, stop: tf.Tensor):
        def goes_on(sums, stopping, finite, step):
            del sums
            return tf.reduce_all([step < stop, finite, ~stopping])

        def another(sums, stopping, finite, step):
            latest, stopping, finite = one_step(batches, step)
            return {name: sums[name] + latest[name] for name in sums}, stopping, finite, step + 1

        first = (*one_step(batches, start), start + 1)
        sums, stopping, _, step = tf.while_loop(goes_on, another, first)
        return sums, step, stopping

    return run_steps


def _seeds(settings: PhaseSettings, step: tf.Tensor) -> tf.Tensor:
    """The seeds of a step, int32 [2, 2]: of the augmentation, and of the rest."""
    return tf.random.split(tf.random.fold_in(tf.constant([settings.seed, 0]), step), 2)


def seen_batch(
    method: Method, source: Source, settings: PhaseSettings, step: int
) -> dict[str, tf.Tensor]:
    """The batch of a step as a training on one device sees it, for pictures."""
    (batch,) = source.batches(settings.batchsize, True, settings.seed, step).take(1)
    return method.augment_batch(batch, _seeds(settings, tf.constant(step))[0])


def _with_xla(settings: PhaseSettings, strategy: tf.distribute.Strategy) -> bool:
    """XLA raises the speed on GPUs and halves that of these convolutions on CPUs."""
    if settings.xla != "auto":
        return settings.xla == "on"
    return bool(tf.config.list_physical_devices("GPU")) and strategy.num_replicas_in_sync == 1


def _seed_random_layers(method: Method, seed: int) -> dict[str, tf.Variable]:
    """Give layers such as dropout their first states, a function of the seed; these, by name.

    Keras draws them from its global state, and does not count them among a model's weights.
    """
    states = {
        id(own): own
        for model in method.models
        for own in model.variables
        if own.name == RANDOM_STATE
    }
    for number, state in enumerate(states.values()):
        state.assign([*np.random.SeedSequence((seed, number)).generate_state(1), 0])
    return {f"{RANDOM_STATE}_{i}": own.value for i, own in enumerate(states.values())}


def _variables(state: dict[str, object]) -> list[tf.Variable]:
    return [
        variable
        for value in state.values()
        for variable in (value.variables if hasattr(value, "variables") else [value])
    ]


def _first_cause(error: tf.errors.OpError) -> str:
    """Why collective operations ended; TensorFlow's first line may be about the graph alone."""
    cause = re.search("aborted by: *(.+)", error.message)
    return cause[1] if cause else error.message.splitlines()[0]
