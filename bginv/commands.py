"""The paper's commands. Each is prepared first, which finds what is wrong with the arguments and
writes nothing, and gives back the job itself.
"""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable

import keras
import tensorflow as tf
from absl import logging

from bginv.artefacts import check_writable, content_number, refuse_existing
from bginv.data.catalog import load_data
from bginv.data.photographs import Photographs, WithBackgrounds
from bginv.data.sources import Dataset, Source
from bginv.interop.model_files import (
    check_ending_for,
    check_model_name,
    load_classifier,
    load_mask_unet,
    save_model,
)
from bginv.models.backbones import build_architecture
from bginv.models.mask_unet import build_mask_unet
from bginv.phases import (
    evaluate_and_log,
    run_adversarial_phase,
    run_classifier_phase,
    run_mask_phase,
)
from bginv.recipes import (
    AdversarialSettings,
    ClassifierSettings,
    CommonSettings,
    DataSettings,
    MaskSettings,
    NewClassifierSettings,
    PhaseSettings,
)
from bginv.report.pictures import write_learning_curves
from bginv.run_folder import RunFolder
from bginv.training.adversarial import AdversarialTraining
from bginv.training.classifier import ClassifierTraining
from bginv.training.distribution import check_replicas, check_same_command, is_chief
from bginv.training.loop import total_steps
from bginv.training.masks import MaskTraining, with_generated_masks

Job = Callable[[], None]
HEURISTIC, GIVEN = "heuristic", "given"
LONGEST_PREFIX = 200


def prepare_train1(settings: ClassifierSettings, strategy: tf.distribute.Strategy) -> Job:
    """Phase 1: train a classifier."""
    settings = of_worker(settings, strategy)
    folder = open_folder(settings, "classifier")
    dataset = load(settings)
    folder.check_inputs(inputs(dataset))
    with strategy.scope():
        classifier = make_classifier(settings, dataset)
        method = ClassifierTraining(classifier, settings)
    check_ending_for(classifier, settings.output)

    def train() -> dict[str, keras.Model]:
        run_classifier_phase(method, dataset, settings, folder)
        return {settings.output: classifier}

    return training_job(train, folder, strategy, lambda: print_accuracies(classifier, dataset))


def prepare_train2(settings: MaskSettings, strategy: tf.distribute.Strategy) -> Job:
    """Phase 2: train a mask generator."""
    settings = of_worker(settings, strategy)
    folder = open_folder(settings, "masks")
    dataset = load(settings)
    with strategy.scope():
        classifier = load_classifier(settings.model, dataset)
        unet = build_mask_unet(dataset.image_shape, settings.seed)
        method = MaskTraining(unet, classifier, settings)
    folder.check_inputs(inputs(dataset, settings.model))

    def train() -> dict[str, keras.Model]:
        # a file's name has room for 255 bytes
        debug_prefix = _command_line().replace(os.sep, "_")[:LONGEST_PREFIX]
        run_mask_phase(method, dataset, settings, folder, debug_prefix)
        return {settings.output: unet}

    return training_job(train, folder, strategy, lambda: print_accuracies(classifier, dataset))


def prepare_train3(settings: AdversarialSettings, strategy: tf.distribute.Strategy) -> Job:
    """Phase 3: train the classifier against backgrounds."""
    settings = of_worker(settings, strategy)
    folder = open_folder(settings, "adversarial")
    generator_files = _generator_files(settings)
    refuse_existing(generator_files, folder.may_replace)
    dataset = load(settings)
    check_masks(settings.unet_model, dataset)
    learned = settings.unet_model not in (HEURISTIC, GIVEN)
    steps = total_steps(settings, len(dataset.train))
    with strategy.scope():
        classifier = load_classifier(settings.model, dataset)
        unet = load_mask_unet(settings.unet_model, dataset) if learned else None
        method = AdversarialTraining(classifier, dataset.image_shape, settings, steps)
    check_ending_for(classifier, settings.output)
    photographs = load_photographs(settings, dataset)
    models = (settings.model, settings.unet_model) if learned else (settings.model,)
    folder.check_inputs(
        inputs(dataset, *models, photographs=photographs, masks=settings.unet_model == GIVEN)
    )

    def train() -> dict[str, keras.Model]:
        source = masked_source(dataset, settings.unet_model, unet, settings, photographs, folder)
        given = settings.unet_model == GIVEN
        run_adversarial_phase(method, unet, source, dataset, settings, folder, given)
        generators = [adversary.generator for adversary in method.adversaries]
        return {**dict(zip(generator_files, generators, strict=False)), settings.output: classifier}

    return training_job(train, folder, strategy, lambda: print_accuracies(classifier, dataset))


