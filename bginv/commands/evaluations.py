"""Commands that measure: accuracy, masks, calibration, data sets, runs side by side."""

import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import logging

from bginv.commands.settings import (
    CalibrateSettings,
    CompareSettings,
    DatasetsSettings,
    EvaluateSegmentationSettings,
    EvaluateSettings,
)
from bginv.data.catalog import entries
from bginv.data.entries import FOLDER, MULTILABEL, SEGMENTATION, TFDS, WATERBIRDS
from bginv.data.folder import METADATA
from bginv.data.sources import Dataset, Source, take_in_memory
from bginv.engine.experiment import load, refuse_groups
from bginv.engine.results import evaluate_and_log
from bginv.errors import UserError
from bginv.evaluation.calibration import (
    collect_logits,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    with_temperature,
)
from bginv.evaluation.segmentation import (
    evaluate_label_maps,
    evaluate_masks,
    mask_predictor,
    predict_masks,
)
from bginv.interop.model_files import (
    check_ending_for,
    check_model_name,
    is_localizer,
    load_classifier,
    load_mask_model,
    save_model,
)
from bginv.output_files import check_writable, check_writable_folder, refuse_existing, while_locked
from bginv.report.comparison import write_comparison
from bginv.report.groups import group_counts_table, group_tables
from bginv.report.pictures import write_image, write_reliability, write_sheet
from bginv.report.runs import read_run
from bginv.report.tables import (
    agreement_table,
    calibration_table,
    catalog_table,
    label_maps_table,
    splits_table,
)

IMAGES_PER_CLASS = 8
MODEL = "model"
MASK_FILES = "seg-[0-9]*.png"


