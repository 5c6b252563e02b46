"""What a run is, and what every run shares.

An `Experiment` is made first, which finds what is wrong with the settings and the data, and writes
nothing. Its `run` then trains the stages, saves the models and reports.
"""

import abc
import dataclasses
import pathlib
import shlex
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import keras
import tensorflow as tf
from absl import logging

from bginv.checksums import content_number
from bginv.data.catalog import load_data
from bginv.data.decoded import kept_decoded
from bginv.data.photographs import Photographs
from bginv.data.sources import Dataset, Source
from bginv.engine.callbacks import Watch
from bginv.engine.common_settings import (
    CommonSettings,
    DataSettings,
    NewClassifierSettings,
    PhaseSettings,
)
from bginv.engine.distribution import (
    check_replicas,
    check_same_command,
    is_chief,
    send_from_chief,
)
from bginv.engine.loop import total_steps, train
from bginv.engine.method import Method
from bginv.engine.results import Results, evaluate_and_log, log_accuracies, write_page
from bginv.engine.run_folder import RESULTS, RunFolder
from bginv.errors import UserError
from bginv.interop.model_files import (
    check_model_name,
    save_model,
)
from bginv.nn.backbones import build_architecture
from bginv.output_files import check_writable, refuse_existing
from bginv.report.metrics import check_tensorboard
from bginv.report.pictures import write_learning_curves
from bginv.report.run_page import REPORT
from bginv.terminal import planned

KEPT = ("robust_classifier.keras", "classifier.keras")
"""Files of a run's classifier, the last first."""

Models = Mapping[str | pathlib.Path | None, keras.Model]


class Stage:
    """One training of a run.

    A stage that needs what those before it have left overrides `begin`; one that leaves more than
    its weights, `end`.

    Attributes:
        method: what is trained, and its step.
        source: training images; `begin` may put others in their place.
        settings: length, batches and checkpoints of the training.
        after_epoch: is called with the number of each epoch, from 1; None calls nothing.
        watch: is told of every epoch too, and may end the training; None tells nobody.
    """

    watch: Watch | None = None

    def __init__(
        self,
        method: Method,
        source: Source,
        settings: PhaseSettings,
        after_epoch: Callable[[int], None] | None = None,
    ):
        self.method, self.source, self.settings = method, source, settings
        self.after_epoch = after_epoch

    def begin(self) -> None:  # noqa: B027 - most stages have nothing to do
        """What comes before the first step, or the first of a run that goes on."""

    def end(self) -> None:  # noqa: B027
        """What comes after the last step."""

    def run(self, folder: RunFolder) -> None:
        """Train, or go on; checkpoints and metrics are in the run's folder."""
        self.begin()
        after_epoch = self._looking if self.after_epoch else None
        if after_epoch and not is_chief(self.method.strategy):
            after_epoch = _do_nothing  # but return to Python at the same steps as the chief
        checkpoints = folder.checkpoints(self.method.name)
        self.method.precision = folder.kept_precision(self.method.name, self.method.precision)
        if self.watch:
            self.watch = dataclasses.replace(self.watch, metrics_file=folder.metrics_file)
        train(
            self.method,
            self.source,
            self.settings,
            folder.metrics_file,
            after_epoch,
            checkpoints,
            self.watch,
        )
        self.end()

    def _looking(self, epoch: int) -> None:
        """After an epoch, look at the weights that are judged and kept."""
        with self.method.evaluated_weights():
            self.after_epoch(epoch)


def _do_nothing(epoch: int) -> None:
    del epoch


