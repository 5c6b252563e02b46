"""Make a classifier, or any other model, ignore the background."""

import atexit
import dataclasses
import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from absl import logging

from bginv.data.catalog import proof_name
from bginv.data.sources import Dataset
from bginv.errors import UserError
from bginv.interop.unit_images import on_unit_images, pixels_of_model, takes_integers
from bginv.library.arrays import range_of
from bginv.library.data import Data, as_dataset, is_split
from bginv.library.masks_and_backgrounds import masks_of_photographs
from bginv.library.models import (
    can_be_saved,
    check_numbers,
    class_weights,
    knows_something,
    loss_of,
    numbers_of,
    refuse_foreign,
    side_of,
    weights_number,
    with_logits,
)
from bginv.library.photographs import fits, robustify_photographs
from bginv.library.results import Robustified
from bginv.library.three_phases import robustify_in_phases
from bginv.library.watching import Wish, tell_compiled
from bginv.methods.background_invariance.experiment import Start
from bginv.methods.background_invariance.settings import PHASES, PHOTOGRAPHS
from bginv.nn.pixel_range import PixelRange, Range
from bginv.ops.augment import Augmentation
from bginv.ops.losses import cross_entropy

UNCHANGED = Augmentation(rotation=0.0, shift=0.0, shear=0.0, flip=False, brightness=0.0)
OF_THREE_PHASES = (
    "class_weight is for the three phases; for recipe='photographs', balance='classes' shows the "
    "images of each class equally often"
)


def robustify(
    model: keras.Model,
    data: Data,
    *,
    masks: str | keras.Model | np.ndarray = "auto",
    backgrounds: str | os.PathLike | np.ndarray = "adv",
    epochs: int | None = None,
    loss: Any = None,
    train_first: bool | None = None,
    augment: bool | None = None,
    pixels: Range | None = None,
    recipe: str | None = None,
    seed: int = 0,
    run_dir: str | os.PathLike | None = None,
    overwrite: bool = False,
    callbacks: Any = None,
    class_weight: Mapping[Any, float] | None = None,
    verbose: int = 1,
    **settings: Any,
) -> Robustified:
    """Train a Keras model against backgrounds (Cruz et al. 2020), in place.

    A deep network that knows something already, on photographs of 128 pixels or more, is fine-tuned
    at a small rate on the backgrounds of other pictures (recipe "photographs"); where that does not
    better it on held-out images, it stays as it was. For other models and images: phase 1, for a
    model that knows nothing yet; phase 2, which learns masks; phase 3, the model against generators
    of backgrounds; each as `bginv run` does it.

    Args:
        model: from images to class scores (logits, probabilities, or one number for two classes) or
            to what `loss` takes; sequential, functional or subclassed.
        data: see `as_dataset`; a name such as "digits" is tested on other backgrounds too, where
            there are some.
        masks: "auto", for photographs "given" where the data has some, else "saliency" where its
            network is on this machine, else "learn"; "learn"; "heuristic", `image > 0`; "given",
            the data's own; an array with a mask for each training image, [N, H, W] or
            [N, H, W, 1], bool or in [0, 1] or uint8; a Keras model from images in [0, 1] to masks
            [B, H, W, 1] in [0, 1]; for photographs, any other source of `bginv masks` too.
        backgrounds: "adv", generators that learn to deceive the model; "noise"; "black"; a folder
            of photographs; or photographs as an array [M, h, w, C], as images of `as_dataset`.
        epochs: of each phase; by default the steps of the recipe. `adversarial_epochs`,
            `masks_steps` and so on are for one phase.
        loss: any of Keras; see `loss_of`.
        train_first: whether there is a phase 1; by default where the model does no better than a
            constant answer.
        augment: turn, move and mirror images at random; by default for classes, as numbers to tell
            may depend on places.
        pixels: the range of the pixels that the model takes, such as (0, 255); None finds it out
            from its layers, and from what it answers on the training images.
        recipe: "photographs", "tuned" or "paper"; None takes the first where it fits model, data
            and settings, else the second.
        seed: of everything that is drawn.
        run_dir: folder for models, pictures, metrics and the report; the same call, with the model
            as it was before, goes on with a run that was stopped. None takes a temporary one.
        overwrite: begin again in that folder.
        callbacks: of Keras, for every training of the model, or a mapping of "classifier", "masks"
            and "adversarial" to them. They see epochs, those of a run that goes on from there on,
            and figures of images that are held out: a split named "validation", else a part of the
            training images (of three phases, a tenth). `model.optimizer` is that of the phase;
            `stop_training` ends it. A new last layer alone, on stored features, has no epochs.
        class_weight: of the loss, by class; for the three phases, which are then taken.
        verbose: 0 tells warnings alone, 1 shows progress, 2 prints a line an epoch.
        **settings: any other of the phases' in `bginv run --help`, with underscores; those of data
            are for `load_data`.

    Returns:
        The model with what was learned beside it; it prints as a table.

    Raises:
        UserError: something that does not go together; it says what.
    """
    refuse_foreign(model)
    pixels = range_of(pixels)
    wish = Wish.of(callbacks, verbose, tuple(PHASES))
    dataset = as_dataset(_proof(data), side_of(model), pixels)
    _check_classes(dataset)
    weights = class_weights(class_weight, dataset)
    found = _pixels(model, dataset, pixels)
    tell_compiled(model, loss)
    start = _with_loss(model, dataset, loss, found.pixels, train_first, weights)
    path = pathlib.Path(run_dir or _temporary_folder())
    adversary = isinstance(backgrounds, str) and backgrounds == "adv"
    may_fit = recipe is None and adversary and loss is None
    does_fit = may_fit and fits(model, dataset, settings)
    if does_fit and weights is not None:
        logging.warning("%s: recipe 'tuned' is taken, and not 'photographs'", OF_THREE_PHASES)
    own = {"seed": seed, **settings, **({} if epochs is None else {"epochs": epochs})}
    run = path, overwrite, wish
    if recipe == PHOTOGRAPHS or (does_fit and weights is None):
        if weights is not None:
            raise UserError(OF_THREE_PHASES)
        result = _on_photographs(model, start, masks, is_split(data), own, run, found.pixels)
    else:
        own["recipe"] = recipe or "tuned"
        augments = not dataset.regression if augment is None else augment
        said = {"loss": _described(loss), "pixels": found.pixels, "augment": augments}
        if weights is not None:
            said["class_weight"] = weights.tolist()
        start = dataclasses.replace(start, augmentation=None if augments else UNCHANGED)
        given = masks, backgrounds, is_split(data)
        result = robustify_in_phases(model, start, given, own, run, said)
    return dataclasses.replace(result, pixels=found)


