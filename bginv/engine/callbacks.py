"""Keras' callbacks around the trainings of a run, called as `fit` would."""

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from bginv.engine.method import Method
from bginv.errors import UserError
from bginv.report.metrics import append_record

Figures = Callable[[], Mapping[str, float]]
WATCHED = "watched"
"""In records of metrics: the phase whose epoch the figures are of."""
SILENT, BAR, LINES = 0, 1, 2
"""Of `verbose`, as in Keras."""
OF_RATES = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
RISING, FALLING = ("acc", "accuracy", "auc", "mixed_rand"), ("loss", "error")
"""Ends of names of figures that are better the larger they are, or the smaller."""


@dataclasses.dataclass(frozen=True)
class Watch:
    """Who is told of the epochs of a training.

    Attributes:
        model: that callbacks get, whose weights are trained.
        callbacks: of Keras; those of other packages are such too.
        figures: measures the model on validation images, "val_loss" and so on; None measures
            nothing.
        verbose: 2 prints a line an epoch; 0 and 2 show no bar.
        metrics_file: JSON lines, to which the figures are appended.
    """

    model: keras.Model
    callbacks: Sequence[keras.callbacks.Callback] = ()
    figures: Figures | None = None
    verbose: int = BAR
    metrics_file: pathlib.Path | None = None

    def training(self, method: Method, epochs: int, epoch_steps: int) -> "Watched":
        """One training of a method, for so many epochs of so many steps."""
        return Watched(self, method, epochs, epoch_steps)

    def refuse_rates(self, phase: str, remedy: str) -> None:
        """Raise where a callback sets the rate, for a phase whose rate follows a schedule.

        Args:
            phase: its name.
            remedy: what to do.

        Raises:
            UserError: it names the callback and the phase.
        """
        for own in self.callbacks:
            if isinstance(own, OF_RATES):
                raise UserError(
                    f"callbacks: {type(own).__name__} sets the learning rate, which follows a "
                    f"schedule in phase {phase!r}: {remedy}"
                )


def has_schedule(method: Method) -> bool:
    """Whether the learning rate of a method follows a schedule, and cannot be set."""
    rate = getattr(getattr(method, "optimizer", None), "_learning_rate", None)
    return isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)


class EndAfter(keras.callbacks.Callback):
    """Ends a training after so many epochs.

    Args:
        epochs: how many.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self._epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        """See Keras."""
        del logs
        self.model.stop_training = epoch + 1 >= self._epochs


class Watched:
    """One training that a `Watch` is told of; see there.

    Args:
        watch: who is told.
        method: that is trained.
        epochs: of the whole training.
        epoch_steps: of an epoch.
    """

    def __init__(self, watch: Watch, method: Method, epochs: int, epoch_steps: int):
        self._watch, self._method, self._epochs = watch, method, epochs
        self._epoch_steps = epoch_steps
        self._sums: dict[str, float] = {}
        self._steps = 0
        self._is_in_epoch = False
        self._list = keras.callbacks.CallbackList(
            list(watch.callbacks),
            model=watch.model,
            epochs=epochs,
            steps=epoch_steps,
            verbose=watch.verbose,
            phase=method.name,
        )
        self._kept: Any = None

    def __enter__(self) -> "Watched":
        """Before the first step; callbacks find the phase's optimizer in the model, as in `fit`."""
        held = vars(self._watch.model)  # not an attribute, which checkpoints would track
        self._kept = held.get("optimizer")
        held["optimizer"] = getattr(self._method, "optimizer", None)
        self._watch.model.stop_training = False
        self._list.on_train_begin()
        return self

    def __exit__(self, *exception) -> None:
        vars(self._watch.model)["optimizer"] = self._kept

    @property
    def with_bar(self) -> bool:
        """Whether the progress of steps is shown."""
        return self._watch.verbose == BAR

    def begin_steps(self, step: int) -> None:
        """Before step number `step` of the training, from 0, and those that run with it."""
        self._begin_epoch(step // self._epoch_steps)
        self._list.on_train_batch_begin(step % self._epoch_steps)

    def end_steps(self, step: int, taken: int, means: Mapping[str, float]) -> None:
        """After so many steps, the last of which has number `step` - 1."""
        for name, value in means.items():
            self._sums[name] = self._sums.get(name, 0.0) + taken * value
        self._steps += taken
        self._list.on_train_batch_end((step - 1) % self._epoch_steps, dict(means))

    def end_epoch(self, epoch: int) -> bool:
        """After an epoch, from 1; whether a callback asks to stop."""
        self._begin_epoch(epoch - 1)
        self._is_in_epoch = False
        logs = {name: total / max(1, self._steps) for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        watch = self._watch
        with self._method.evaluated_weights():
            found = dict(watch.figures()) if watch.figures else {}
            if found and watch.metrics_file:
                own = {WATCHED: self._method.name, "epoch": epoch}
                append_record(watch.metrics_file, {**own, **found})
            logs |= found
            self._list.on_epoch_end(epoch - 1, logs)
        if watch.verbose == LINES:
            told = "  ".join(f"{name} {value:.4f}" for name, value in logs.items())
            print(f"{self._method.name}: epoch {epoch}/{self._epochs}  {told}", file=sys.stderr)
        return bool(watch.model.stop_training)

    def _begin_epoch(self, epoch: int) -> None:
        """Tell of an epoch, from 0; of one that an earlier command began too, as callbacks keep
        from there on what they need at its end."""
        if not self._is_in_epoch:
            self._list.on_epoch_begin(epoch)
            self._is_in_epoch = True

    def end(self) -> None:
        """After the last step, when the method has finished."""
        self._list.on_train_end()


def check_callbacks(callbacks: Any) -> dict[str | None, list[keras.callbacks.Callback]]:
    """Callbacks by the name of their phase, None for every training of the user's model.

    Args:
        callbacks: a list, one alone, or a mapping of phases to either.

    Raises:
        UserError: something that is no callback of Keras, or one that cannot work here.
    """
    if callbacks is None:
        return {}
    if isinstance(callbacks, Mapping):
        return {phase: check_callbacks(own).get(None, []) for phase, own in callbacks.items()}
    found = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
    for own in found:
        if not isinstance(own, keras.callbacks.Callback):
            raise UserError(
                "callbacks must be keras.callbacks.Callback; received "
                f"{getattr(own, '__name__', type(own).__name__)}"
                f"{', a class: make one of it' if isinstance(own, type) else ''}"
            )
        if isinstance(own, keras.callbacks.BackupAndRestore):
            raise UserError(
                "callbacks: BackupAndRestore has no place here, as run_dir keeps checkpoints that "
                "the same call goes on from: leave it out"
            )
        _tell_direction(own)
    return {None: found}


def _tell_direction(callback: keras.callbacks.Callback) -> None:
    """Say whether a figure is better the larger it is, where Keras would ask compiled metrics."""
    monitor = getattr(callback, "monitor", None)
    if isinstance(monitor, str) and getattr(callback, "mode", None) == "auto":
        if monitor.endswith(RISING):
            callback.mode = "max"
        elif monitor.endswith(FALLING):
            callback.mode = "min"