class Experiment(abc.ABC):
    """What a run is: settings, data, stages, the models that it leaves, and a report.

    Making one loads the data and builds the models; it writes nothing.

    Args:
        settings: of the run.
        strategy: the devices.
        folder: of the run; None opens the one that the settings name.

    Raises:
        UserError: settings that do not go together, or with the data.
        FileNotFoundError: data or weights that are not there.

    Attributes:
        name: of the settings in the run's folder.
        settings: as this process follows them: workers other than the chief write nothing.
        strategy: the devices, in whose scope models are built.
        folder: of the run.
        stages: in their order.
        models: what is saved in the end, by file; a model whose file is None is not saved.
        in_one_folder: all that the run leaves is in its folder, where `results.md` tells that it
            is finished; else a model that is written does.
    """

    name: ClassVar[str]
    in_one_folder: ClassVar[bool] = False
    stages: Sequence[Stage]
    models: Models

    def __init__(
        self,
        settings: CommonSettings,
        strategy: tf.distribute.Strategy,
        folder: RunFolder | None = None,
    ):
        self.strategy = strategy
        self.settings = of_worker(settings, strategy)
        self.folder = folder or open_folder(self.settings, self.name)

    @abc.abstractmethod
    def report(self) -> None:
        """Measure and draw; the paper's scripts print the last line of its code."""

    def run(self) -> None:
        """Train the stages, or go on with them; save the models, and report.

        Raises:
            see `bginv.engine.loop.train`.
        """
        check_same_command(self.strategy, self.folder.number())
        with self.folder.opened():
            if isinstance(self.settings, PhaseSettings):  # another process may have ended since
                check_output(self.settings, self.folder)
            finished = self.in_one_folder and self.folder.has_results()
            if send_from_chief(self.strategy, finished, []):
                logging.info("%s is finished: nothing is done again", self.folder.path)
                if self.folder.path and not (self.folder.path / REPORT).exists():
                    write_page(self.folder.path)
                self.folder.finished()
                return
            with kept_decoded(self.folder.path, self.settings.pixel_cache):
                with planned(self.expected()):
                    self.train()
                if is_chief(self.strategy):
                    self._write()
                    self.report()
            if is_chief(self.strategy):
                if self.folder.path:
                    write_page(self.folder.path)
                if self.in_one_folder or any(self.models):
                    self.folder.finished()

    def expected(self) -> dict[str, float]:
        """How long each part of `train` takes, beside the others; see `RunPlan`."""
        return {
            stage.method.name: total_steps(stage.settings, len(stage.source))
            * stage.settings.batchsize
            * stage.method.cost
            for stage in self.stages
        }

    def train(self) -> None:
        """Run the stages."""
        for stage in self.stages:
            stage.run(self.folder)

    def _write(self) -> None:
        """Save models that have a place, draw the curves, and tell what was written."""
        folder = self.folder
        folder.mark_trained()
        for path, model in self.models.items():
            if path:
                save_model(model, pathlib.Path(path))
                logging.info("wrote %s", path)
        if folder.path and not (self.in_one_folder or any(self.models)):
            logging.warning("no model is written; the same command with --output FILE.keras does")
        if folder.pictures:
            write_learning_curves(folder.pictures / "learning_curves.png", folder.metrics_file)
            logging.info("wrote configuration, metrics and pictures to %s", folder.path)


def of_worker(settings: CommonSettings, strategy: tf.distribute.Strategy) -> CommonSettings:
    """The settings, if the replicas can follow them; all workers but the chief write nothing.

    Raises:
        UserError: a batch that cannot be shared, XLA on several devices, or no TensorBoard.
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
        UserError: see `RunFolder` and `check_output`.
    """
    if settings.tensorboard and not settings.run_dir:
        raise UserError("--tensorboard writes into the run's folder; name one with --run-dir")
    folder = RunFolder(settings.run_dir, settings.output, settings.overwrite, {phase: settings})
    check_output(settings, folder)
    return folder


def load(settings: DataSettings, several_labels: bool = False) -> Dataset:
    """The data set that the settings name.

    Args:
        settings: of the command.
        several_labels: whether the command can do with several classes an image.

    Raises:
        UserError: see `load_data`; or the command cannot.
    """
    dataset = load_data(
        settings.dataset,
        settings.data_dir,
        settings.limit,
        settings.image_size,
        settings.skip_bad_files,
        settings.groups,
    )
    if dataset.multi_label and not several_labels:
        raise UserError(
            f"{dataset.name} has several classes an image, which train_att.py --fusion paper, "
            "train_erasing.py and evaluations alone can do with"
        )
    return dataset


def refuse_groups(settings: DataSettings) -> None:
    """Raise where places are named and the command tells nothing of groups.

    Raises:
        UserError: they are.
    """
    if settings.groups is not None:
        raise UserError(
            f"--groups {settings.groups} has no effect here, as nothing of groups is told: leave "
            "it out"
        )


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
        UserError: another ending, a file that exists, or a folder that cannot be written.
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
        results.write()
    else:
        accuracies = evaluate_and_log(classifier, dataset)
    print(f"{paper_command_line()},{accuracies.line()}")


def print_table(folder: RunFolder, settings: DataSettings) -> None:
    """Print the results of a run that has a folder, and tell what to do with them next."""
    if folder.path:
        print((folder.path / RESULTS).read_text(encoding="utf-8"), end="", flush=True)
        logging.info("to look at it, open %s", folder.path / REPORT)
        kept = [folder.path / name for name in KEPT if (folder.path / name).is_file()]
        if kept:  # whoever runs it again may have removed them
            logging.info("to ship it: %s", shlex.join(_export_command(kept[0], settings)))


def _export_command(model: pathlib.Path, settings: DataSettings) -> list[str]:
    """What writes a classifier of a run in other formats."""
    command = ["bginv", "export", str(model), "--dataset", settings.dataset]
    for option, value in (
        ("--data-dir", settings.data_dir),
        ("--image-size", settings.image_size),
        ("--output", model.with_name("exported")),
    ):
        command += [option, str(value)] if value else []
    return command


def paper_command_line() -> str:
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
        dataset: its training images, and the tests that results are about.
        models: files; None is left out.
        photographs: backgrounds.
        masks: the data set's own masks are used.
    """
    numbers = {model: content_number(pathlib.Path(model)) for model in models if model}
    if photographs:
        numbers["background photographs"] = photographs.digest()
    if masks:
        numbers["masks"] = dataset.train.masks_digest()
    tests = [(name, own.digest()) for name, own in dataset.tests.items()]
    looked_at = zlib.crc32(repr(tests).encode())
    return {"training images": dataset.train.digest(), "tests": looked_at, **numbers}
