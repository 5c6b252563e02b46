"""`bginv run`: the three phases, the evaluation and the paper's table, in one folder."""

import dataclasses
from collections.abc import Mapping

import keras
import tensorflow as tf
from absl import logging

import bginv
from bginv.artefacts import write_text
from bginv.commands.jobs import inputs, load, of_worker
from bginv.commands.phases import run_adversarial_phase, run_classifier_phase, run_mask_phase
from bginv.commands.three_phases import (
    GIVEN,
    check_masks,
    check_mixing,
    load_photographs,
    masked_source,
    new_classifier,
)
from bginv.data.catalog import proof_name
from bginv.evaluation.accuracy import Accuracies, evaluate_accuracy
from bginv.interop.model_files import save_model
from bginv.models.mask_unet import build_mask_unet
from bginv.recipes import PhaseSettings, RunSettings
from bginv.report.pictures import write_learning_curves
from bginv.report.tables import json_results, markdown_table, published_rows
from bginv.run_folder import RunFolder, default_run_dir
from bginv.training.adversarial import AdversarialTraining
from bginv.training.classifier import ClassifierTraining
from bginv.training.distribution import check_same_command, send_from_chief
from bginv.training.loop import total_steps
from bginv.training.masks import MaskTraining
from bginv.training.progress import training_seconds


class Pipeline:
    """Everything that a run needs, made and checked before it starts.

    Phases that are done are not done again: their checkpoints are kept until the run is finished.

    Args:
        settings: of the run.
        phases: settings of "classifier", "masks" and "adversarial".
        strategy: the devices.

    Raises:
        ValueError: settings that do not go together, or with the data.
        FileNotFoundError: data that is not there.
    """

    def __init__(
        self,
        settings: RunSettings,
        phases: Mapping[str, PhaseSettings],
        strategy: tf.distribute.Strategy,
    ):
        run_dir = settings.run_dir or default_run_dir(settings.dataset)
        self._strategy = strategy
        self.settings = of_worker(dataclasses.replace(settings, run_dir=run_dir), strategy)
        self.phases = {name: of_worker(phase, strategy) for name, phase in phases.items()}
        self.folder = RunFolder(
            self.settings.run_dir, None, settings.overwrite, {"run": settings, **phases}
        )
        self.dataset = load(dataclasses.replace(settings, dataset=proof_name(settings.dataset)))
        self.photographs = load_photographs(phases["adversarial"], self.dataset)
        check_masks(settings.masks, self.dataset)
        check_mixing(phases["classifier"], self.dataset)
        given = settings.masks == GIVEN or phases["classifier"].background_mixing > 0
        self.folder.check_inputs(inputs(self.dataset, photographs=self.photographs, masks=given))
        shape, seed = self.dataset.image_shape, settings.seed
        steps = total_steps(phases["adversarial"], len(self.dataset.train))
        with strategy.scope():
            self.classifier = new_classifier(phases["classifier"], self.dataset)
            self._phase1 = ClassifierTraining(
                self.classifier,
                self.phases["classifier"],
                total_steps(phases["classifier"], len(self.dataset.train)),
            )
            self.unet, self._phase2 = None, None
            if settings.masks == "learned":
                self.unet = build_mask_unet(shape, seed)
                self._phase2 = MaskTraining(self.unet, self.classifier, self.phases["masks"])
            self._phase3 = AdversarialTraining(
                self.classifier, shape, self.phases["adversarial"], steps
            )

    def run(self) -> None:
        """Train, save, evaluate, and print the table."""
        check_same_command(self._strategy, self.folder.number())
        with self.folder.opened():
            results = self.folder.path and self.folder.path / "results.md"
            finished = bool(self.folder.goes_on and results.exists())
            if send_from_chief(self._strategy, finished, []):
                logging.info("%s is finished: nothing is done again", self.settings.run_dir)
                self.folder.finished()
            else:
                self._train()
            if results:
                print(results.read_text(encoding="utf-8"), end="")

    def _train(self) -> None:
        dataset, phases, folder, rows = self.dataset, self.phases, self.folder, {}
        run_classifier_phase(self._phase1, dataset, phases["classifier"], folder)
        if folder.path:
            save_model(self.classifier, folder.path / "classifier.keras")
            rows["Traditional"] = evaluate_accuracy(self.classifier, dataset)
        if self._phase2:
            run_mask_phase(self._phase2, dataset, phases["masks"], folder, "masks")
            if folder.path:
                save_model(self.unet, folder.path / "mask_unet.keras")
        source = masked_source(
            dataset,
            self.settings.masks,
            self.unet,
            phases["adversarial"],
            self.photographs,
            folder,
        )
        run_adversarial_phase(
            self._phase3,
            self.unet,
            source,
            dataset,
            phases["adversarial"],
            folder,
            self.settings.masks == GIVEN,
        )
        if folder.path:
            save_model(self.classifier, folder.path / "robust_classifier.keras")
            for adversary in self._phase3.adversaries:
                name = adversary.generator.name
                save_model(adversary.generator, folder.path / f"{name}.keras")
            rows["Proposal"] = evaluate_accuracy(self.classifier, dataset)
            self._write_results({**rows, **published_rows(dataset.name)})
            folder.finished()

    def _write_results(self, rows: Mapping[str, Accuracies]) -> None:
        path, table = self.folder.path, markdown_table(rows)
        versions = {
            "bginv": bginv.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }
        seconds = training_seconds(self.folder.metrics_file)
        results = json_results(
            rows, dataset=self.dataset.name, training_seconds=seconds, versions=versions
        )
        write_text(path / "results.json", results)
        write_learning_curves(
            self.folder.pictures / "learning_curves.png", self.folder.metrics_file
        )
        write_text(path / "results.md", table)  # the last one: with it the run is finished
        times = ", ".join(f"{name} {taken:.0f} s" for name, taken in seconds.items())
        logging.info("training took %.0f s: %s", sum(seconds.values()), times)
        logging.info("wrote models, results and pictures to %s", path)
