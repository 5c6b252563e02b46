"""The command of adversarial erasing (EADER)."""

import dataclasses

import keras
import tensorflow as tf

from bginv.engine.experiment import Job, inputs, of_worker, open_folder, training_job
from bginv.interop.model_files import check_ending_for, load_mask_model
from bginv.methods.localization import (
    check_maps,
    load_sized,
    network_with,
    report_localizer,
    to_crop_from,
    weight_files,
    with_dataset,
    write_maps,
)
from bginv.models.backbones import NO_WEIGHTS
from bginv.models.localizer import build_localizer, has_linear_head
from bginv.recipes import ErasingSettings
from bginv.run_folder import experiment_dir
from bginv.runs.phases import on_evaluated_epochs, train_phase
from bginv.training.erasing import ErasingTraining

IMAGE_SIDE, VOC = 448, "voc2012"
EPOCHS_BETWEEN_PICTURES = 3


def prepare_train_erasing(settings: ErasingSettings, strategy: tf.distribute.Strategy) -> Job:
    """End-to-end adversarial erasing."""
    settings = with_dataset(settings, "dataset_root", {"dataset": VOC, "data_dir": "{}"})
    if settings.experiment_name and not settings.run_dir:
        settings = dataclasses.replace(settings, run_dir=experiment_dir(settings.experiment_name))
    settings = of_worker(settings, strategy)
    _check_erasing(settings)
    if settings.evaluate:
        return _prepare_evaluation(settings)
    folder = open_folder(settings, "train-erasing")
    dataset = load_sized(settings, IMAGE_SIDE, several_labels=True)
    if dataset.multi_label and settings.xla == "on":
        raise ValueError(
            f"--xla on needs one label an image, and {dataset.name} has several; leave it out"
        )
    shape, num_classes = dataset.image_shape, dataset.num_classes
    localizer_weights = _weights(settings.localizer_from_scratch, settings.localizer_weights)
    adversarial_weights = _weights(settings.adversarial_from_scratch, settings.adversarial_weights)
    with strategy.scope():
        localizer = network_with(
            settings.localizer_model,
            shape,
            num_classes,
            localizer_weights,
            settings.seed,
        )
        check_maps(localizer.get_layer("features"))
        adversary = None
        if settings.adversarial_model:
            adversary = network_with(
                settings.adversarial_model,
                shape,
                num_classes,
                adversarial_weights,
                settings.seed + 1,
            )
        method = ErasingTraining(localizer, adversary, settings, dataset.multi_label)
        model = build_localizer(localizer, settings.attention_type)
    check_ending_for(model, settings.output)
    used = weight_files(localizer_weights, adversarial_weights if adversary else NO_WEIGHTS)
    folder.check_inputs(inputs(dataset, *used))
    shown = next(iter(dataset.tests.values()))

    def after_epoch(epoch: int) -> None:
        if epoch % EPOCHS_BETWEEN_PICTURES == 0:
            write_maps(model, shown, folder, epoch)

    def run() -> dict[str, keras.Model]:
        source = to_crop_from(dataset.train, shape)
        draw = on_evaluated_epochs(after_epoch, settings, len(source))
        train_phase(method, source, settings, folder, draw)
        return {settings.output: model}

    return training_job(
        run, folder, strategy, lambda: report_localizer(model, dataset, settings, folder)
    )


def _prepare_evaluation(settings: ErasingSettings) -> Job:
    """What `--evaluate` does."""
    if settings.output is None:
        raise ValueError("--evaluate needs --output with the model to evaluate")
    dataset = load_sized(settings, IMAGE_SIDE, several_labels=True)
    model = load_mask_model(settings.output, dataset)
    return lambda: report_localizer(model, dataset, settings, None)


def _check_erasing(settings: ErasingSettings) -> None:
    """Raise if two options exclude each other.

    Raises:
        ValueError: it names them.
    """
    if settings.share_weights and settings.adversarial_model:
        raise ValueError(
            "--share-weights makes the localizer its own adversary; leave --adversarial-model out"
        )
    if settings.attention_type == "cam" and not has_linear_head(settings.localizer_model):
        raise ValueError(
            f"--attention-type cam needs one dense layer behind averaged features, which "
            f"{settings.localizer_model} does not have; give gcam"
        )


def _weights(from_scratch: bool, weights: str) -> str:
    return NO_WEIGHTS if from_scratch else weights
