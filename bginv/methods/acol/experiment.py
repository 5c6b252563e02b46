"""A run of adversarial complementary learning; the classifiers of the best epoch are kept."""

import dataclasses

import tensorflow as tf
from absl import logging

from bginv.data.entries import FOLDER
from bginv.engine.experiment import Experiment, Stage, inputs
from bginv.engine.results import on_evaluated_epochs
from bginv.errors import UserError
from bginv.evaluation.accuracy import evaluate_accuracy
from bginv.interop.model_files import check_ending_for
from bginv.methods.acol.model import build_acol, build_classifiers
from bginv.methods.acol.settings import AcolSettings
from bginv.methods.acol.training import AcolTraining
from bginv.methods.localization import (
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
from bginv.nn.features import logits_alone

IMAGE_SIDE = 197


class AcolExperiment(Experiment):
    """One stage: a chain of classifiers on the features of one network; see `Experiment`."""

    name = "train-acol"

    def __init__(self, settings: AcolSettings, strategy: tf.distribute.Strategy):
        _check_recipe(settings)
        settings = with_dataset(settings, "input_path", {"dataset": FOLDER + "{}"})
        super().__init__(settings, strategy)
        settings = self.settings
        self.dataset = load_sized(settings, IMAGE_SIDE)
        train, self._validation = split_validation(self.dataset)
        with strategy.scope():
            features = features_with(
                settings.model, self.dataset.image_shape, settings.weights, settings.seed
            )
            check_maps(features)
            classifiers = build_classifiers(
                features.output_shape[1:],
                self.dataset.num_classes,
                settings.cls_recipe,
                settings.head,
                settings.seed,
            )
            self._training = AcolTraining(features, classifiers, settings)
            self._model = build_acol(features, classifiers, settings.delta_list)
        self._classifier = logits_alone(self._model)
        check_ending_for(self._model, settings.output)
        self.folder.check_inputs(inputs(self.dataset, *weight_files(settings.weights)))
        cropped = to_crop_from(train, self.dataset.image_shape)
        choose = on_evaluated_epochs(self._choose, settings.evaluate_every, settings, len(train))
        self.stages = [Stage(self._training, cropped, settings, choose)]
        self.models = {settings.output: self._model}

    def report(self) -> None:
        """Accuracies, and how well the maps of the labels show the objects."""
        report_localizer(self._model, self.dataset, self.settings, self.folder)

    def _choose(self, epoch: int) -> None:
        """Keep the weights of an epoch, if they are the best so far; draw their maps."""
        tests = {"validation": self._validation}
        held_out = dataclasses.replace(self.dataset, train=self._validation, tests=tests)
        found = evaluate_accuracy(self._classifier, held_out, with_train=False)
        accuracy = found.tests["validation"]
        best = self._training.best.offer(accuracy)
        logging.info("validation accuracy %.4f%s", accuracy, ", the best so far" if best else "")
        write_maps(self._model, self._validation, self.folder, epoch)


def _check_recipe(settings: AcolSettings) -> None:
    """Raise if the recipe cannot be followed.

    Raises:
        UserError: another letter, none, or too few deltas.
    """
    recipe, deltas = settings.cls_recipe, settings.delta_list
    if not recipe or set(recipe) - {"p", "n"}:
        raise UserError(f"--cls-recipe must be letters p and n, such as pn; received {recipe!r}")
    if len(deltas) < len(recipe) - 1:
        raise UserError(
            f"--delta-list needs {len(recipe) - 1} numbers, one for each classifier of "
            f"{recipe!r} but the last; received {len(deltas)}"
        )
