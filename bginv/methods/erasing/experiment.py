"""A run of end-to-end adversarial erasing, and the evaluation of a model that is there."""

import dataclasses

import keras
import tensorflow as tf

from bginv.engine.experiment import Experiment, Stage, inputs
from bginv.engine.results import on_evaluated_epochs
from bginv.engine.run_folder import experiment_dir
from bginv.errors import UserError
from bginv.interop.model_files import check_ending_for, load_mask_model
from bginv.interop.torch_weights import load_state, read_state
from bginv.methods.erasing.model import build_localizer, build_network, has_linear_head
from bginv.methods.erasing.settings import ErasingSettings
from bginv.methods.erasing.training import ErasingTraining
from bginv.methods.localization import (
    HEAD_NAMES,
    check_maps,
    load_sized,
    report_localizer,
    to_crop_from,
    weight_files,
    with_dataset,
    write_maps,
)
from bginv.nn.backbones import IMAGENET, NO_WEIGHTS

IMAGE_SIDE, VOC = 448, "voc2012"
EPOCHS_BETWEEN_PICTURES = 3


def erasing_run(
    settings: ErasingSettings, strategy: tf.distribute.Strategy
) -> "ErasingExperiment | Evaluation":
    """What a command line asks for.

    Raises:
        UserError: see `Experiment`.
    """
    settings = with_dataset(settings, "dataset_root", {"dataset": VOC, "data_dir": "{}"})
    if settings.experiment_name and not settings.run_dir:
        settings = dataclasses.replace(settings, run_dir=experiment_dir(settings.experiment_name))
    _check(settings)
    return Evaluation(settings) if settings.evaluate else ErasingExperiment(settings, strategy)


class ErasingExperiment(Experiment):
    """One stage: a localizer and its adversary in turns; see `Experiment`."""

    name = "train-erasing"

    def __init__(self, settings: ErasingSettings, strategy: tf.distribute.Strategy):
        super().__init__(settings, strategy)
        settings = self.settings
        self.dataset = dataset = load_sized(settings, IMAGE_SIDE, several_labels=True)
        if dataset.multi_label and settings.xla == "on":
            raise UserError(
                f"--xla on needs one label an image, and {dataset.name} has several; leave it out"
            )
        weights = _weights(settings.localizer_from_scratch, settings.localizer_weights)
        others = _weights(settings.adversarial_from_scratch, settings.adversarial_weights)
        wanted = dataset.image_shape, dataset.num_classes
        with strategy.scope():
            localizer = _network(settings.localizer_model, *wanted, weights, settings.seed)
            check_maps(localizer.get_layer("features"))
            adversary = None
            if settings.adversarial_model:
                name, seed = settings.adversarial_model, settings.seed + 1
                adversary = _network(name, *wanted, others, seed)
            training = ErasingTraining(localizer, adversary, settings, dataset.multi_label)
            self._model = build_localizer(localizer, settings.attention_type)
        check_ending_for(self._model, settings.output)
        used = weight_files(weights, others if adversary else NO_WEIGHTS)
        self.folder.check_inputs(inputs(dataset, *used))
        source = to_crop_from(dataset.train, dataset.image_shape)
        draw = on_evaluated_epochs(self._draw, settings.evaluate_every, settings, len(source))
        self.stages = [Stage(training, source, settings, draw)]
        self.models = {settings.output: self._model}

    def report(self) -> None:
        """Accuracies, and how well the maps of the labels show the objects."""
        report_localizer(self._model, self.dataset, self.settings, self.folder)

    def _draw(self, epoch: int) -> None:
        if epoch % EPOCHS_BETWEEN_PICTURES == 0:
            shown = next(iter(self.dataset.tests.values()))
            write_maps(self._model, shown, self.folder, epoch)


class Evaluation:
    """What `--evaluate` does with the model that `--output` names.

    Args:
        settings: of the command.

    Raises:
        UserError: no model is named, or none that fits.
    """

    def __init__(self, settings: ErasingSettings):
        if settings.output is None:
            raise UserError("--evaluate needs --output with the model to evaluate")
        self._settings = settings
        self._dataset = load_sized(settings, IMAGE_SIDE, several_labels=True)
        self._model = load_mask_model(settings.output, self._dataset)

    def run(self) -> None:
        """Measure, and print the last line of the paper's code."""
        report_localizer(self._model, self._dataset, self._settings, None)


def _network(
    network: str, shape: tuple[int, int, int], num_classes: int, weights: str, seed: int
) -> keras.Model:
    """A network and its head with the weights asked for; the head starts at random."""
    own = weights if weights in (IMAGENET, NO_WEIGHTS) else NO_WEIGHTS
    model = build_network(network, shape, num_classes, own, seed)
    if own != weights:
        state = read_state(weights)
        load_state(model.get_layer("features"), state, weights, unused=HEAD_NAMES)
    return model


def _check(settings: ErasingSettings) -> None:
    """Raise if two options exclude each other.

    Raises:
        UserError: it names them.
    """
    if settings.share_weights and settings.adversarial_model:
        raise UserError(
            "--share-weights makes the localizer its own adversary; leave --adversarial-model out"
        )
    if settings.attention_type == "cam" and not has_linear_head(settings.localizer_model):
        raise UserError(
            f"--attention-type cam needs one dense layer behind averaged features, which "
            f"{settings.localizer_model} does not have; give gcam"
        )


def _weights(from_scratch: bool, weights: str) -> str:
    return NO_WEIGHTS if from_scratch else weights