def of_worker(settings: CommonSettings, strategy: tf.distribute.Strategy) -> CommonSettings:
    """The settings, if the replicas can follow them; all workers but the chief write nothing.

    Raises:
        ValueError: a batch that cannot be shared, or XLA on several devices.
    """
    if isinstance(settings, PhaseSettings):
        check_replicas(settings, strategy)
    if is_chief(strategy):
        return settings
    if isinstance(settings, PhaseSettings):
        settings = dataclasses.replace(settings, output=None)
    return dataclasses.replace(settings, run_dir=None)


def open_folder(settings: PhaseSettings, phase: str) -> RunFolder:
    """The folder of a script's run, if that and the output can be written.

    Raises:
        ValueError: see `RunFolder` and `check_output`.
    """
    folder = RunFolder(settings.run_dir, settings.output, settings.overwrite, {phase: settings})
    check_output(settings, folder)
    return folder


def load(settings: DataSettings, several_labels: bool = False) -> Dataset:
    """The data set that the settings name.

    Args:
        settings: of the command.
        several_labels: whether the command can do with several classes an image.

    Raises:
        ValueError: see `load_data`; or the command cannot.
    """
    dataset = load_data(
        settings.dataset,
        settings.data_dir,
        settings.limit,
        settings.image_size,
        settings.skip_bad_files,
    )
    if dataset.multi_label and not several_labels:
        raise ValueError(
            f"{dataset.name} has several classes an image, which train_att.py --fusion paper and "
            "evaluate.py alone can do with"
        )
    return dataset


def make_classifier(settings: NewClassifierSettings, dataset: Dataset) -> keras.Model:
    """A new classifier for a data set."""
    return build_architecture(
        settings.architecture,
        dataset.image_shape,
        dataset.num_classes,
        settings.weights,
        settings.seed,
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


def masked_source(
    dataset: Dataset,
    masks: str,
    unet: keras.Model | None,
    settings: AdversarialSettings,
    photographs: Photographs | None,
    folder: RunFolder,
) -> Source:
    """Training images with masks, their own or computed once, and photographs if they are used."""
    source = dataset.train
    if masks != GIVEN:
        source = with_generated_masks(
            source.without_masks(), unet, settings.binarize, settings.area, folder.masks
        )
    return WithBackgrounds(source, photographs) if photographs else source


def check_output(settings: PhaseSettings, folder: RunFolder) -> None:
    """Raise if no model can be written to `--output`.

    Raises:
        ValueError: another ending, a file that exists, or a folder that cannot be written.
    """
    if settings.output is not None:
        path = check_model_name(settings.output)
        refuse_existing([path], folder.may_replace)
        check_writable(path)


def print_accuracies(classifier: keras.Model, dataset: Dataset) -> None:
    """The last line of the paper's training commands: the command line, then accuracies."""
    print(f"{_command_line()},{evaluate_and_log(classifier, dataset).line()}")


def _command_line() -> str:
    return "-".join(sys.argv)


def inputs(
    dataset: Dataset, *models: str, photographs: Photographs | None = None, masks: bool = False
) -> dict[str, int]:
    """What a training starts from, as `RunFolder.check_inputs` takes it.

    Args:
        dataset: its training images.
        models: files.
        photographs: backgrounds.
        masks: the data set's own masks are used.
    """
    numbers = {model: content_number(pathlib.Path(model)) for model in models}
    if photographs:
        numbers["background photographs"] = photographs.digest()
    if masks:
        numbers["masks"] = dataset.train.masks_digest()
    return {"training images": dataset.train.digest(), **numbers}


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


def training_job(
    train: Callable[[], dict[str | pathlib.Path | None, keras.Model]],
    folder: RunFolder,
    strategy: tf.distribute.Strategy,
    report: Callable[[], None],
) -> Job:
    """Train, save the models where they have a place, and report; one worker does the latter."""

    def job() -> None:
        check_same_command(strategy, folder.number())
        with folder.opened():
            models = train()
            if is_chief(strategy):
                _write(models, folder)
                report()
                if any(models):
                    folder.finished()

    return job


def _write(models: dict[str | pathlib.Path | None, keras.Model], folder: RunFolder) -> None:
    """Save models that have a place, draw the curves, and tell what was written."""
    folder.mark_trained()
    for path, model in models.items():
        if path:
            save_model(model, pathlib.Path(path))
            logging.info("wrote %s", path)
    if folder.pictures:
        write_learning_curves(folder.pictures / "learning_curves.png", folder.metrics_file)
        logging.info("wrote configuration, metrics and pictures to %s", folder.path)
