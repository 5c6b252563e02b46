"""Find out whether models look at the background, without training."""

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from absl import logging

from bginv.auditing.classes import read_class_map, read_labels
from bginv.auditing.diagnosis import (
    DRAWS,
    QUICK_DRAWS,
    QUICK_LIMIT,
    QUICK_TESTS,
    Diagnosis,
    Plan,
    agree_on_objects,
    check_pictures,
    mask_report,
)
from bginv.auditing.models import (
    BATCH,
    SAMPLE,
    AuditedModel,
    Model,
    name_of,
    open_model,
    prepare_model,
)
from bginv.auditing.result import AuditResult, MaskReport
from bginv.auditing.variants import CutPictures, stratified
from bginv.data.catalog import full_name
from bginv.data.files import FileSource
from bginv.data.folder import is_of_classes_alone, load_class_folders
from bginv.data.places import with_groups
from bginv.data.sources import ArraySource, Dataset, Source
from bginv.errors import UserError
from bginv.interop.classifiers import Classifier
from bginv.library.data import Data, as_dataset, is_split
from bginv.library.masks_and_backgrounds import mask_bytes
from bginv.masks.choice import AUTO, GIVEN, LEARNED, OF_CLASSIFIER, Choice, choose
from bginv.masks.source import MaskSource
from bginv.masks.store import Found, find_masks, given_masks
from bginv.nn.pixel_range import Range
from bginv.terminal import Bar

SIDE = 224
"""Of the pictures, where neither models nor data have a size."""
FOLDER, TRAIN = "folder:", "train"
ONLY_SPLIT = "pictures"
COLOURS = (1, 3)
MOST_PICTURES = 2000
"""Unless another limit is given; more hardly narrow the intervals."""
MOST_PROBED = 600
"""Training images whose backgrounds are looked at."""


def audit(
    models: Model | Sequence[Model],
    data: Data,
    masks: str | MaskSource | np.ndarray = AUTO,
    *,
    split: str | None = None,
    pixels: Range | None = None,
    labels: str | Sequence[str] | None = None,
    class_map: str | Mapping[str, Sequence[str | int]] | None = None,
    draws: int | None = None,
    limit: int | None = None,
    quick: bool = False,
    seed: int = 0,
    groups: str | os.PathLike | None = None,
) -> AuditResult:
    """Find out whether models look at the background, without training.

    Each picture is shown as it is, without its background, without its object, and on the
    backgrounds of other pictures (Xiao et al. 2021); accuracies come with 95 % intervals, see
    `bginv.auditing.intervals`.

    Example:
        result = bginv.audit(model, "photos/")
        print(result)

    Args:
        models: one or several: files (`.keras`, `.h5`, `.onnx`, `.tflite`, the folder of a
            SavedModel), Keras models, or functions from images float32 [B, H, W, C] to scores.
        data: see `bginv.robustify`; or a folder with one folder a class.
        masks: "auto", the data's own, else "saliency" where its network is on this machine; any
            other source of `bginv masks`; a `MaskSource`; or an array [N, H, W] for images in
            memory.
        split: which of the data; by default the first test. "train" takes the training images.
        pixels: the range that the models take; by default it is found out.
        labels: names of the models' outputs in order, or a file with one a line.
        class_map: outputs, by name or number, of each class of the pictures; or a file,
            see `read_class_map`.
        draws: backgrounds of each kind that a picture gets (default: 3, and 1 if `quick`).
        limit: pictures at most, of each class its share (default: 2,000, and 100 if `quick`).
        quick: less of everything, in about a minute.
        seed: of the choice of backgrounds.
        groups: places of a folder's pictures, see `load_data`: accuracy by group is told too.

    Returns:
        Figures, verdict and pictures; it prints as a table.

    Raises:
        FileNotFoundError: a file that is not there.
        UserError: something that does not go together; it says what.
    """
    began = time.monotonic()
    several = list(models) if isinstance(models, list | tuple) else [models]
    if not several:
        raise UserError("models is empty: name one or more")
    for name, value in (("draws", draws), ("limit", limit)):
        if value is not None and value < 1:
            raise UserError(f"{name} must be at least 1; received {value}")
    opened = dict(zip(_names(several), map(open_model, several), strict=True))
    loaded = _load(data, list(opened.values()), pixels, groups)
    dataset, name = _choose_split(loaded, split)
    source = dataset.tests[name]
    check_pictures(source.labels)
    if not isinstance(masks, str | MaskSource):
        source = _with_array(masks, source)
    source = _some_of(source, limit or (QUICK_LIMIT if quick else None))
    found, report = _masks(masks, dataset, source)
    prepare = functools.partial(
        prepare_model,
        pixels=pixels,
        labels_of_model=read_labels(labels) if isinstance(labels, str) else labels or (),
        class_map=read_class_map(class_map) if isinstance(class_map, str) else class_map,
    )
    audited = _prepared(opened, dataset, found, prepare)
    plan = Plan(draws or (QUICK_DRAWS if quick else DRAWS), seed=seed)
    plan = dataclasses.replace(plan, tests=QUICK_TESTS) if quick else plan
    _announce(audited, plan)
    brings = isinstance(masks, str) and masks in (AUTO, GIVEN) and name not in (TRAIN, ONLY_SPLIT)
    training = _training(dataset) if brings else None
    title = dataset.name if name == ONLY_SPLIT else f"{dataset.name}, {name}"
    names = dataset.class_names, dataset.place_names
    diagnosis = Diagnosis(audited[0][1], names[0], report, title, plan, training, names[1])
    with Bar("audit", plan.images(len(source)) * len(audited), "image") as bar:
        for model, pictures in audited:
            diagnosis.ask(model, pictures, bar.advance)
    return dataclasses.replace(diagnosis.result(), seconds=time.monotonic() - began)


