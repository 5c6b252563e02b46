"""The command that opens the app: it reads data, finds masks, and serves until it is stopped."""

import dataclasses
import importlib.util
import os
import pathlib
import tempfile
import threading
from collections.abc import Callable

import tensorflow as tf
from absl import logging

from bginv.app.review import MaskReview, target_of
from bginv.app.settings import AppSettings
from bginv.data.catalog import full_name
from bginv.data.entries import FOLDER
from bginv.data.folder import TRAIN
from bginv.data.sources import Dataset
from bginv.engine.experiment import load, refuse_groups
from bginv.errors import UserError
from bginv.masks.choice import OF_CLASSIFIER, Choice, choose
from bginv.masks.given import check_mask_files
from bginv.masks.store import find_masks, given_masks
from bginv.output_files import check_writable_folder

IMAGE_SIZE = 224
"""Of what an audit asks a model that takes any size."""


def prepare_app(settings: AppSettings, strategy: tf.distribute.Strategy) -> Callable[[], None]:
    """The app, in a browser of this machine, until the command is interrupted."""
    del strategy
    _check(settings)
    root = full_name(settings.dataset).removeprefix(FOLDER)
    output = settings.output or root
    check_writable_folder(pathlib.Path(output).expanduser())
    dataset = load(dataclasses.replace(settings, image_size=settings.image_size or IMAGE_SIZE))
    names = _splits(settings, dataset)
    choice = choose(settings.source, dataset)
    if choice.source is None and choice.name in OF_CLASSIFIER:
        raise UserError(
            f"{choice.reason}; those of {choice.name} are a classifier's: name another --source, "
            "such as saliency (pip install 'bginv[photos]')"
        )

    def job() -> None:
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # Gradio reads it when it is imported
        from bginv.app.front import build
        from bginv.app.server import serve

        logging.info("%s", choice.reason)
        with tempfile.TemporaryDirectory(prefix="bginv-app-") as folder:
            work = pathlib.Path(folder)
            reviews = _reviews(dataset, names, choice, output, work, settings.overwrite)
            served = work / "served"
            served.mkdir()
            page = build(reviews, dataset, settings.model, served)
            with serve(page, served, settings.port) as address:
                print(f"{address} shows the masks of {dataset.name}; Ctrl-C ends it", flush=True)
                _wait(reviews)

    return job


def _check(settings: AppSettings) -> None:
    """Raise where the app cannot be.

    Raises:
        UserError: another kind of data, or no Gradio.
        FileNotFoundError: no such model.
    """
    if not full_name(settings.dataset).startswith(FOLDER):
        raise UserError(
            "the app is for folder:PATH, pictures in PATH/train/CLASS; received "
            f"{settings.dataset} (bginv masks shows the masks that lists bring)"
        )
    refuse_groups(settings)
    if settings.limit is not None:
        raise UserError(
            f"--limit {settings.limit} would leave pictures without masks, which --masks given "
            "refuses: leave it out"
        )
    if settings.model and not pathlib.Path(settings.model).expanduser().exists():
        raise FileNotFoundError(f"there is no model {settings.model}")
    if importlib.util.find_spec("gradio") is None:
        raise UserError("bginv app needs Gradio: pip install 'bginv[app]'")


def _splits(settings: AppSettings, dataset: Dataset) -> list[str]:
    """Names of the splits that were asked for.

    Raises:
        UserError: one that is not there, or two pictures that would share a mask's file.
    """
    held = {TRAIN: dataset.train, **dataset.tests}
    for name in settings.splits:
        if name not in held:
            raise UserError(f"--splits {name}: {dataset.name} has {', '.join(held)}")
    names = list(settings.splits or held)
    for name in names:
        source = held[name]
        check_mask_files(source.name(row) for row in range(len(source)))
    return names


def _reviews(
    dataset: Dataset,
    names: list[str],
    choice: Choice,
    output: str,
    work: pathlib.Path,
    overwrite: bool,
) -> dict[str, MaskReview]:
    """A review of each split; of given masks, those splits alone that bring some."""
    splits = {TRAIN: dataset.train, **dataset.tests}
    reviews = {}
    for name in names:
        source = splits[name]
        if choice.source is None and not source.has_masks:
            logging.warning("%s brings no masks: it is left out; --source names others", name)
            continue
        found = (
            find_masks(source.without_masks(), choice.source)
            if choice.source
            else given_masks(source)
        )
        own = work / f"changed-{len(reviews)}"
        own.mkdir()
        reviews[name] = MaskReview(found, target_of(output, name), own, overwrite)
        if reviews[name].refusal:
            logging.warning("%s", reviews[name].refusal)
    return reviews


def _wait(reviews: dict[str, MaskReview]) -> None:
    """Until Ctrl-C, which is how the app ends; what was not saved is told."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt as interrupt:
        for name, review in reviews.items():
            if review.unsaved:
                logging.warning("%s: %d changes were not saved", name, review.unsaved)
        if interrupt.args:  # by another signal
            raise
