"""The three phases on digits that come along, short enough to be watched."""

import dataclasses

import tensorflow as tf

from bginv.commands.settings import DemoSettings
from bginv.engine.settings import resolve
from bginv.methods.background_invariance.experiment import ThreePhasesRun
from bginv.methods.background_invariance.settings import RunSettings, resolve_phases

RECIPE = "tuned"


def prepare_demo(settings: DemoSettings, strategy: tf.distribute.Strategy) -> ThreePhasesRun:
    """`bginv run digits` with fewer steps."""
    given = {"dataset": "digits", **dataclasses.asdict(settings)}
    run = resolve(RunSettings, given, RECIPE)
    return ThreePhasesRun(run, *resolve_phases(given, RECIPE).values(), strategy)
