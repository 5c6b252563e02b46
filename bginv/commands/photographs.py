"""`bginv run` on photographs: a pretrained network, masks, other backgrounds, in one folder."""

import dataclasses
import time

import tensorflow as tf
from absl import logging

from bginv.engine.experiment import inputs, load, make_classifier, of_worker
from bginv.masks.choice import GIVEN, choose
from bginv.methods.photographs.experiment import PhotographRun
from bginv.methods.photographs.settings import IMAGE_SIZE, PhotographSettings
from bginv.models.backbones import AUTO, LITE0
from bginv.report.pictures import write_learning_curves
from bginv.run_folder import RunFolder, default_run_dir
from bginv.training.distribution import check_same_command


class PhotographPipeline:
    """Everything that a run on photographs needs, made and checked before it starts.

    Args:
        settings: see there.
        strategy: the devices.

    Raises:
        ValueError: settings that do not go together, or with the data.
        FileNotFoundError: data or a network that is not there.
    """

    def __init__(self, settings: PhotographSettings, strategy: tf.distribute.Strategy):
        own = dataclasses.replace(
            settings,
            run_dir=settings.run_dir or default_run_dir(settings.dataset),
            image_size=settings.image_size or IMAGE_SIZE,
            architecture=LITE0 if settings.architecture == AUTO else settings.architecture,
        )
        self._strategy, self.settings = strategy, of_worker(own, strategy)
        self.folder = RunFolder(own.run_dir, None, own.overwrite, {"photographs": settings})
        dataset = load(self.settings)
        choice = choose(own.masks, dataset)
        self.folder.check_inputs(inputs(dataset, masks=choice.name == GIVEN))
        with strategy.scope():
            classifier = make_classifier(own, dataset)
        self._run = PhotographRun(dataset, classifier, choice, self.settings, self.folder)

    def run(self) -> None:
        """Train, save, evaluate, and print the decision and the table."""
        check_same_command(self._strategy, self.folder.number())
        with self.folder.opened():
            results = self.folder.path / "results.md"
            if self.folder.goes_on and results.exists():
                logging.info("%s is finished: nothing is done again", self.settings.run_dir)
                self.folder.finished()
            else:
                self._train()
            print(results.read_text(encoding="utf-8"), end="")

    def _train(self) -> None:
        began = time.monotonic()
        outcome = self._run.run()
        write_learning_curves(
            self.folder.pictures / "learning_curves.png", self.folder.metrics_file
        )
        outcome.results.write()
        self.folder.finished()
        logging.info("all of it took %.0f s", time.monotonic() - began)
        logging.info("wrote models, results, pictures and report.html to %s", self.folder.path)
