"""`robustify` on photographs: the recipe that `bginv run` takes for them, on the user's model."""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from bginv.data.sources import Dataset
from bginv.engine.run_folder import RunFolder
from bginv.engine.settings import resolve, setting_names
from bginv.errors import UserError
from bginv.library.results import Robustified
from bginv.library.watching import Wish, with_compiled
from bginv.masks.choice import AUTO, choose
from bginv.methods.background_invariance.experiment import Start
from bginv.methods.background_invariance.settings import PHOTOGRAPHS
from bginv.methods.photographs.experiment import PhotographExperiment
from bginv.methods.photographs.judging import AFTER, BEFORE
from bginv.methods.photographs.settings import PhotographSettings
from bginv.nn.fine_tuning import is_deep, is_trained
from bginv.nn.pixel_range import Range

SMALLEST_SIDE = 128
MASKS = "masks"
OWN_ARGUMENTS = {
    *("architecture", "weights", "dataset", "data_dir", "groups", "output", "recipe", "run_dir"),
}
"""Settings that robustify has arguments of its own for, or that make a network."""

SETTINGS = setting_names(PhotographSettings) - OWN_ARGUMENTS


def fits(model: keras.Model, dataset: Dataset, given: Mapping[str, Any]) -> bool:
    """Whether data, model and settings are those that the recipe for photographs is for.

    Photographs have 128 rows or more and colours; the network is deep and has learned something,
    as its weights tell.
    """
    rows, _, channels = dataset.image_shape
    photographs = rows >= SMALLEST_SIDE and channels == 3 and not dataset.regression
    return photographs and given.keys() <= SETTINGS and is_deep(model) and is_trained(model)


def refuse_finished(folder: RunFolder) -> None:
    """Raise if the folder holds a run of the same settings that has nothing left to do.

    Raises:
        UserError: it says how to begin again.
    """
    if folder.has_results():
        raise UserError(f"{folder.path} holds a finished run: overwrite=True begins again")


def check_settings(given: Mapping[str, Any]) -> None:
    """Raise at a setting that the recipe does not have.

    Raises:
        UserError: it names the setting.
    """
    for name in given.keys() - SETTINGS:
        raise UserError(f"robustify has no setting {name!r} for recipe={PHOTOGRAPHS!r}")


def robustify_photographs(
    model: keras.Model,
    start: Start,
    masks: str,
    given: Mapping[str, Any],
    run_dir: pathlib.Path,
    overwrite: bool,
    inputs: Mapping[str, int],
    told: tuple[Wish, Range],
) -> Robustified:
    """Fine-tune a model on other pictures' backgrounds.

    Args:
        model: the user's.
        start: the model as the phases take it, and the data.
        masks: a name for `choose`.
        given: settings, see `PhotographSettings`.
        run_dir: folder for everything.
        overwrite: begin again in that folder.
        inputs: numbers of what a run that goes on must have begun with.
        told: what the caller wants to be told of, and the range of pixels that the model takes.

    Raises:
        UserError: something that does not go together.
    """
    check_settings(given)
    dataset = start.dataset
    choice = choose(masks, dataset)
    settings = resolve(
        PhotographSettings,
        {"dataset": dataset.name, **given, "masks": choice.name if masks == AUTO else masks},
        PHOTOGRAPHS,
    )
    folder = RunFolder(str(run_dir), None, overwrite, {PHOTOGRAPHS: settings}, command="")
    refuse_finished(folder)
    folder.check_inputs(inputs)
    strategy = tf.distribute.get_strategy()
    own = (dataset, start.evaluated, choice, settings, folder, strategy)
    experiment = PhotographExperiment(*own, start.train_classifier, start.save)
    experiment.model_name = model.name
    _watch(experiment, model, *told)
    experiment.run()
    results = experiment.outcome.results
    return Robustified(
        model=model,
        classifier=start.evaluated,
        mask_generator=None,
        background_generators={},
        accuracies={"before": results.rows[BEFORE], "after": results.rows[AFTER]},
        folder=run_dir,
        mask_kind=choice.name,
        settings=settings,
        headline=tuple(results.headline),
        audit=experiment.audit.result() if experiment.audit else None,
    )


def _watch(experiment: PhotographExperiment, model: keras.Model, wish: Wish, pixels: Range) -> None:
    """Let the caller's callbacks be told of the phases; see `robustify_photographs`."""
    if wish.callbacks.get(MASKS):
        logging.warning(
            "callbacks of %r are told nothing: recipe %r trains no masks", MASKS, PHOTOGRAPHS
        )
    of_model = {phase: model for phase in ("classifier", "adversarial")}
    figures = with_compiled(None, model, experiment.held_out, pixels)
    experiment.watches = wish.watches(of_model, figures)
    for phase, watch in experiment.watches.items():
        watch.refuse_rates(phase, "leave it out; learning_rate is the largest of the schedule")