def prepare_evaluate(
    settings: EvaluateSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Accuracy of a classifier on the training split and on every test, and of groups."""
    del strategy
    dataset = load(settings, several_labels=True)
    classifier = load_classifier(settings.model, dataset)

    def job() -> None:
        accuracies = evaluate_and_log(classifier, dataset)
        for table in group_tables({MODEL: accuracies}):
            print(table)
        print(accuracies.line())

    return job


def prepare_evaluate_seg(
    settings: EvaluateSegmentationSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Masks of all training images at threshold 0.5, as seg-0.png, seg-1.png, ...

    Of a localizer (ACoL, EADER), they are those of the images' labels. Where a split has true masks
    or label maps, a table says how the generated ones agree with them.
    """
    del strategy
    folder = pathlib.Path(settings.output)
    check_writable_folder(folder)
    refuse_existing(sorted(folder.glob(MASK_FILES))[:1], settings.overwrite)
    refuse_groups(settings)
    dataset = load(settings, several_labels=True)
    model = load_mask_model(settings.model, dataset)
    if dataset.multi_label and not is_localizer(model):
        raise UserError(
            f"{dataset.name} has several classes an image, and {settings.model} gives one mask: "
            "name a localizer, such as train_erasing.py writes"
        )
    predict = mask_predictor(model)
    threshold = settings.threshold if is_localizer(model) else None

    def job() -> None:
        for old in folder.glob(MASK_FILES):
            old.unlink()
        if not dataset.multi_label:
            for i, mask in enumerate(predict_masks(predict, dataset.train.without_masks())):
                write_image(folder / f"seg-{i}.png", (mask >= 0.5).astype(np.float32))
            logging.info("wrote %d masks to %s", len(dataset.train), folder)
        for name, split in {"train": dataset.train, **dataset.tests}.items():
            if split.has_label_maps:
                counts = evaluate_label_maps(model, split, settings.threshold)
                title = f"maps of {name}, all pixels of {len(split)} images, in %"
                print(label_maps_table(counts, dataset.class_names, title))
            elif split.has_masks:
                title = f"masks of {name}, mean of {len(split)} images, in %"
                found = evaluate_masks(predict, split, settings.area, threshold)
                print(agreement_table(found, title))

    return while_locked(folder, job)


def prepare_datasets(
    settings: DatasetsSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Every data set and whether its data is there; or what one of them holds, with pictures."""
    del strategy
    if settings.data_dir is not None and not pathlib.Path(settings.data_dir).expanduser().is_dir():
        raise UserError(f"--data-dir {settings.data_dir} is not a folder")
    if settings.dataset is None:
        return lambda: print(_list_catalog(settings.data_dir), end="")
    folder = pathlib.Path(settings.output)
    check_writable_folder(folder)
    dataset = load(settings, several_labels=True)
    name = dataset.name.split(":")[-1].strip("/").replace("/", "_")
    splits = {"train": dataset.train, **dataset.tests}
    sheets = {split: folder / f"{name}-{split.replace(' ', '_')}.png" for split in splits}
    refuse_existing(sheets.values(), settings.overwrite)

    def job() -> None:
        print(splits_table(dataset), end="")
        groups = group_counts_table(dataset)
        if groups:
            print(f"\n{groups}", end="")
        for split, path in sheets.items():
            _write_contact_sheet(path, dataset, split)
            logging.info("wrote %s", path)

    return job


def _list_catalog(data_dir: str | None) -> str:
    rows = [
        (
            name,
            entry.about,
            f"{entry.side}x{entry.side} {'grey' if entry.channels == 1 else 'colour'}",
            entry.source(),
            "yes" if entry.is_present(data_dir) else "no",
        )
        for name, entry in entries()
    ]
    rows += [
        (f"{FOLDER}PATH", "your own photographs", "--image-size", "train/CLASS/*.jpg", "-"),
        (f"{WATERBIRDS}PATH", "images with a class and a place", "--image-size", METADATA, "-"),
        (f"{MULTILABEL}PATH", "several classes an image", "--image-size", "lists", "-"),
        (f"{SEGMENTATION}PATH", "images with label maps", "--image-size", "images, labels", "-"),
        (f"{TFDS}NAME", "any set with one label an image", "--image-size", "TFDS", "-"),
    ]
    return catalog_table(rows)


def _write_contact_sheet(path: pathlib.Path, dataset: Dataset, split: str) -> None:
    """The first images of each class, a row a class; masks below them where there are some."""
    source = dataset.train if split == "train" else dataset.tests[split]
    rows = {}
    for label, class_name in enumerate(dataset.class_names):
        chosen = source.rows_of_class(label)[:IMAGES_PER_CLASS]
        if len(chosen):
            held = take_in_memory(source, chosen)
            rows[class_name] = held.images / np.float32(255)
            if held.has_masks:
                rows[f"{class_name}, masks"] = held.masks / np.float32(255)
    write_sheet(path, rows, f"{dataset.name}, {split}: {len(source)} images")


def prepare_calibrate(
    settings: CalibrateSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Temperature scaling on every second image of a test; figures of all others."""
    del strategy
    output = check_model_name(settings.output)
    picture = output.with_suffix(".png")
    refuse_existing([output, picture], settings.overwrite)
    check_writable(output)
    refuse_groups(settings)
    dataset = load(settings)
    classifier = load_classifier(settings.model, dataset, needs_logits=True)
    check_ending_for(with_temperature(classifier, 1.0), settings.output)
    fitted, tests = _split(dataset, settings.on)

    def job() -> None:
        temperature = fit_temperature(*collect_logits(classifier, fitted))
        rows, pictured = {}, {}
        for name, test in tests.items():
            logits, labels = collect_logits(classifier, test)
            before, after = (reliability(logits, labels, own) for own in (1.0, temperature))
            rows[name] = (
                before.error,
                after.error,
                negative_log_likelihood(logits, labels),
                negative_log_likelihood(logits, labels, temperature),
            )
            pictured.setdefault("before", before)
            pictured.setdefault("after", after)
        title = f"temperature {temperature:.3f}, of {len(fitted)} images"
        print(calibration_table(rows, title), end="")
        save_model(with_temperature(classifier, temperature), output)
        write_reliability(picture, pictured, next(iter(tests)))
        logging.info("wrote %s and %s", output, picture)

    return job


def _split(dataset: Dataset, name: str | None) -> tuple[Source, dict[str, Source]]:
    """Every second image of a test to fit with; its others, first, and the other tests.

    Raises:
        UserError: no such test.
    """
    name = next(iter(dataset.tests)) if name is None else name
    if name not in dataset.tests:
        raise UserError(
            f"--on must be one of {', '.join(dataset.tests)} for {dataset.name}; received {name!r}"
        )
    chosen = dataset.tests[name].without_masks()
    rows = np.arange(len(chosen))
    others = {key: test.without_masks() for key, test in dataset.tests.items() if key != name}
    return chosen.take(rows[::2]), {name: chosen.take(rows[1::2]), **others}


def prepare_compare(
    settings: CompareSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Runs side by side, as one page."""
    del strategy
    output = pathlib.Path(settings.output)
    if output.suffix != ".html":
        raise UserError(f"--output must end in .html; received {settings.output}")
    refuse_existing([output], settings.overwrite)
    check_writable(output)
    runs = [read_run(pathlib.Path(run)) for run in settings.runs]

    def job() -> None:
        write_comparison(output, runs)
        logging.info("wrote %s", output)

    return job
