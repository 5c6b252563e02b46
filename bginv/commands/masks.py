"""The command that finds masks of photographs, and says whether they can be trusted."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.commands.settings import FindMasksSettings
from bginv.data.catalog import full_name
from bginv.data.entries import FOLDER, WATERBIRDS
from bginv.data.files import FileSource
from bginv.data.folder import MASKS, TRAIN, is_of_classes_alone, load_class_folders
from bginv.data.images import shown
from bginv.data.sources import Dataset, Source
from bginv.engine.common_settings import OF_PHOTOGRAPHS
from bginv.engine.experiment import load, refuse_groups
from bginv.engine.saved_settings import read_settings, to_json
from bginv.errors import UserError
from bginv.interop.model_files import load_any, load_classifier
from bginv.masks.choice import OF_CLASSIFIER, Choice, choose
from bginv.masks.given import check_mask_files
from bginv.masks.source import confidence_of
from bginv.masks.store import Found, find_masks, given_masks
from bginv.masks.trust import Predict, Trust, measure_source, verdict
from bginv.output_files import (
    OVERWRITE,
    check_writable_folder,
    while_locked,
    write_bytes,
    write_text,
)
from bginv.report.masks import trust_table, write_mask_sheet

IMAGE_SIZE, NUM_PICTURED = 128, 8
SHEET, SETTINGS_FILE = "masks.png", "masks.json"


def prepare_masks(
    settings: FindMasksSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Masks of every split as files, a trust table, a verdict and a contact sheet."""
    del strategy
    if not full_name(settings.dataset).startswith(OF_PHOTOGRAPHS):
        raise UserError(
            f"masks are found for {', '.join(f'{own}PATH' for own in OF_PHOTOGRAPHS)}; received "
            f"{settings.dataset}"
        )
    root = pathlib.Path(settings.output)
    check_writable_folder(root)
    if settings.image_size is None:
        settings = dataclasses.replace(settings, image_size=_image_size(settings.model))
    refuse_groups(settings)
    class_folders = _class_folders(settings.dataset)
    dataset = _load_whole(class_folders, settings) if class_folders else load(settings)
    splits = _splits(settings, dataset)
    lie_together = class_folders or dataset.name.startswith(WATERBIRDS)
    folders = {name: root / MASKS if lie_together else root / name / MASKS for name in splits}
    classifier = load_classifier(settings.model, dataset) if settings.model else None
    choice = _choose(settings.source, dataset, classifier)
    second = _choose(settings.second, dataset, classifier) if settings.second else None
    if choice.source:
        for source in splits.values():
            check_mask_files(_names(source))
    inputs = {"source": _fingerprint(choice)}
    # of the pictures alone: masks do not depend on the size that they are measured at
    inputs |= {name: source.at_size(IMAGE_SIZE).digest() for name, source in splits.items()}

    def check() -> None:
        if choice.source:
            _check_same(inputs, root, folders, settings.overwrite)

    def job() -> None:
        check()  # another process may have been at work here since
        logging.info("%s", choice.reason)
        if choice.source:
            write_text(root / SETTINGS_FILE, to_json(inputs=inputs))
        found, measured = {}, {}
        for name, source in splits.items():
            found[name] = _find(choice, source)
            if choice.source:
                _write_masks(folders[name], found[name].source)
            other = _find(second, source).source if second else None
            measured[name] = _measure(found[name], other, classifier)
        print(trust_table(measured))
        for name, own in found.items():
            for picture, why in own.failures.items():
                print(f"no mask: {name}/{shown(picture)}: {why}")
        for name, trust in measured.items():
            usable, sentences = verdict(trust)
            print(f"{name}: {'usable' if usable else 'NOT usable'}. {' '.join(sentences)}")
        write_mask_sheet(root / SHEET, _pictured(found), f"{dataset.name}, {choice.name}")
        logging.info("wrote %s", root / SHEET)

    check()
    return while_locked(root, job)


def _class_folders(dataset: str) -> str | None:
    """The folder of a data set that has class folders and no splits."""
    name = full_name(dataset)
    folder = name.removeprefix(FOLDER)
    return folder if name.startswith(FOLDER) and is_of_classes_alone(folder) else None


def _load_whole(folder: str, settings: FindMasksSettings) -> Dataset:
    """All its photographs as one split."""
    source, classes = load_class_folders(folder, settings.image_size, settings.skip_bad_files)
    return Dataset(settings.dataset, source, {}, classes, source.image_shape)


