"""Keras' callbacks, `verbose` and what a model was compiled with, as `robustify` takes them."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.sources import Dataset, Source
from bginv.data.wrapped import hold_out
from bginv.engine.callbacks import SILENT, Figures, Watch, check_callbacks
from bginv.errors import UserError, first_line
from bginv.evaluation.calibration import collect_logits, negative_log_likelihood
from bginv.library.models import compiled_loss
from bginv.methods.background_invariance.experiment import Start
from bginv.nn.pixel_range import Range

HELD_OUT = 0.1
"""Share of the training images that three phases measure validation figures on."""
VALIDATION = "validation"
VERBOSITIES = (0, 1, 2)
PLAIN = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")
"""Losses that are the cross-entropy that the phases take."""


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a caller wants to be told of.

    Attributes:
        callbacks: see `check_callbacks`.
        verbose: see `Watch`.
    """

    callbacks: Mapping[str | None, Sequence[keras.callbacks.Callback]]
    verbose: int

    @classmethod
    def of(cls, callbacks: Any, verbose: Any, phases: Sequence[str]) -> "Wish":
        """The arguments `callbacks` and `verbose`, checked.

        Args:
            callbacks: as the caller gave them.
            verbose: likewise.
            phases: that may have callbacks of their own.

        Raises:
            UserError: it names the argument.
        """
        if verbose not in VERBOSITIES:
            raise UserError(f"verbose must be 0, 1 or 2; received {verbose!r}")
        found = check_callbacks(callbacks)
        for phase in found.keys() - {None, *phases}:
            raise UserError(
                f"callbacks: there is no phase {phase!r}; there are {', '.join(phases)}"
            )
        return cls(found, int(verbose))

    def watches(
        self, models: Mapping[str, keras.Model], figures: Figures | None
    ) -> dict[str, Watch]:
        """A watch for each phase that somebody is to be told of.

        Args:
            models: that callbacks of a phase get; those of the first and last are the user's.
            figures: measures the user's model; None measures nothing.
        """
        found = {}
        for phase, model in models.items():
            of_user = phase != "masks"
            own = [
                *self.callbacks.get(phase, ()),
                *(self.callbacks.get(None, ()) if of_user else ()),
            ]
            if own or self.verbose != 1:
                told = figures if own and of_user else None
                found[phase] = Watch(model, own, told, self.verbose)
        return found

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Warnings alone are logged, where nothing is to be told."""
        before = logging.get_verbosity()
        if self.verbose == SILENT:
            logging.set_verbosity(min(before, logging.WARNING))
        try:
            yield
        finally:
            logging.set_verbosity(before)


def hold_out_for(wish: Wish, dataset: Dataset) -> tuple[Dataset, Source | None]:
    """The data set of three phases without the images that callbacks are told figures of.

    A split named "validation" is taken for these; else a tenth of the training images is held out.
    Where there are no callbacks, nothing is.
    """
    if not any(wish.callbacks.values()):
        return dataset, None
    if VALIDATION in dataset.tests:
        return dataset, dataset.tests[VALIDATION].without_masks()
    if dataset.regression:
        count = len(dataset.train)
        held = np.arange(0, count, round(1 / HELD_OUT))
        rows = np.setdiff1d(np.arange(count), held)
    else:
        rows, held = hold_out(dataset.train, HELD_OUT)
    if not len(held) or not len(rows):
        raise UserError("callbacks: there are too few training images to hold some out")
    train = dataset.train
    kept = dataclasses.replace(dataset, train=train.take(rows))
    return kept, train.take(held).without_masks()


def figures_of(start: Start, held: Source | None) -> Figures | None:
    """What measures the model of three phases on images that were held out.

    Cross-entropy and accuracy of classes; of numbers, the loss and the mean absolute error.
    """
    if held is None:
        return None

    def measure() -> dict[str, float]:
        outputs, labels = collect_logits(start.evaluated, held)
        if start.dataset.regression:
            loss = float(start.loss(tf.constant(labels), tf.constant(outputs)))
            error = float(np.abs(outputs - labels).mean())
            return {"val_loss": loss, "val_mean_absolute_error": error}
        accuracy = float((outputs.argmax(-1) == labels).mean())
        return {"val_loss": negative_log_likelihood(outputs, labels), "val_accuracy": accuracy}

    return measure


def with_compiled(
    figures: Figures | None, model: keras.Model, held: Source | None, pixels: Range
) -> Figures | None:
    """Figures with those of the loss and metrics that a model was compiled with.

    Args:
        figures: others, which give way to those of one name; None where there are none.
        model: the user's.
        held: images and labels.
        pixels: the range of pixels that the model takes.
    """
    loss = compiled_loss(model)
    if loss is None or held is None:
        return figures
    low, high = pixels
    width = model.output_shape[-1]
    sparse = _name(loss).startswith("sparse") or held.labels.dtype.kind == "f"

    def as_compiled(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        labels = batch["label"]
        if not sparse:
            one_hot = tf.one_hot(labels, width)
            labels = one_hot if width > 1 else tf.cast(labels[:, None], tf.float32)
        return batch["image"] * (high - low) + low, labels

    def measure() -> dict[str, float]:
        batches = held.batches(held.pass_batch).map(as_compiled)
        try:
            found = model.evaluate(batches, return_dict=True, verbose=0)
        except Exception as error:  # whatever a user's metric raises
            raise UserError(
                f"{model.name} cannot be evaluated with the loss and metrics that it was compiled "
                f"with ({first_line(error)}): compile it for the labels of this data"
            ) from error
        own = {f"val_{name}": float(value) for name, value in found.items()}
        return {**(figures() if figures else {}), **own}

    return measure


def tell_compiled(model: keras.Model, loss: Any) -> None:
    """Say what the phases do not take of what a model was compiled with."""
    if not getattr(model, "compiled", False):
        return
    optimizer = type(model.optimizer).__name__
    logging.info(
        "%s was compiled with %s: its metrics are told to callbacks; the phases have optimizers of "
        "their own, whose rate is learning_rate",
        *(model.name, optimizer),
    )
    own = compiled_loss(model)
    smooths = getattr(own, "label_smoothing", 0.0) or getattr(own, "_label_smoothing", 0.0)
    if loss is None and own is not None and (_name(own) not in PLAIN or smooths):
        logging.warning(
            "%s was compiled with the loss %s, and classes are trained by cross-entropy: "
            "loss=model.loss takes that instead",
            *(model.name, _name(own)),
        )


def _name(loss: Any) -> str:
    if isinstance(loss, str):
        return loss
    return getattr(loss, "name", getattr(loss, "__name__", type(loss).__name__))
