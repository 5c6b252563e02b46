"""The command that makes a set like Waterbirds of anybody's objects and places."""

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from bginv.commands.settings import MakeCorrelatedSettings
from bginv.data import correlated
from bginv.data.catalog import full_name
from bginv.data.correlated import Pairing
from bginv.data.correlated_files import CorrelatedFiles, metadata
from bginv.data.correlated_inputs import (
    Objects,
    Places,
    check_apart,
    read_places,
    usable_objects,
)
from bginv.data.entries import FOLDER
from bginv.data.files import FileSource
from bginv.data.folder import MASKS, is_of_classes_alone, load_class_folders
from bginv.data.images import shown
from bginv.data.sources import Dataset
from bginv.engine.experiment import load, refuse_groups
from bginv.engine.saved_settings import changes_since, read_settings, to_json
from bginv.errors import UserError
from bginv.masks.choice import OF_CLASSIFIER, Choice, choose
from bginv.masks.store import find_masks
from bginv.output_files import (
    OVERWRITE,
    check_writable_folder,
    while_locked,
    write_bytes,
    write_text,
)
from bginv.report.pictures import write_sheet
from bginv.report.tables import PERCENT, Table

IMAGE_SIZE = 224
SETTINGS_FILE, SETTINGS_NAME = "correlated.json", "make-correlated"
SHEET, METADATA = "contact_sheet.png", "metadata.csv"
NUM_PICTURED, GROUPS_PICTURED = 8, 32
OFTEN = 20
"""Uses of a picture from which on a classifier may learn it by heart."""
SMALL, NEAR = 50, 0.01


class Made(NamedTuple):
    """All that a set is made of.

    Attributes:
        objects: in the order of the set.
        places: their pictures.
        pairing: what each object gets.
        own: int [K], the place of each class.
        class_names: of the objects.
        inputs: a number for everything that was read, by its name.
        reason: why masks come from where they do, a sentence.
    """

    objects: Objects
    places: Places
    pairing: Pairing
    own: np.ndarray
    class_names: tuple[str, ...]
    inputs: dict[str, int]
    reason: str


