"""TensorFlow traces what runs again and again once, whatever the number of epochs."""

import collections
import pathlib

import pytest
import tensorflow as tf

import bginv
from bginv.data.sources import ArraySource, Dataset
from bginv.engine.loop import train
from bginv.engine.results import evaluate_and_log
from bginv.library.robustify import robustify
from tests.library.test_robustify import sequential
from tests.methods.test_frozen_layers import PHASES, classifier

MOST_TRACES = 2
"""Of a function: one, and one more where TensorFlow finds that a size varies."""
PACKAGE = str(pathlib.Path(bginv.__file__).parent)


class Traces:
    """Every `tf.function` that is made, so that their traces can be counted."""

    def __init__(self):
        self.functions = []

    def by_place(self) -> collections.Counter:
        """How often code of this package was traced, by its name and line."""
        found: collections.Counter = collections.Counter()
        for function in self.functions:
            code = getattr(function.python_function, "__code__", None)
            if code is not None and code.co_filename.startswith(PACKAGE):
                place = f"{code.co_qualname}, line {code.co_firstlineno}"
                found[place] += function.experimental_get_tracing_count()
        return found


@pytest.fixture
def traces(monkeypatch) -> Traces:
    found = Traces()
    kind = type(tf.function(lambda: 0))
    make = kind.__init__

    def noted(self, *arguments, **named):
        make(self, *arguments, **named)
        found.functions.append(self)

    monkeypatch.setattr(kind, "__init__", noted)
    return found


class Few(ArraySource):
    """Its passes have batches of 5, whose last one is smaller."""

    pass_batch = 5


@pytest.fixture
def few(squares) -> Dataset:
    train, test = (
        Few(squares.train.images[:count], squares.train.labels[:count], squares.train.masks[:count])
        for count in (22, 13)
    )
    return Dataset("few", train, {"clean": test}, ("left", "right"), (16, 16, 1))


@pytest.mark.parametrize("phase", PHASES)
def test_epochs_add_no_traces(few, phase, traces):
    model, *_ = classifier()
    method = PHASES[phase](model)
    epochs = []

    def evaluate(epoch: int) -> None:
        epochs.append(epoch)
        evaluate_and_log(model, few)

    settings = method.settings.__class__(**{**vars(method.settings), "steps": 12})
    train(method, few.train, settings, on_epoch_end=evaluate)
    assert epochs == [1, 2, 3, 4]
    found = traces.by_place()
    assert any("run_steps" in place for place in found) and any("compiled" in own for own in found)
    assert not {place: count for place, count in found.items() if count > MOST_TRACES}


def test_phases_that_are_evaluated_after_each_epoch_add_no_traces(few, traces):
    given = {"train_first": True, "masks": "given", "backgrounds": "noise", "evaluate_every": 1}
    robustify(sequential(), few, batchsize=8, epochs=3, **given)
    found = traces.by_place()
    phases = 2
    assert not {place: count for place, count in found.items() if count > MOST_TRACES * phases}
    assert sum(count for place, count in found.items() if "compiled" in place) <= MOST_TRACES