def _on_photographs(
    model: keras.Model,
    start: Start,
    masks: Any,
    is_given_split: bool,
    settings: Mapping[str, Any],
    run: tuple[pathlib.Path, bool, Wish],
    pixels: Range,
) -> Robustified:
    """Train by the recipe for photographs; see `robustify` and `robustify_in_phases`."""
    path, overwrite, wish = run
    dataset, source = masks_of_photographs(masks, start.dataset, is_given_split)
    start = dataclasses.replace(start, dataset=dataset)
    begun = numbers_of({"pixels": pixels, "model": weights_number(start.evaluated)})
    numbers = {"training images": dataset.train.digest(), **begun}
    with wish.quiet():
        return robustify_photographs(
            model, start, source, settings, path, overwrite, numbers, (wish, pixels)
        )


def _pixels(model: keras.Model, dataset: Dataset, given: Range | None) -> PixelRange:
    """The range of pixels that a model takes, which is to have a gradient by them."""
    if takes_integers(model):
        raise UserError(
            f"{model.name} takes {model.inputs[0].dtype} images, by which its loss has no gradient:"
            " build it on an input of float32"
        )
    return pixels_of_model(model, dataset, given, by_confidence=True)


def _check_classes(dataset: Dataset) -> None:
    """Raise unless there are several classes to tell apart, one an image, or numbers.

    Raises:
        UserError: it says what there is.
    """
    if dataset.multi_label:
        raise UserError(f"{dataset.name} has several classes an image, which robustify cannot do")
    labels = dataset.train.labels
    if not dataset.regression and (labels == labels[0]).all():
        raise UserError(
            f"every training image of data has the label {dataset.class_names[labels[0]]!r}: a "
            "classifier needs two classes to tell apart"
        )


def _described(loss: Any) -> str:
    """What tells one loss from another, the same in every process."""
    names = (getattr(loss, own, None) for own in ("name", "__name__"))
    name = next(filter(None, names), type(loss).__name__)
    if loss is None or isinstance(loss, str):
        return str(loss)
    return f"{name} {loss.get_config()}" if hasattr(loss, "get_config") else str(name)


def _with_loss(
    model: keras.Model,
    dataset: Dataset,
    loss: Any,
    pixels: Range,
    train_first: bool | None,
    weights: np.ndarray | None,
) -> Start:
    """The model as the phases take it, with its loss, and whether it needs phase 1."""
    classifier = on_unit_images(model, dataset.image_shape, pixels)
    if not classifier.trainable_variables:
        raise UserError(
            f"{model.name} has no weights to train: set trainable = True on it, or on layers that "
            "are to learn"
        )
    own_loss = loss_of(model, dataset, loss, weights)
    if dataset.regression:
        check_numbers(classifier, dataset)
        scores, judge = classifier, own_loss
    else:
        scores, judge = with_logits(classifier, dataset), cross_entropy
    if loss is None and not dataset.regression:
        classifier = scores
    if train_first is None:
        train_first = not knows_something(scores, dataset, judge)
        logging.info("phase 1 is %s", "needed" if train_first else "not needed")
    saves = can_be_saved(scores)
    if not saves:
        logging.warning("%s has layers that Keras cannot save: give them get_config", model.name)
    return Start(
        dataset, classifier, loss=own_loss, train_classifier=train_first, save=saves, scores=scores
    )


def _proof(data: Data) -> Data:
    return proof_name(data) if isinstance(data, str) else data


def _temporary_folder() -> str:
    folder = tempfile.mkdtemp(prefix="bginv-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