def prepare_make_correlated(
    settings: MakeCorrelatedSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Objects on places that go with their classes, their masks, and `metadata.csv`."""
    del strategy
    settings = dataclasses.replace(settings, image_size=settings.image_size or IMAGE_SIZE)
    root = pathlib.Path(settings.output)
    check_writable_folder(root)
    _check_folders(settings, root)
    made = _plan(settings)
    # folders may move: what they hold counts
    own = dataclasses.replace(settings, dataset="", backgrounds=None, output="", overwrite=False)
    kept = {
        SETTINGS_NAME: own,
        "inputs": made.inputs,
        "folders": dict.fromkeys(made.class_names, 0),
    }
    check = functools.partial(_check_same, kept, root, settings.overwrite)
    check()

    def job() -> None:
        check()  # another process may have been at work here since
        logging.info("%s", made.reason)
        if settings.overwrite:
            _remove(root)
        write_text(root / SETTINGS_FILE, to_json(**kept))
        files = CorrelatedFiles(
            root,
            made.objects,
            made.places,
            made.pairing.pictures,
            made.class_names,
            settings.image_size,
            settings.object_size,
            settings.format,
            functools.partial(write_bytes, durable=False),
        )
        files.make()
        _write_contact_sheet(root / SHEET, files, made)
        # last, as it tells that the set is whole
        write_text(root / METADATA, metadata(files, made.pairing.splits, made.pairing.places))
        _tell(settings, made)

    return while_locked(root, job)


def _plan(settings: MakeCorrelatedSettings) -> Made:
    """Read everything, and decide what each object gets.

    Raises:
        UserError: what is read does not make a set.
    """
    dataset = _load(settings)
    places = read_places(settings.backgrounds, settings.skip_bad_files)
    correlated.check_correlation(settings.correlation, len(places.names))
    own = correlated.own_places(dataset.class_names, places.names, settings.pairs)
    folder = pathlib.Path(full_name(settings.dataset).removeprefix(FOLDER)).expanduser()
    choice = _choose(settings.masks, dataset)
    objects = Objects(*_masked(choice, dataset), folder)
    usable = usable_objects(objects, settings.image_size, dataset.class_names)
    check_apart(usable, places)
    splits = _splits(usable, settings.shares, dataset.class_names)
    order = np.argsort(splits, kind="stable")
    usable, splits = usable.take(order), splits[order]
    pairing = correlated.pair_objects(
        splits,
        usable.labels,
        own,
        places.numbers,
        _picture_splits(places, settings.shares),
        settings.correlation,
        settings.seed,
    )
    inputs = {"objects": objects.digest(), "backgrounds": places.digest()}
    return Made(usable, places, pairing, own, dataset.class_names, inputs, choice.reason)


def _check_folders(settings: MakeCorrelatedSettings, root: pathlib.Path) -> None:
    """Raise if the set has no place of its own.

    Raises:
        UserError: it says why.
    """
    if settings.backgrounds is None:
        raise UserError("--backgrounds FOLDER is needed: PLACE/*.jpg, two places or more")
    if not full_name(settings.dataset).startswith(FOLDER):
        raise UserError(f"objects are those of folder:PATH; received {settings.dataset}")
    refuse_groups(settings)
    correlated.check_shares(settings.shares)
    path = full_name(settings.dataset).removeprefix(FOLDER)
    for folder in (pathlib.Path(own).expanduser() for own in (path, settings.backgrounds)):
        if root.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{shown(root)} lies in {shown(folder)}: choose a folder outside it")
    if not (root / SETTINGS_FILE).is_file() and root.is_dir() and any(root.iterdir()):
        raise UserError(f"{shown(root)} holds something else; choose an empty folder")


def _load(settings: MakeCorrelatedSettings) -> Dataset:
    """The objects: with tests, or of class folders alone without."""
    path = full_name(settings.dataset).removeprefix(FOLDER)
    if not is_of_classes_alone(path):
        return load(settings)
    source, names = load_class_folders(path, settings.image_size, settings.skip_bad_files)
    if settings.limit is not None:
        source = source.first(settings.limit)
    return Dataset(f"{FOLDER}{path}", source, {}, names, source.image_shape)


def _choose(name: str, dataset: Dataset) -> Choice:
    """Where masks come from.

    Raises:
        UserError: a source that finds none by itself; see `choose` too.
    """
    choice = choose(name, dataset)
    if choice.source is None and choice.name in OF_CLASSIFIER:
        raise UserError(
            f"{choice.reason}; those of {choice.name} need a classifier: put masks beside the "
            "class folders, masks/CLASS/NAME.png, or name another source with --masks"
        )
    return choice


def _masked(choice: Choice, dataset: Dataset) -> tuple[FileSource, FileSource | None]:
    """The training objects and those of the first test, with masks.

    Raises:
        UserError: a test without masks.
    """
    name, test = next(iter(dataset.tests.items()), (None, None))
    if len(dataset.tests) > 1:
        logging.warning(
            "%s has several tests; the objects of %s are taken, those of %s are not",
            *(dataset.name, name, ", ".join(list(dataset.tests)[1:])),
        )
    found = []
    for split in (dataset.train, test):
        if split is not None and choice.source:
            split = find_masks(split.without_masks(), choice.source).source
        elif split is not None and not split.has_masks:
            raise UserError(
                f"{name} brings no masks, as train does: put them at {name}/masks/CLASS/NAME.png, "
                "or name another source with --masks"
            )
        found.append(split)
    return found[0], found[1]


def _picture_splits(places: Places, shares: tuple[float, ...]) -> np.ndarray:
    """The split of each picture of a place, int [M]."""
    splits = np.empty(len(places.numbers), int)
    for place in range(len(places.names)):
        rows = np.flatnonzero(places.numbers == place)
        splits[rows] = correlated.split_by_content([places.contents[row] for row in rows], shares)
    return splits


def _splits(
    objects: Objects, shares: tuple[float, ...], class_names: tuple[str, ...]
) -> np.ndarray:
    """The split of each object, int [N]; every class is in training and validation.

    Raises:
        UserError: a class with too few objects.
    """
    splits = np.full(len(objects), correlated.TEST)
    tested = bool(objects.of_test.any())
    used = np.array(shares[:2] if tested else shares)
    for label, name in enumerate(class_names):
        rows = np.flatnonzero((objects.labels == label) & ~objects.of_test)
        if len(rows) < len(used):
            raise UserError(
                f"the class {shown(name)} has {len(rows)} different objects with a mask to split; "
                f"{len(used)} are needed, one for each of {len(used)} splits"
            )
        held = [objects.contents[row] for row in rows]
        splits[rows] = correlated.split_by_content(held, used / used.sum())
    return splits


def _check_same(kept: dict, root: pathlib.Path, overwrite: bool) -> None:
    """Raise if the folder holds another set than the one that is to be made.

    Raises:
        UserError: it names the difference.
    """
    file = root / SETTINGS_FILE
    if overwrite or not file.is_file():
        return
    changed = changes_since(file, SETTINGS_NAME, kept)
    if changed:
        raise UserError(
            f"{shown(root)} holds a set made otherwise ({'; '.join(changed)}): choose another "
            f"folder, or give {OVERWRITE} to begin again"
        )


def _remove(root: pathlib.Path) -> None:
    """Remove a set that this command made, and nothing else."""
    file = root / SETTINGS_FILE
    if not file.is_file():
        return
    made = {MASKS, *read_settings(file).get("folders", {})}
    for own in list(root.iterdir()):
        if own.name in made and own.is_dir() and not own.is_symlink():
            shutil.rmtree(own)
    for name in (METADATA, SHEET):
        (root / name).unlink(missing_ok=True)


def _write_contact_sheet(path: pathlib.Path, files: CorrelatedFiles, made: Made) -> None:
    """A row of pictures for each group of the training split that has some."""
    trained = made.pairing.splits == correlated.TRAIN
    held = {name: members[trained[members]] for name, members in _groups(made)}
    filled = {name: members for name, members in held.items() if len(members)}
    rows = {
        name: np.stack([files.read(row) for row in members[:NUM_PICTURED]])
        for name, members in list(filled.items())[:GROUPS_PICTURED]
    }
    more = f", {len(rows)} of {len(filled)} groups" if len(filled) > len(rows) else ""
    write_sheet(path, rows, f"train: {int(trained.sum())} images{more}")
    logging.info("wrote %s", path)


def _groups(made: Made) -> list[tuple[str, np.ndarray]]:
    """CLASS/PLACE and the rows of each group, in order."""
    return [
        (
            f"{class_name}/{place_name}",
            np.flatnonzero((made.objects.labels == label) & (made.pairing.places == place)),
        )
        for label, class_name in enumerate(made.class_names)
        for place, place_name in enumerate(made.places.names)
    ]


def _tell(settings: MakeCorrelatedSettings, made: Made) -> None:
    """Print counts, the correlation that was reached, and uses of the places' pictures."""
    splits = made.pairing.splits
    counts = {
        name: {
            split: int(np.sum(splits[rows] == number))
            for number, split in enumerate(correlated.SPLITS)
        }
        for name, rows in _groups(made)
    }
    print(Table("group", dict.fromkeys(correlated.SPLITS, ""), counts))
    reached = {
        split: {
            "own place": correlated.reached_correlation(
                made.pairing, made.objects.labels, made.own, number
            )
        }
        for number, split in enumerate(correlated.SPLITS)
        if np.any(splits == number)
    }
    print(Table("share on the class's own place", {"own place": PERCENT}, reached))
    used = correlated.uses_of(made.pairing, made.places.numbers)
    uses = {
        name: {split: _uses(used[number, place]) for number, split in enumerate(correlated.SPLITS)}
        for place, name in enumerate(made.places.names)
    }
    print(Table("pictures x uses", dict.fromkeys(correlated.SPLITS, ""), uses))
    _warn(settings, made, max(int(own.max(initial=0)) for own in used.values()), counts)


def _uses(counts: np.ndarray) -> str | None:
    """Such as "12 x 3-4": twelve pictures, each three or four times."""
    if not len(counts):
        return None
    low, high = int(counts.min()), int(counts.max())
    return f"{len(counts)} x {low}" + (f"-{high}" if high > low else "")


def _warn(settings: MakeCorrelatedSettings, made: Made, most: int, counts: dict) -> None:
    reached = correlated.reached_correlation(made.pairing, made.objects.labels, made.own)
    trained = int(np.sum(made.pairing.splits == correlated.TRAIN))
    if trained < SMALL or abs(reached - settings.correlation) > NEAR:
        logging.warning(
            "%d training pictures are few: %.1f %% are on their class's own place, where %.1f %% "
            "were asked for",
            *(trained, 100 * reached, 100 * settings.correlation),
        )
    empty = [name for name, own in counts.items() if not own[correlated.SPLITS[0]]]
    if empty:
        logging.warning("no training picture is in %s", ", ".join(map(shown, empty)))
    if most > OFTEN:
        logging.warning(
            "a place's picture is used %d times: a classifier may learn pictures rather than "
            "places; more pictures of the places mend that",
            most,
        )