def _image_size(model: str | None) -> int:
    """The side of images that a model takes, where it says so."""
    side = load_any(model).input_shape[1] if model else None
    return side or IMAGE_SIZE


def _splits(settings: FindMasksSettings, dataset: Dataset) -> dict[str, FileSource]:
    """The splits that were asked for.

    Raises:
        UserError: one that is not there.
    """
    held = {TRAIN: dataset.train, **dataset.tests}
    for name in settings.splits:
        if name not in held:
            raise UserError(f"--splits {name}: {dataset.name} has {', '.join(held)}")
    return {name: held[name] for name in settings.splits or held}


def _choose(name: str, dataset: Dataset, classifier: keras.Model | None) -> Choice:
    """Where masks come from.

    Raises:
        UserError: a source that finds none by itself; see `choose` too.
    """
    choice = choose(name, dataset, **({"classifier": classifier} if classifier else {}))
    if choice.source is None and choice.name in OF_CLASSIFIER:
        raise UserError(
            f"{choice.reason}; those of {choice.name} are a classifier's: name it with --model "
            "FILE, or take another --source"
        )
    return choice


def _fingerprint(choice: Choice) -> str:
    return choice.source.fingerprint if choice.source else choice.name


def _check_same(inputs: dict, root: pathlib.Path, folders: dict, overwrite: bool) -> None:
    """Raise if there are masks already that are not those of the same command.

    Raises:
        UserError: it names their folder.
    """
    if overwrite:
        return
    file = root / SETTINGS_FILE
    same = file.is_file() and read_settings(file).get("inputs") == inputs
    for folder in folders.values():
        if not same and folder.is_dir() and any(folder.iterdir()):
            raise UserError(
                f"{shown(folder)} holds masks already, of another source or other pictures: "
                f"choose another --output, or give {OVERWRITE}"
            )


def _find(choice: Choice, source: FileSource) -> Found:
    """A split with masks; its own where it brings them."""
    if choice.source:
        return find_masks(source.without_masks(), choice.source)
    if not source.has_masks:
        raise UserError("a split brings no masks: name others with --splits")
    unknown = np.full(len(source), np.nan, np.float32)
    return dataclasses.replace(given_masks(source), confidence=unknown)


def _measure(found: Found, second: Source | None, classifier: keras.Model | None) -> Trust:
    failed = np.array([name in found.failures for name in _names(found.source)])
    return measure_source(
        found.source,
        failed,
        None if np.isnan(found.confidence).any() else found.confidence,
        second,
        _predictor(classifier) if classifier else None,
    )


def _predictor(classifier: keras.Model) -> Predict:
    """The classifier's outputs for arrays."""
    call = tf.function(lambda images: classifier(images, training=False))
    return lambda images: call(tf.constant(images, tf.float32)).numpy()


def _names(source: FileSource) -> list[str]:
    return [source.name(row) for row in range(len(source))]


def _write_masks(folder: pathlib.Path, source: FileSource) -> None:
    """A PNG file for each picture, at its size."""
    for row, name in enumerate(_names(source)):
        contents = source.masks.contents(row).numpy()
        path = folder / pathlib.PurePath(name).with_suffix(".png")
        if not path.is_file() or path.read_bytes() != contents:
            write_bytes(path, contents, durable=False)
    logging.info("wrote %d masks to %s", len(source), folder)


def _pictured(found: dict[str, Found]) -> dict[str, list[tuple[Source, int]]]:
    """The least and the most confident masks, failures first; of given ones, as they look."""
    places = [
        (float(confidence), own.source, row)
        for own in found.values()
        for row, confidence in enumerate(_confidence(own))
    ]
    places.sort(key=lambda place: place[0])
    count = min(NUM_PICTURED, -(-len(places) // 2))
    worst, best = places[:count], places[count:][-count:]
    return {
        "least\nconfident": [place[1:] for place in worst],
        "most\nconfident": [place[1:] for place in reversed(best)],
    }


def _confidence(found: Found) -> np.ndarray:
    """As the source says; where it says nothing, how decided the masks are."""
    if not np.isnan(found.confidence).any():
        return found.confidence
    batches = found.source.batches(found.source.pass_batch)
    return np.array(
        [confidence_of(own[..., 0]) for batch in batches for own in batch["mask"].numpy()]
    )
