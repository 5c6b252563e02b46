"""`robustify` by the three phases of Cruz et al. 2020, on the user's model."""

import dataclasses
import difflib
import pathlib
from collections.abc import Mapping
from typing import Any, cast

import keras
import tensorflow as tf

from bginv.checksums import content_number
from bginv.data.sources import Dataset
from bginv.engine.callbacks import Figures, has_schedule
from bginv.engine.run_folder import RunFolder
from bginv.errors import UserError
from bginv.library.masks_and_backgrounds import BACKGROUNDS, photographs_of, with_own_masks
from bginv.library.models import numbers_of, weights_number
from bginv.library.photographs import refuse_finished
from bginv.library.results import Robustified
from bginv.library.watching import Wish, figures_of, hold_out_for, with_compiled
from bginv.methods.background_invariance.experiment import BackgroundInvariance, Start
from bginv.methods.background_invariance.settings import (
    PHASES,
    AdversarialSettings,
    RunSettings,
    ThreePhasesSettings,
    phase_setting_names,
    resolve_phases,
)
from bginv.nn.background_generator import fitting_tiles
from bginv.nn.fine_tuning import has_batch_norm, is_deep

BEFORE, AFTER = "before", "after"
CLEAN_FRACTION = 0.25
"""As in the tuned recipe: statistics of composites alone are not those of images."""
NOT_FOR_MODELS = {"architecture", "back", "backgrounds", "weights"}
"""Settings of commands that make the classifier, or that have arguments of their own here."""


def robustify_in_phases(
    model: keras.Model,
    start: Start,
    given: tuple[Any, Any, bool],
    settings: Mapping[str, Any],
    run: tuple[pathlib.Path, bool, Wish],
    said: Mapping[str, Any],
) -> Robustified:
    """Train by the three phases; see `robustify`.

    Args:
        model: the user's.
        start: what the phases start from.
        given: masks and backgrounds as they came, and whether the data came as splits.
        settings: of the phases, as they came.
        run: its folder, whether that is begun again, and what the caller wants to be told of.
        said: what else a run that goes on must have begun with.
    """
    masks, backgrounds, is_given_split = given
    path, overwrite, wish = run
    dataset, mask_kind, unet = with_own_masks(masks, start.dataset, is_given_split)
    dataset, held = hold_out_for(wish, dataset)
    generated = isinstance(backgrounds, str) and backgrounds in BACKGROUNDS
    own = {**settings, "back": backgrounds if generated else "real"}
    if "learning_rate" not in settings:
        rate = _rate(model, start.train_classifier)
        own = {"classifier_learning_rate": rate, "adversarial_learning_rate": rate, **own}
    if own["recipe"] == "paper" and has_batch_norm(model):  # which the paper's networks have not
        own = {"clean_fraction": CLEAN_FRACTION, **own}
    phases = _phases(dataset, own)
    crops = cast(AdversarialSettings, phases["adversarial"]).crops
    photographs = None if generated else photographs_of(backgrounds, dataset, crops)
    start = dataclasses.replace(
        start, dataset=dataset, masks=mask_kind, unet=unet, photographs=photographs
    )
    figures = with_compiled(figures_of(start, held), model, held, said["pixels"])
    with wish.quiet():
        return _train(model, start, phases, path, overwrite, said, (wish, figures))


def _train(
    model: keras.Model,
    start: Start,
    phases: Mapping[str, ThreePhasesSettings],
    path: pathlib.Path,
    overwrite: bool,
    said: Mapping[str, Any],
    told: tuple[Wish, Figures | None],
) -> Robustified:
    """Run the phases in a folder.

    Args:
        model: the user's.
        start: what they start from.
        phases: settings of each.
        path: of the folder.
        overwrite: begin again there.
        said: what else a run that goes on must have begun with.
        told: what the caller wants to be told of, and what measures the model for that.
    """
    common = phases["adversarial"]
    run = RunSettings(
        dataset=start.dataset.name, recipe=common.recipe, seed=common.seed, masks=start.masks
    )
    folder = RunFolder(str(path), None, overwrite, {"run": run, **phases}, command="")
    refuse_finished(folder)
    strategy = tf.distribute.get_strategy()
    experiment = BackgroundInvariance(start, run, phases, strategy, folder, (BEFORE, AFTER))
    given = experiment.uses_given_masks
    folder.check_inputs({**_inputs(start, phases, given), **numbers_of(said)})
    experiment.results.model = model.name
    wish, figures = told
    trained = {own.method.name: own.method.models[0] for own in experiment.stages}
    models = {name: model if name != "masks" else own for name, own in trained.items()}
    watches = wish.watches(models, figures)
    for stage in experiment.stages:
        stage.watch = watches.get(stage.method.name)
        if stage.watch and has_schedule(stage.method):
            stage.watch.refuse_rates(
                stage.method.name, "leave it out, or give decay='none', which keeps the rate"
            )
    experiment.run()
    generators = {own.generator.name: own.generator for own in experiment.adversaries}
    return Robustified(
        model=model,
        classifier=start.evaluated,
        mask_generator=experiment.unet,
        background_generators=generators,
        accuracies=dict(experiment.results.rows),
        folder=path,
        mask_kind=start.masks,
        settings=cast(AdversarialSettings, phases["adversarial"]),
    )


def _rate(model: keras.Model, train_first: bool) -> float:
    """Of Adam; the paper's small one for deep networks that know something already."""
    return 1e-5 if is_deep(model) and not train_first else 1e-3


def _phases(dataset: Dataset, given: Mapping[str, Any]) -> dict[str, ThreePhasesSettings]:
    own = {f"{phase}_{name}" for phase in PHASES for name in NOT_FOR_MODELS} | NOT_FOR_MODELS
    known = phase_setting_names() - own
    for name in given.keys() - known - {"recipe", "seed", "back"}:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"robustify has no setting {name!r}{hint} (bginv run --help lists those of the phases; "
            "what is about data goes to bginv.load_data)"
        )
    given = {"dataset": dataset.name, **given}
    phases = resolve_phases(given, given["recipe"])
    if {"tiles", "adversarial_tiles"} & given.keys():
        return phases
    fitting = set(fitting_tiles(dataset.image_shape))
    adversarial = cast(AdversarialSettings, phases["adversarial"])
    tiles = tuple(own for own in adversarial.tiles if own in fitting)
    return resolve_phases({**given, "tiles": tiles or (1,)}, given["recipe"])


def _inputs(
    start: Start, phases: Mapping[str, ThreePhasesSettings], uses_given_masks: bool
) -> dict[str, int]:
    """What a run that goes on must have begun with."""
    train = start.dataset.train
    numbers = {"training images": train.digest()}
    for phase in phases.values():
        if phase.mistakes_of:
            numbers[phase.mistakes_of] = content_number(pathlib.Path(phase.mistakes_of))
    if uses_given_masks:
        numbers["masks"] = train.masks_digest()
    if start.photographs:
        numbers["background photographs"] = start.photographs.digest()
    if not start.train_classifier:
        numbers["model"] = weights_number(start.evaluated)
    if start.unet:
        numbers["mask generator"] = weights_number(start.unet)
    return numbers