def _some_of(source: Source, asked: int | None) -> Source:
    """At most so many pictures, of each class its share; of very many a part, which is told."""
    most = asked or MOST_PICTURES
    if len(source) <= most:
        return source
    if not asked:
        logging.warning("%d of %d pictures are looked at: limit=N takes more", most, len(source))
    return source.take(stratified(source.labels, most))


def _prepared(
    models: Mapping[str, Classifier],
    dataset: Dataset,
    found: Found,
    prepare: Callable[..., AuditedModel],
) -> list[tuple[AuditedModel, CutPictures]]:
    """Each model, by name, with the pictures at the size that it takes."""
    cut = functools.cache(lambda side: _cut(found, side))
    audited = []
    for name, classifier in models.items():
        pictures = cut(_side(classifier, name, dataset))
        rows = stratified(pictures.labels, SAMPLE)
        sample = pictures.images[rows], pictures.labels[rows]
        audited.append((prepare(name, classifier, dataset.class_names, *sample), pictures))
    agree_on_objects([pictures for _, pictures in audited])
    return audited


def _load(
    data: Data,
    models: Sequence[Classifier],
    pixels: Range | None,
    groups: str | os.PathLike | None,
) -> Dataset:
    """The data, at the size of the first model that has one."""
    sides = [own.size[0] for own in models if own.size[0] and own.size[0] == own.size[1]]
    side = sides[0] if sides else None
    if isinstance(data, str | os.PathLike):
        path = full_name(data)
        if path.startswith(FOLDER) and is_of_classes_alone(path.removeprefix(FOLDER)):
            folder = path.removeprefix(FOLDER)
            own, classes = load_class_folders(folder, side or SIDE)
            dataset = Dataset(path, own, {}, classes, own.image_shape)
            if groups is not None:
                dataset = with_groups(dataset, folder, os.fspath(groups))
            return dataclasses.replace(dataset, tests={ONLY_SPLIT: dataset.train})
    if not is_split(data):  # nothing is trained, so all of it is looked at
        whole = data[TRAIN] if isinstance(data, Mapping) and TRAIN in data else data
        data = {TRAIN: whole, ONLY_SPLIT: whole}
    return as_dataset(data, side or SIDE, pixels, groups)


def _choose_split(dataset: Dataset, split: str | None) -> tuple[Dataset, str]:
    """The data set with the training images among its splits, and the name of one of these."""
    shape = dataset.image_shape
    if shape[-1] not in COLOURS:
        raise UserError(f"an audit takes grey or colour pictures; these are {shape}")
    splits = {**dataset.tests, TRAIN: dataset.train}
    name = split or next(iter(splits))
    if name not in splits:
        raise UserError(f"split {split!r} is not there; {dataset.name} has {', '.join(splits)}")
    return dataclasses.replace(dataset, tests=splits), name


