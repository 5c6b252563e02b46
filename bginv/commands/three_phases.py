"""The commands of the three phases."""

import os
import pathlib

import keras
import tensorflow as tf

from bginv.artefacts import refuse_existing
from bginv.data.photographs import Photographs
from bginv.data.sources import Dataset
from bginv.engine.experiment import (
    Job,
    command_line,
    inputs,
    load,
    make_classifier,
    of_worker,
    open_folder,
    print_accuracies,
    training_job,
)
from bginv.interop.model_files import (
    check_ending_for,
    load_classifier,
    load_mask_unet,
)
from bginv.models.mask_unet import build_mask_unet
from bginv.recipes import (
    AdversarialSettings,
    ClassifierSettings,
    MaskSettings,
)
from bginv.runs.mistakes import drawing_of
from bginv.runs.phases import (
    check_mixing,
    run_adversarial_phase,
    run_classifier_phase,
    run_mask_phase,
)
from bginv.runs.three_phases import GIVEN, HEURISTIC, masked_source
from bginv.training.adversarial import AdversarialTraining
from bginv.training.classifier import ClassifierTraining
from bginv.training.loop import total_steps
from bginv.training.masks import MaskTraining

LONGEST_PREFIX = 200


def prepare_train1(settings: ClassifierSettings, strategy: tf.distribute.Strategy) -> Job:
    """Phase 1: train a classifier."""
    settings = of_worker(settings, strategy)
    folder = open_folder(settings, "classifier")
    dataset = load(settings)
    check_mixing(settings, dataset)
    draw = drawing_of(settings, dataset)
    mixes = settings.background_mixing > 0
    folder.check_inputs(inputs(dataset, settings.mistakes_of, masks=mixes))
    with strategy.scope():
        classifier = make_classifier(settings, dataset)
        method = ClassifierTraining(classifier, settings)
    check_ending_for(classifier, settings.output)

    def train() -> dict[str, keras.Model]:
        run_classifier_phase(method, dataset, settings, folder, draw)
        return {settings.output: classifier}

    return training_job(
        train, folder, strategy, lambda: print_accuracies(classifier, dataset, folder)
    )


def prepare_train2(settings: MaskSettings, strategy: tf.distribute.Strategy) -> Job:
    """Phase 2: train a mask generator."""
    settings = of_worker(settings, strategy)
    folder = open_folder(settings, "masks")
    dataset = load(settings)
    with strategy.scope():
        classifier = load_classifier(settings.model, dataset, needs_logits=True)
        unet = build_mask_unet(dataset.image_shape, settings.seed)
        method = MaskTraining(unet, classifier, settings)
    draw = drawing_of(settings, dataset)
    folder.check_inputs(inputs(dataset, settings.model, settings.mistakes_of))

    def train() -> dict[str, keras.Model]:
        # a file's name has room for 255 bytes
        debug_prefix = command_line().replace(os.sep, "_")[:LONGEST_PREFIX]
        run_mask_phase(method, dataset, settings, folder, debug_prefix, draw)
        return {settings.output: unet}

    return training_job(
        train, folder, strategy, lambda: print_accuracies(classifier, dataset, folder)
    )


def prepare_train3(settings: AdversarialSettings, strategy: tf.distribute.Strategy) -> Job:
    """Phase 3: train the classifier against backgrounds."""
    settings = of_worker(settings, strategy)
    folder = open_folder(settings, "adversarial")
    generator_files = _generator_files(settings)
    refuse_existing(generator_files, folder.may_replace)
    dataset = load(settings)
    check_masks(settings.unet_model, dataset)
    given = settings.unet_model == GIVEN
    learned = not given and settings.unet_model != HEURISTIC
    steps = total_steps(settings, len(dataset.train))
    with strategy.scope():
        classifier = load_classifier(settings.model, dataset, needs_logits=True)
        unet = load_mask_unet(settings.unet_model, dataset) if learned else None
        method = AdversarialTraining(classifier, dataset.image_shape, settings, steps)
    check_ending_for(classifier, settings.output)
    photographs = load_photographs(settings, dataset)
    draw = drawing_of(settings, dataset)
    models = (settings.model, settings.unet_model if learned else None, settings.mistakes_of)
    folder.check_inputs(inputs(dataset, *models, photographs=photographs, masks=given))

    def train() -> dict[str, keras.Model]:
        source = masked_source(dataset, given, unet, settings, photographs, folder, draw)
        run_adversarial_phase(method, source, dataset, settings, folder)
        generators = [adversary.generator for adversary in method.adversaries]
        return {**dict(zip(generator_files, generators, strict=False)), settings.output: classifier}

    return training_job(
        train, folder, strategy, lambda: print_accuracies(classifier, dataset, folder)
    )


def check_masks(masks: str, dataset: Dataset) -> None:
    """Raise if the data set's own masks are asked for, and it has none.

    Raises:
        ValueError: it says where masks belong.
    """
    if masks == GIVEN and not dataset.train.has_masks:
        raise ValueError(
            f"the training images of {dataset.name} have no masks of their own: name a mask "
            f"generator or {HEURISTIC}, or put masks into PATH/train/masks of a folder"
        )


def load_photographs(settings: AdversarialSettings, dataset: Dataset) -> Photographs | None:
    """The photographs for `back` = "real", the user's or those of the data set; else None.

    Raises:
        ValueError: no folder given, one without photographs, or one that would not be used.
    """
    if settings.back != "real" and settings.backgrounds is not None:
        raise ValueError("--backgrounds is for back = real; give that, or leave it out")
    if settings.back != "real":
        return None
    folder = settings.backgrounds or dataset.backgrounds
    if folder is None:
        raise ValueError("back = real needs --backgrounds with a folder of photographs")
    return Photographs(folder, dataset.image_shape, settings.crops, settings.skip_bad_files)


def _generator_files(settings: AdversarialSettings) -> list[pathlib.Path]:
    """Where the background generators go: `m3-back.h5` beside `m3.h5`, as in the paper's code."""
    if settings.output is None or settings.back != "adv":
        return []
    output = pathlib.Path(settings.output)
    if len(settings.tiles) == 1:
        return [output.with_name(f"{output.stem}-back{output.suffix}")]
    return [
        output.with_name(f"{output.stem}-back-{tiles}x{tiles}{output.suffix}")
        for tiles in settings.tiles
    ]
