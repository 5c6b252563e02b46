"""What the methods share that learn from image labels where objects are."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.catalog import takes_any_size
from bginv.data.sources import Dataset, Source, take_in_memory
from bginv.engine.experiment import load, print_accuracies
from bginv.engine.method import Method
from bginv.engine.run_folder import RunFolder
from bginv.engine.settings import option_name
from bginv.errors import UserError
from bginv.evaluation.segmentation import (
    evaluate_label_maps,
    evaluate_masks,
    mask_predictor,
    soft_masks_of,
)
from bginv.interop.torch_weights import load_state, read_state
from bginv.methods.localization_settings import WeakLocalizationSettings
from bginv.nn.backbones import IMAGENET, NO_WEIGHTS
from bginv.nn.features import build_features, logits_alone
from bginv.ops.geometry import random_resized_crops
from bginv.report.pictures import overlay, write_sheet
from bginv.report.tables import agreement_table, label_maps_table

LARGER = 224 / 197
"""Images to crop from over those that the network sees, as in the port of ACoL."""
VALIDATION = ("validation", "val")
VALIDATION_SHARE = 0.1
NUM_PICTURED = 12
HEAD_NAMES = ("fc.", "classifier.", "AuxLogits.")


def with_dataset(
    settings: WeakLocalizationSettings, option: str, stands_for: dict[str, str]
) -> WeakLocalizationSettings:
    """The settings with the data set that the option of a paper's code stands for.

    The option itself is dropped, so that a run that goes on knows one name of its data.

    Args:
        settings: of the command.
        option: name of that setting.
        stands_for: the settings that its value makes, `{}` in the place of the value.

    Raises:
        UserError: no data set, or two.
    """
    path = getattr(settings, option)
    made = {name: value.format(path) for name, value in stands_for.items()}
    if path is None and settings.dataset is not None:
        return settings
    if path is None or settings.dataset not in (None, made["dataset"]):
        name = option_name(option)
        raise UserError(f"one of the name of a data set and {name} is needed")
    return dataclasses.replace(settings, **made, **{option: None})


def load_sized(
    settings: WeakLocalizationSettings, side: int, several_labels: bool = False
) -> Dataset:
    """The data set, its images of the size that the network sees.

    Args:
        settings: of the run.
        side: of the images in pixels, where none is set.
        several_labels: whether the method can do with several classes an image.
    """
    if settings.image_size is None and takes_any_size(settings.dataset):
        settings = dataclasses.replace(settings, image_size=side)
    return load(settings, several_labels)


def split_validation(dataset: Dataset) -> tuple[Source, Source]:
    """The images to train on, and those that choose the best epoch.

    These are the split of that name or, without one, a tenth of the training images.
    """
    named = next((dataset.tests[name] for name in VALIDATION if name in dataset.tests), None)
    if named:
        return dataset.train, named
    count = len(dataset.train)
    held = max(1, round(count * VALIDATION_SHARE))
    return dataset.train.take(np.arange(held, count)), dataset.train.take(np.arange(held))


def to_crop_from(source: Source, shape: tuple[int, int, int]) -> Source:
    """The images that training cuts its random crops from."""
    return source.without_masks().at_size(round(shape[0] * LARGER))


def features_with(
    network: str, shape: tuple[int, int, int], weights: str, seed: int
) -> keras.Model:
    """Features with the weights asked for."""
    if weights in (IMAGENET, NO_WEIGHTS):
        return build_features(network, shape, weights, seed)
    features = build_features(network, shape, NO_WEIGHTS, seed)
    load_state(features, read_state(weights), weights, unused=HEAD_NAMES)
    return features


def check_maps(features: keras.Model) -> None:
    """Raise if the features have one place only, so that no map could show where anything is.

    Raises:
        UserError: it says so.
    """
    height, width = features.output_shape[1:3]
    if height * width == 1:
        side = features.input_shape[1]
        raise UserError(
            f"--image-size {side} leaves features of 1x1, which show no place; give a larger one"
        )


def weight_files(*weights: str) -> list[str]:
    """Those of these settings that name a file."""
    return [name for name in weights if name not in (IMAGENET, NO_WEIGHTS)]


def write_maps(
    model: keras.Model, source: Source, folder: RunFolder | None, epoch: int | str
) -> None:
    """Images and the maps of their labels."""
    if folder is None or not folder.pictures:
        return
    held = take_in_memory(source.without_masks(), np.arange(NUM_PICTURED))
    images = held.images / np.float32(255)
    labels = held.labels if held.labels.ndim == 1 else held.labels.argmax(1)  # the first class
    batch = {"image": tf.constant(images), "label": tf.constant(labels)}
    maps = soft_masks_of(model, batch).numpy()
    rows = {"image": images, "map": maps, "both": overlay(images, maps)}
    write_sheet(folder.pictures / f"maps-{epoch}.png", rows, f"maps of the labels, epoch {epoch}")


def report_localizer(
    model: keras.Model,
    dataset: Dataset,
    settings: WeakLocalizationSettings,
    folder: RunFolder | None,
) -> None:
    """Accuracies; and agreement of the maps with the truth, on the first test that has one."""
    print_accuracies(logits_alone(model), dataset, folder)
    threshold = getattr(settings, "segmentation_map_threshold", 0.5)
    with_truth = (
        (name, test)
        for name, test in dataset.tests.items()
        if test.has_masks or test.has_label_maps
    )
    name, test = next(with_truth, (None, None))
    if test and test.has_label_maps:
        counts = evaluate_label_maps(model, test, threshold)
        title = f"maps of {name}, all pixels, in %"
        logging.info("\n%s", label_maps_table(counts, dataset.class_names, title))
    elif test:
        found = evaluate_masks(mask_predictor(model), test, area=0.2, threshold=threshold)
        logging.info("\n%s", agreement_table(found, f"masks of {name}, in %"))
    write_maps(model, next(iter(dataset.tests.values())), folder, "last")


class CroppedTraining(Method):
    """A method whose images are random resized crops, of the size that its first model takes."""

    def augment_batch(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.augment_batch`."""
        size, settings = self.models[0].input_shape[1:3], self.settings
        crops = random_resized_crops(
            batch["image"], seed, size, settings.smallest_crop, settings.flip
        )
        return {**batch, "image": crops}
