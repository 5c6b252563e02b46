"""`bginv run`: the three phases, the evaluation and the paper's table, in one folder."""

import dataclasses
from collections.abc import Mapping

import tensorflow as tf
from absl import logging

from bginv.commands.three_phases import check_masks, load_photographs
from bginv.data.catalog import proof_name
from bginv.engine.experiment import inputs, load, make_classifier, of_worker
from bginv.recipes import RunSettings, ThreePhasesSettings
from bginv.report.pictures import write_learning_curves
from bginv.run_folder import RunFolder, default_run_dir
from bginv.runs.results import Results
from bginv.runs.three_phases import GIVEN, HEURISTIC, LEARNED, Start, ThreePhases
from bginv.training.distribution import check_same_command, send_from_chief
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
        phases: Mapping[str, ThreePhasesSettings],
        strategy: tf.distribute.Strategy,
    ):
        if settings.masks not in (LEARNED, HEURISTIC, GIVEN):
            raise ValueError(
                f"--masks must be {LEARNED}, {HEURISTIC} or {GIVEN} for --recipe "
                f"{settings.recipe}, other sources are for photographs; received {settings.masks!r}"
            )
        run_dir = settings.run_dir or default_run_dir(settings.dataset)
        self._strategy = strategy
        self.settings = of_worker(dataclasses.replace(settings, run_dir=run_dir), strategy)
        own_phases = {name: of_worker(phase, strategy) for name, phase in phases.items()}
        self.folder = RunFolder(
            self.settings.run_dir, None, settings.overwrite, {"run": settings, **phases}
        )
        dataset = load(dataclasses.replace(settings, dataset=proof_name(settings.dataset)))
        photographs = load_photographs(phases["adversarial"], dataset)
        check_masks(settings.masks, dataset)
        with strategy.scope():
            classifier = make_classifier(phases["classifier"], dataset)
            start = Start(dataset, classifier, settings.masks, photographs=photographs)
            self._three = ThreePhases(start, own_phases, self.folder)
        early = [phase.mistakes_of for phase in phases.values()]
        masks = self._three.uses_given_masks
        self.folder.check_inputs(inputs(dataset, *early, photographs=photographs, masks=masks))
        self._results = Results(dataset, self.folder)

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
        self._three.run(self._results)
        folder = self.folder
        if not folder.path:
            return
        write_learning_curves(folder.pictures / "learning_curves.png", folder.metrics_file)
        self._results.write()
        folder.finished()
        seconds = training_seconds(folder.metrics_file)
        times = ", ".join(f"{name} {taken:.0f} s" for name, taken in seconds.items())
        logging.info("training took %.0f s: %s", sum(seconds.values()), times)
        logging.info("wrote models, results, pictures and report.html to %s", folder.path)
