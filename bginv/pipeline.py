"""`bginv run`: the three phases, the evaluation and the paper's table, in one folder."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping

import keras
import tensorflow as tf
from absl import logging

import bginv
from bginv.artefacts import write_text
from bginv.commands import HEURISTIC, load_photographs, masked_source
from bginv.config import to_json
from bginv.data.catalog import load_data, proof_name
from bginv.evaluation.accuracy import Accuracies, evaluate_accuracy
from bginv.interop.model_files import save_model
from bginv.models.classifier import build_classifier
from bginv.models.mask_unet import build_mask_unet
from bginv.phases import run_adversarial_phase, run_classifier_phase, run_mask_phase
from bginv.recipes import PhaseSettings, RunSettings
from bginv.report.pictures import write_learning_curves
from bginv.report.tables import json_results, markdown_table, published_rows
from bginv.run_folder import RunFolder
from bginv.training.adversarial import AdversarialTraining
from bginv.training.classifier import ClassifierTraining
from bginv.training.loop import total_steps
from bginv.training.masks import MaskTraining


class Pipeline:
    """Everything that a run needs, made and checked before it starts.

    Args:
        settings: of the run.
        phases: settings of "classifier", "masks" and "adversarial".

    Raises:
        ValueError: settings that do not go together, or with the data.
        FileNotFoundError: data that is not there.
    """

    def __init__(self, settings: RunSettings, phases: Mapping[str, PhaseSettings]):
        run_dir = settings.run_dir or f"runs/{settings.dataset}"
        self.settings = dataclasses.replace(settings, run_dir=run_dir)
        self.phases = phases
        self.folder = RunFolder(run_dir, settings.overwrite)
        self.dataset = load_data(proof_name(settings.dataset), settings.data_dir, settings.limit)
        shape, seed = self.dataset.image_shape, settings.seed
        self.photographs = load_photographs(phases["adversarial"], self.dataset)
        self.classifier = build_classifier(shape, self.dataset.num_classes, seed)
        self.unet = None if settings.masks == HEURISTIC else build_mask_unet(shape, seed)
        steps = total_steps(phases["adversarial"], len(self.dataset.train))
        self._phase1 = ClassifierTraining(self.classifier, phases["classifier"])
        self._phase2 = (
            None if self.unet is None else MaskTraining(self.unet, self.classifier, phases["masks"])
        )
        self._phase3 = AdversarialTraining(self.classifier, shape, phases["adversarial"], steps)
        self._seconds: dict[str, float] = {}

    def run(self) -> None:
        """Train, save, evaluate, and print the table."""
        folder, path, dataset, phases = self.folder, self.folder.path, self.dataset, self.phases
        folder.open(to_json(run=self.settings, **phases))
        with self._timed("classifier"):
            run_classifier_phase(self._phase1, dataset, phases["classifier"], folder)
        save_model(self.classifier, path / "classifier.keras")
        rows = {"Traditional": evaluate_accuracy(self.classifier, dataset)}
        if self._phase2:
            with self._timed("masks"):
                run_mask_phase(self._phase2, dataset, phases["masks"], folder, "masks")
            save_model(self.unet, path / "mask_unet.keras")
        with self._timed("adversarial"):
            source = masked_source(dataset, self.unet, phases["adversarial"], self.photographs)
            run_adversarial_phase(
                self._phase3, self.unet, source, dataset, phases["adversarial"], folder
            )
        save_model(self.classifier, path / "robust_classifier.keras")
        for adversary in self._phase3.adversaries:
            save_model(adversary.generator, path / f"{adversary.generator.name}.keras")
        rows["Proposal"] = evaluate_accuracy(self.classifier, dataset)
        self._write_results({**rows, **published_rows(dataset.name)})

    @contextlib.contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._seconds[phase] = round(time.monotonic() - start, 1)

    def _write_results(self, rows: Mapping[str, Accuracies]) -> None:
        path, table = self.folder.path, markdown_table(rows)
        versions = {
            "bginv": bginv.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }
        results = json_results(
            rows, dataset=self.dataset.name, training_seconds=self._seconds, versions=versions
        )
        write_text(path / "results.json", results)
        write_text(path / "results.md", table)
        write_learning_curves(
            self.folder.pictures / "learning_curves.png", self.folder.metrics_file
        )
        times = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self._seconds.items())
        logging.info("training took %.0f s: %s", sum(self._seconds.values()), times)
        logging.info("wrote models, results and pictures to %s", path)
        print(table, end="")
