"""The command of adversarial complementary learning."""

import dataclasses

import keras
import tensorflow as tf
from absl import logging

from bginv.commands.jobs import Job, inputs, of_worker, open_folder, training_job
from bginv.commands.localization import (
    check_maps,
    features_with,
    load_sized,
    report_localizer,
    split_validation,
    to_crop_from,
    weight_files,
    with_dataset,
    write_maps,
)
from bginv.data.catalog import FOLDER
from bginv.evaluation.accuracy import evaluate_accuracy
from bginv.interop.model_files import check_ending_for
from bginv.models.acol import build_acol, build_classifiers
from bginv.models.attention import logits_alone
from bginv.recipes import AcolSettings
from bginv.runs.phases import on_evaluated_epochs, train_phase
from bginv.training.acol import AcolTraining

IMAGE_SIDE = 197


def prepare_train_acol(settings: AcolSettings, strategy: tf.distribute.Strategy) -> Job:
    """Adversarial complementary learning; the classifiers of the best epoch are kept."""
    settings = of_worker(with_dataset(settings, "input_path", {"dataset": FOLDER + "{}"}), strategy)
    _check_recipe(settings)
    folder = open_folder(settings, "train-acol")
    dataset = load_sized(settings, IMAGE_SIDE)
    train, validation = split_validation(dataset)
    shape, num_classes = dataset.image_shape, dataset.num_classes
    with strategy.scope():
        features = features_with(settings.model, shape, settings.weights, settings.seed)
        check_maps(features)
        classifiers = build_classifiers(
            features.output_shape[1:],
            num_classes,
            settings.cls_recipe,
            settings.head,
            settings.seed,
        )
        method = AcolTraining(features, classifiers, settings)
        model = build_acol(features, classifiers, settings.delta_list)
    check_ending_for(model, settings.output)
    folder.check_inputs(inputs(dataset, *weight_files(settings.weights)))
    held_out = dataclasses.replace(dataset, train=validation, tests={"validation": validation})
    classifier = logits_alone(model)

    def after_epoch(epoch: int) -> None:
        accuracy = evaluate_accuracy(classifier, held_out, with_train=False).tests["validation"]
        best = method.best.offer(accuracy)
        logging.info("validation accuracy %.4f%s", accuracy, ", the best so far" if best else "")
        write_maps(model, validation, folder, epoch)

    def run() -> dict[str, keras.Model]:
        evaluate = on_evaluated_epochs(after_epoch, settings, len(train))
        train_phase(method, to_crop_from(train, shape), settings, folder, evaluate)
        return {settings.output: model}

    return training_job(
        run, folder, strategy, lambda: report_localizer(model, dataset, settings, folder)
    )


def _check_recipe(settings: AcolSettings) -> None:
    """Raise if the recipe cannot be followed.

    Raises:
        ValueError: another letter, none, or too few deltas.
    """
    recipe, deltas = settings.cls_recipe, settings.delta_list
    if not recipe or set(recipe) - {"p", "n"}:
        raise ValueError(f"--cls-recipe must be letters p and n, such as pn; received {recipe!r}")
    if len(deltas) < len(recipe) - 1:
        raise ValueError(
            f"--delta-list needs {len(recipe) - 1} numbers, one for each classifier of "
            f"{recipe!r} but the last; received {len(deltas)}"
        )
