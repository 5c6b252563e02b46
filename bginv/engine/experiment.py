"""What a run is, and what every run shares.

An `Experiment` is made first, which finds what is wrong with the settings and the data, and writes
nothing. Its `run` then trains the stages, saves the models and reports.
"""

import abc
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import keras
import tensorflow as tf
from absl import logging

from bginv.artefacts import check_writable, content_number, refuse_existing
from bginv.data.catalog import load_data
from bginv.data.photographs import Photographs
from bginv.data.sources import Dataset, Source
from bginv.interop.model_files import (
    check_model_name,
    save_model,
)
from bginv.models.backbones import build_architecture
from bginv.recipes import (
    CommonSettings,
    DataSettings,
    NewClassifierSettings,
    PhaseSettings,
)
from bginv.report.pictures import write_learning_curves
from bginv.report.tensorboard import check_tensorboard
from bginv.run_folder import RunFolder
from bginv.runs.phases import evaluate_and_log, log_accuracies, train_phase
from bginv.runs.results import Results, write_page
from bginv.training.distribution import check_replicas, check_same_command, is_chief
from bginv.training.method import Method

Job = Callable[[], None]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training of a run.

    Attributes:
        method: what is trained, and its step.
        source: training images.
        settings: length, batches and checkpoints of the training.
        after_epoch: is called with the number of each epoch, from 1; None calls nothing.
    """

    method: Method
    source: Source
    settings: PhaseSettings
    after_epoch: Callable[[int], None] | None = None


class Experiment(abc.ABC):
    """What a run is: settings, data, stages, the models that it leaves, and a report.

    Making one loads the data and builds the models; it writes nothing.

    Args:
        settings: of the run.
        strategy: the devices.

    Raises:
        ValueError: settings that do not go together, or with the data.
        FileNotFoundError: data or weights that are not there.

    Attributes:
        name: of the settings in the run's folder.
        settings: as this process follows them: workers other than the chief write nothing.
        strategy: the devices, in whose scope models are built.
        folder: of the run.
        stages: in their order.
        models: what is saved in the end, by file; a model whose file is None is not saved.
    """

    name: ClassVar[str]
    stages: Sequence[Stage]
    models: Mapping[str | pathlib.Path | None, keras.Model]

    def __init__(self, settings: PhaseSettings, strategy: tf.distribute.Strategy):
        self.strategy = strategy
        self.settings = of_worker(settings, strategy)
        self.folder = open_folder(self.settings, self.name)

    @abc.abstractmethod
    def report(self) -> None:
        """Measure, draw, and print the last line of the paper's code."""

    def run(self) -> None:
        """Train the stages, or go on with them; save the models, and report.

        Raises:
            see `bginv.training.loop.train`.
        """
        training_job(self._train, self.folder, self.strategy, self.report)()

    def _train(self) -> Mapping[str | pathlib.Path | None, keras.Model]:
        for stage in self.stages:
            train_phase(stage.method, stage.source, stage.settings, self.folder, stage.after_epoch)
        return self.models


def of_worker(settings: CommonSettings, strategy: tf.distribute.Strategy) -> CommonSettings:
    """The settings, if the replicas can follow them; all workers but the chief write nothing.

    Raises:
        ValueError: a batch that cannot be shared, XLA on several devices, or no TensorBoard.
    """
    if settings.tensorboard:
        check_tensorboard()
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
    if settings.tensorboard and not settings.run_dir:
        raise ValueError("--tensorboard writes into the run's folder; name one with --run-dir")
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
            f"{dataset.name} has several classes an image, which train_att.py --fusion paper, "
            "train_erasing.py and evaluations alone can do with"
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


def check_output(settings: PhaseSettings, folder: RunFolder) -> None:
    """Raise if no model can be written to `--output`.

    Raises:
        ValueError: another ending, a file that exists, or a folder that cannot be written.
    """
    if settings.output is not None:
        path = check_model_name(settings.output)
        refuse_existing([path], folder.may_replace)
        check_writable(path)


def print_accuracies(classifier: keras.Model, dataset: Dataset, folder: RunFolder | None) -> None:
    """The last line of the paper's training commands: the command line, then accuracies.

    They are results of the run too, if it has a folder.
    """
    if folder and folder.path:
        results = Results(dataset, folder)
        accuracies = results.add_row(classifier.name, classifier)
        log_accuracies(accuracies)
        results.write(page=False)  # the job writes it at its end
    else:
        accuracies = evaluate_and_log(classifier, dataset)
    print(f"{command_line()},{accuracies.line()}")


def command_line() -> str:
    """The arguments of the process, as the paper's code joins them."""
    return "-".join(sys.argv)


def inputs(
    dataset: Dataset,
    *models: str | None,
    photographs: Photographs | None = None,
    masks: bool = False,
) -> dict[str, int]:
    """What a training starts from, as `RunFolder.check_inputs` takes it.

    Args:
        dataset: its training images.
        models: files; None is left out.
        photographs: backgrounds.
        masks: the data set's own masks are used.
    """
    numbers = {model: content_number(pathlib.Path(model)) for model in models if model}
    if photographs:
        numbers["background photographs"] = photographs.digest()
    if masks:
        numbers["masks"] = dataset.train.masks_digest()
    return {"training images": dataset.train.digest(), **numbers}


def training_job(
    train: Callable[[], Mapping[str | pathlib.Path | None, keras.Model]],
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
                if folder.path:
                    write_page(folder.path)
                if any(models):
                    folder.finished()

    return job


def _write(models: Mapping[str | pathlib.Path | None, keras.Model], folder: RunFolder) -> None:
    """Save models that have a place, draw the curves, and tell what was written."""
    folder.mark_trained()
    for path, model in models.items():
        if path:
            save_model(model, pathlib.Path(path))
            logging.info("wrote %s", path)
    if folder.path and not any(models):
        logging.warning("no model is written; the same command with --output FILE.keras does")
    if folder.pictures:
        write_learning_curves(folder.pictures / "learning_curves.png", folder.metrics_file)
        logging.info("wrote configuration, metrics and pictures to %s", folder.path)
