"""Compare values of one setting of phase 3 on validation backgrounds, never on the test patterns.

    python benchmarks/choose_recipe.py digits mask_growth 0 3 --photographs FOLDER

The last fifth of the training images is held out for validation; phases 1 and 2 run once.
"""

import argparse
import ast
import dataclasses
import json
import pathlib

import keras
from validation_backgrounds import validation_tests

from bginv.config import resolve
from bginv.data.catalog import load_data
from bginv.data.sources import ArraySource, Dataset
from bginv.evaluation.accuracy import Accuracies, evaluate_accuracy
from bginv.models.classifier import build_classifier
from bginv.models.mask_unet import build_mask_unet
from bginv.recipes import PHASES
from bginv.report.tables import accuracy_table, json_results
from bginv.training.adversarial import AdversarialTraining
from bginv.training.classifier import ClassifierTraining
from bginv.training.loop import train
from bginv.training.masks import MaskTraining, with_generated_masks

HELD_OUT = 5


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="such as digits")
    parser.add_argument("setting", help="of phase 3, such as mask_growth")
    parser.add_argument("values", nargs="+", type=ast.literal_eval, help="such as 0 3")
    parser.add_argument(
        "--steps", nargs=3, type=int, default=(600, 300, 1000), help="of each phase"
    )
    parser.add_argument("--data-dir")
    parser.add_argument("--photographs", type=pathlib.Path, help="folder of .jpg files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path, help="file to write")
    arguments = parser.parse_args()
    rows = compare(arguments)
    print(accuracy_table(rows))
    if arguments.json:
        arguments.json.write_text(json_results(rows, setting=arguments.setting), encoding="utf-8")


def compare(arguments: argparse.Namespace) -> dict[str, Accuracies]:
    """Validation accuracies of the traditional classifier and of each value."""
    dataset = _validation_dataset(arguments)
    given = {"dataset": arguments.dataset, "seed": arguments.seed, "model": "", "unet_model": ""}
    settings = {
        phase: resolve(kind, {**given, "steps": steps}, "tuned")
        for (phase, kind), steps in zip(PHASES.items(), arguments.steps, strict=True)
    }
    shape = dataset.image_shape
    classifier = build_classifier(shape, dataset.num_classes, arguments.seed)
    train(
        ClassifierTraining(classifier, settings["classifier"], settings["classifier"].steps),
        dataset.train,
        settings["classifier"],
    )
    rows = {"traditional": evaluate_accuracy(classifier, dataset, with_train=False)}
    unet = build_mask_unet(shape, arguments.seed)
    train(MaskTraining(unet, classifier, settings["masks"]), dataset.train, settings["masks"])
    for value in arguments.values:
        changed = {arguments.setting: value, "steps": arguments.steps[2]}
        varied = resolve(PHASES["adversarial"], {**given, **changed}, "tuned")
        masked = with_generated_masks(dataset.train, unet, varied.binarize, varied.area)
        player = keras.models.clone_model(classifier)
        player.set_weights(classifier.get_weights())
        train(AdversarialTraining(player, shape, varied, varied.steps), masked, varied)
        name = f"{arguments.setting} = {json.dumps(value)}"
        rows[name] = evaluate_accuracy(player, dataset, with_train=False)
    return rows


def _validation_dataset(arguments: argparse.Namespace) -> Dataset:
    dataset = load_data(arguments.dataset, arguments.data_dir)
    kept = len(dataset.train) - len(dataset.train) // HELD_OUT
    held_out = ArraySource(dataset.train.images[kept:], dataset.train.labels[kept:])
    tests = validation_tests(held_out, arguments.seed, arguments.photographs)
    return dataclasses.replace(dataset, train=dataset.train.first(kept), tests=tests)


if __name__ == "__main__":
    main()
