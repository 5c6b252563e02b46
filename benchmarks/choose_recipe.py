"""Compare settings of the three phases on validation backgrounds, never on the test patterns.

Each row is "tuned", or what differs from that recipe, by the names of the options of `bginv run`.
The last sixth of the training images is held out for validation. Phases that rows share run once.
"""

import argparse
import dataclasses
import functools
import json
import pathlib

import keras
from measuring import timed
from validation_backgrounds import validation_tests

from bginv.data.catalog import load_data
from bginv.data.sources import ArraySource, Dataset
from bginv.engine.loop import total_steps, train
from bginv.engine.settings import option_name
from bginv.evaluation.accuracy import Accuracies, evaluate_accuracy
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.mask_training import MaskTraining, with_generated_masks
from bginv.methods.background_invariance.settings import (
    ClassifierSettings,
    MaskSettings,
    add_run_flags,
    resolve_phases,
)
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from bginv.report.tables import accuracy_table, json_results

HELD_OUT = 6
MOST_VALIDATED = 5000
TUNED = "tuned"


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="such as digits")
    parser.add_argument("rows", nargs="+", help='such as "mask_growth=0 adversarial_steps=1000"')
    parser.add_argument("--masks", choices=("learned", "heuristic"), default="learned")
    parser.add_argument("--data-dir")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path, help="file to write")
    arguments = parser.parse_args()
    search = Search(arguments)
    found, seconds = {}, {}
    for row in arguments.rows:
        found[row], seconds[row] = search.run(row)
        print(accuracy_table(found), flush=True)
        print(json.dumps(seconds), flush=True)
        if arguments.json:
            text = json_results(found, dataset=arguments.dataset, seconds=seconds)
            arguments.json.write_text(text, encoding="utf-8")


class Search:
    """Rows that share data, and phases where they can.

    Args:
        arguments: of the command line.
    """

    def __init__(self, arguments: argparse.Namespace):
        self._given = {"dataset": arguments.dataset, "seed": arguments.seed}
        self._heuristic = arguments.masks == "heuristic"
        self.dataset = _validation_dataset(arguments)
        self._classifier = functools.cache(self._train_classifier)
        self._masked = functools.cache(self._train_masks)

    def run(self, row: str) -> tuple[Accuracies, dict[str, float]]:
        """Validation accuracies, and the seconds that each phase took or had taken."""
        settings = resolve_phases({**_options(row), **self._given}, TUNED)
        phase1, phase2, phase3 = settings.values()
        started, seconds1 = self._classifier(phase1)
        source, seconds2 = self._masked(phase1, phase2, phase3.binarize, phase3.area)
        classifier = keras.models.clone_model(started)
        classifier.set_weights(started.get_weights())
        steps = total_steps(phase3, len(source))
        method = AdversarialTraining(classifier, self.dataset.image_shape, phase3, steps)
        seconds3, _ = timed(train, method, source, phase3)
        taken = {"classifier": seconds1, "masks": seconds2, "adversarial": seconds3}
        seconds = {phase: round(own, 1) for phase, own in taken.items()}
        return evaluate_accuracy(classifier, self.dataset, with_train=False), seconds

    def _train_classifier(self, settings: ClassifierSettings) -> tuple[keras.Model, float]:
        data = self.dataset
        classifier = build_classifier(data.image_shape, data.num_classes, settings.seed)
        method = ClassifierTraining(classifier, settings)
        return classifier, timed(train, method, data.train, settings)[0]

    def _train_masks(
        self, phase1: ClassifierSettings, settings: MaskSettings, binarize: str, area: float
    ) -> tuple[ArraySource, float]:
        data, unet, seconds = self.dataset, None, 0.0
        if not self._heuristic:
            unet = build_mask_unet(data.image_shape, settings.seed)
            method = MaskTraining(unet, self._classifier(phase1)[0], settings)
            seconds, _ = timed(train, method, data.train, settings)
        return with_generated_masks(data.train, unet, binarize, area), seconds


def _options(row: str) -> dict:
    """What a row gives, read as the command line reads it."""
    words = []
    for part in "" if row == TUNED else row.split():
        name, _, value = part.partition("=")
        option = option_name(name)
        words += {"on": [option], "off": [f"--no-{option[2:]}"]}.get(value, [option, value])
    parser = argparse.ArgumentParser(prog="a row")
    add_run_flags(parser, TUNED)
    return vars(parser.parse_args(["", *words]))


def _validation_dataset(arguments: argparse.Namespace) -> Dataset:
    dataset = load_data(arguments.dataset, arguments.data_dir)
    kept = len(dataset.train) - len(dataset.train) // HELD_OUT
    stop = kept + MOST_VALIDATED
    held_out = ArraySource(dataset.train.images[kept:stop], dataset.train.labels[kept:stop])
    tests = validation_tests(held_out, arguments.seed)
    return dataclasses.replace(dataset, train=dataset.train.first(kept), tests=tests)


if __name__ == "__main__":
    main()