def _masks(
    masks: str | MaskSource | np.ndarray, dataset: Dataset, source: Source
) -> tuple[Found, MaskReport]:
    """The pictures with masks, and what is known of those."""
    if isinstance(masks, MaskSource):
        choice = Choice(masks.name, masks, f"masks: {masks.name}, as was asked for")
    elif isinstance(masks, str):
        choice = choose(masks, dataset if masks != AUTO else _as_train(dataset, source))
        choice = choice._replace(source=choice.source and choice.source.exact)
        if choice.source is None and choice.name in OF_CLASSIFIER:
            _refuse_own_masks(masks, choice)
    else:
        choice = Choice(GIVEN, None, "masks: given as an array")
    logging.info("%s", choice.reason)
    if choice.source is not None:
        found = find_masks(source.without_masks(), choice.source)
    elif source.has_masks:
        found = given_masks(source)
    else:
        raise UserError(
            "this split brings no masks, and the training images do: choose other masks"
        )
    return found, mask_report(found, choice.reason)


def _training(dataset: Dataset) -> CutPictures | None:
    """Some training images, where they bring masks and so cost nothing."""
    train = dataset.train
    if not train.has_masks:
        return None
    train = train.take(stratified(train.labels, MOST_PROBED))
    return CutPictures(train, np.ones(len(train), bool))


def _with_array(masks: np.ndarray, source: Source) -> Source:
    """A source with masks in an array.

    Raises:
        UserError: they do not fit its images.
    """
    held = mask_bytes(masks)
    wanted = (len(source), *source.image_shape[:2], 1)
    if not isinstance(source, ArraySource) or held.shape != wanted:
        raise UserError(
            f"an array of masks must be {wanted}, for images in memory; received {held.shape} for "
            f"a {type(source).__name__}"
        )
    return source.with_masks(held)


def _as_train(dataset: Dataset, source: Source) -> Dataset:
    """The data set whose training images are those looked at, as "auto" decides by them."""
    return dataclasses.replace(dataset, train=source)


def _refuse_own_masks(masks: str, choice: Choice) -> None:
    """Raise where masks would be the audited model's own.

    Raises:
        UserError: it says what to give.
    """
    why = choice.reason.partition(", as ")[2]
    if masks == AUTO or choice.name == LEARNED:
        raise UserError(
            f"no masks: {why}; an audit needs some that are not the model's own: --masks saliency, "
            "in Python masks='saliency', fetches a network; bginv masks --help lists other sources"
        )
    raise UserError(f"masks={masks!r} would be the audited model's own view: take another source")


def _cut(found: Found, side: tuple[int, int] | None) -> CutPictures:
    source = found.source
    if side and isinstance(source, FileSource):
        source = source.at_size(side[0])
    return CutPictures(source, found.confidence > 0)


def _side(classifier: Classifier, name: str, dataset: Dataset) -> tuple[int, int]:
    """The size of the pictures that a model is shown.

    Raises:
        UserError: the data cannot have it.
    """
    own = dataset.image_shape[:2]
    wanted = (classifier.size[0] or own[0], classifier.size[1] or own[1])
    if wanted == own:
        return own
    square = wanted[0] == wanted[1]
    if not square or not isinstance(next(iter(dataset.tests.values())), FileSource):
        raise UserError(
            f"{name} takes images of {wanted[0]}x{wanted[1]}, and those of {dataset.name} are "
            f"{own[0]}x{own[1]}: resize them, or give a function that does"
        )
    return wanted


def _names(models: Sequence[Model]) -> list[str]:
    """A name for each model, no two alike."""
    names = [name_of(model, number) for number, model in enumerate(models)]
    if len(set(names)) < len(names):
        files = [os.fspath(own) if isinstance(own, str | os.PathLike) else "" for own in models]
        names = [
            file or f"{name} {k + 1}"
            for k, (file, name) in enumerate(zip(files, names, strict=True))
        ]
    return names


def _announce(audited: Sequence[tuple[AuditedModel, CutPictures]], plan: Plan) -> None:
    """Say what is asked, and how long it will take, from the time of a batch."""
    seconds = 0.0
    for model, pictures in audited:
        images = pictures.images[:BATCH]
        model.ask(images)  # with what is done once
        began = time.monotonic()
        model.ask(images)
        seconds += (time.monotonic() - began) / len(images) * plan.images(len(pictures))
    logging.info(
        "audit: %d pictures, %d tests, %d images a model: about %.0f s",
        *(len(audited[0][1]), len(plan.tests), plan.images(len(audited[0][1])), seconds),
    )
