"""Where objects are, learned from image labels: EADER, ACoL and the masks of phase 2 side by side.

The published codes start from ImageNet's weights. Here every network starts from those of one
classifier, trained at random weights on the same images and labels; then each method trains for as
many steps. EADER with alpha = 0 is the localizer without an adversary, ACoL with p a classifier
with its CAM. A soft mask is the map of the image's label; its threshold is the one that is best on
a tenth of the training images, which no method trains on (or --threshold, where these have no
masks), and the figures are those of a test. With --early-steps, the images that a classifier of so
many steps gets wrong are drawn more often by every method (Liu et al. 2021).
"""

import argparse
import functools
import pathlib
from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from measuring import KeptResults, seeds_table

from bginv.data.catalog import load_data
from bginv.data.sources import Dataset, Source
from bginv.data.wrapped import StratifiedSource
from bginv.engine.loop import train
from bginv.engine.settings import resolve
from bginv.evaluation.accuracy import count_correct, predict
from bginv.evaluation.segmentation import (
    Agreement,
    ClassCounts,
    agreement,
    count_agreement,
    count_classes,
    mask_predictor,
)
from bginv.methods.acol.model import build_acol, build_classifiers
from bginv.methods.acol.settings import AcolSettings
from bginv.methods.acol.training import AcolTraining
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.mask_training import MaskTraining
from bginv.methods.background_invariance.settings import PHASES
from bginv.methods.erasing.model import build_localizer, build_network
from bginv.methods.erasing.settings import ErasingSettings
from bginv.methods.erasing.training import ErasingTraining
from bginv.methods.localization import split_validation
from bginv.nn.features import logits_alone
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from bginv.nn.torchvision_networks import RESNETS, ResNet

THRESHOLDS = np.arange(0.05, 1.0, 0.05)
SHALLOW, LOCAL, THIN = "resnet_shallow", "resnet_local", "resnet18deeplab_thin"
RESNETS[SHALLOW] = ResNet((2, 1, 0, 0), bottleneck=False, dilated=(True, True, True), channels=32)
RESNETS[LOCAL] = ResNet((1, 0, 0, 0), bottleneck=False, dilated=(True, True, True), channels=32)
RESNETS[THIN] = ResNet((2, 2, 2, 2), bottleneck=False, dilated=(False, True, True), channels=16)
DELTAS = (0.6, 0.9)
START_RATE, ACOL_RATE = 0.002, 0.01
TURN = 20
"""Steps of either player in EADER."""
FIGURES = ("miou", "class_recall", "iou", "precision", "recall", "accuracy")
FREE = ("alphas", "betas", "rows", "seeds", "json")


def main() -> None:
    """Train what is not in the file yet, and print a table of means over seeds."""
    options = parsed()
    logging.set_verbosity(logging.WARNING)
    results = KeptResults(options.json, options, FREE)
    data = load_data(options.dataset, image_size=options.image_size)
    training, held_out = split_validation(data)
    splits = [_with_object(source, options.only) for source in (held_out, data.tests[options.test])]
    for seed in options.seeds:
        contenders = Contenders(options, data, training.without_masks(), seed)
        for name, build in contenders.rows().items():
            if options.rows and name not in options.rows:
                continue
            figures = partial(measure, build, *splits, data.num_classes, options.threshold)
            results.complete(name, seed, figures)
    print(seeds_table(results.rows, FIGURES))


def parsed() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", nargs="?", default="shapes")
    parser.add_argument("--test", default="clean")
    parser.add_argument("--threshold", type=float, default=0.5, help="where none can be chosen")
    parser.add_argument("--only", type=int, help="class number; masks of it alone are compared")
    parser.add_argument("--image-size", type=int, default=64)
    added = ", ".join((SHALLOW, LOCAL, THIN))
    parser.add_argument("--network", default=SHALLOW, help=f"of NETWORKS, or {added}")
    parser.add_argument("--head-filters", type=int, default=0, help="of ACoL's 3x3 convolutions")
    parser.add_argument("--early-steps", type=int, default=0, help="of what makes mistakes")
    parser.add_argument("--mistakes-share", type=float, default=1.0, help="of the images drawn")
    parser.add_argument("--start-steps", type=int, default=600, help="of the classifier")
    parser.add_argument("--steps", type=int, default=200, help="of each method after it")
    parser.add_argument("--mask-steps", type=int, default=300, help="of phase 2")
    parser.add_argument("--batchsize", type=int, default=32)
    parser.add_argument("--smallest-crop", type=float, default=0.7)
    parser.add_argument("--rate", type=float, default=5e-4, help="of Adam, after the start")
    parser.add_argument("--alphas", type=float, nargs="+", default=[0.0, 0.2])
    parser.add_argument("--betas", type=float, nargs="+", default=[1e-5, 1.0])
    parser.add_argument("--attention", choices=("cam", "gcam"), default="cam", help="of EADER")
    parser.add_argument("--rows", nargs="+", help="names of those to make (default: all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=pathlib.Path, default="weak_localization.json")
    return parser.parse_args()


class Contenders:
    """Every training of one seed, each of which gives the model to ship.

    Args:
        options: of the command line.
        data: images, labels, and masks that the figures alone look at.
        source: what is trained on.
        seed: of everything.
    """

    def __init__(self, options: argparse.Namespace, data: Dataset, source: Source, seed: int):
        self.options, self.data, self.source, self.seed = options, data, source, seed

    def rows(self) -> dict[str, Callable[[], keras.Model]]:
        """What trains each row."""
        options = self.options
        return {
            **{
                f"EADER, alpha {alpha:g}, beta {beta:g}": partial(self.eader, alpha, beta)
                for beta in options.betas
                for alpha in options.alphas
            },
            "ACoL p": partial(self.acol, "p", DELTAS[0]),
            **{
                f"ACoL {recipe}, delta {delta}": partial(self.acol, recipe, delta)
                for recipe in ("pp", "pn")
                for delta in DELTAS
            },
            "U-Net (phases 1 and 2)": self.mask_generator,
        }

    def eader(self, alpha: float, beta: float) -> keras.Model:
        """A localizer, against an adversary unless alpha is 0."""
        # the adversary's turns come on top
        steps = self.options.steps * (2 if alpha else 1)
        settings = self._eader_settings(steps, self.options.rate, alpha=alpha, beta=beta)
        localizer, adversary = self._begun(), self._begun() if alpha else None
        train(ErasingTraining(localizer, adversary, settings), self.training, settings)
        return build_localizer(localizer, self.options.attention)

    def acol(self, recipe: str, delta: float) -> keras.Model:
        """A chain of classifiers on the features of one network."""
        given = {"cls_recipe": recipe, "delta_list": (delta,), "steps": self.options.steps}
        given = {**self._weak(), **given, "learning_rate": ACOL_RATE}
        settings = resolve(AcolSettings, given, "paper")
        features = self._begun().get_layer("features")
        filters = self.options.head_filters
        classifiers = build_classifiers(
            features.output_shape[1:],
            self.data.num_classes,
            recipe,
            "conv" if filters else "linear",
            self.seed,
            filters,
        )
        train(AcolTraining(features, classifiers, settings), self.training, settings)
        return build_acol(features, classifiers, (delta,))

    def mask_generator(self) -> keras.Model:
        """Phases 1 and 2, as in the tuned recipe but for the paper's augmentation."""
        options, shape = self.options, self.data.image_shape
        common = {**self._common(), "rotation": 15.0, "shift": 0.15, "precision": "float32"}
        given = {**common, "steps": options.start_steps + options.steps}
        settings = resolve(PHASES["classifier"], given, "tuned")
        classifier = build_classifier(shape, self.data.num_classes, self.seed)
        method = ClassifierTraining(classifier, settings)
        train(method, self.training, settings)
        given = {**common, "steps": options.mask_steps, "model": ""}
        settings = resolve(PHASES["masks"], given, "tuned")
        generator = build_mask_unet(shape, self.seed)
        train(MaskTraining(generator, classifier, settings), self.training, settings)
        return generator

    @functools.cached_property
    def training(self) -> Source:
        """The images, drawn alike or by the mistakes of an early classifier."""
        if not self.options.early_steps:
            return self.source
        early = build_localizer(self._classifier(self.source, self.options.early_steps), "cam")
        (found,) = predict(logits_alone(early), [self.source])
        wrong = found.predicted != found.labels
        print(f"mistakes: {wrong.sum()} of {len(wrong)}", flush=True)
        share = self.options.mistakes_share
        return StratifiedSource(self.source, np.where(wrong, 0, 1), (share, 1 - share))

    @functools.cached_property
    def _start(self) -> list[np.ndarray]:
        """Weights of the classifier that every network begins with."""
        return self._classifier(self.training, self.options.start_steps).get_weights()

    def _classifier(self, source: Source, steps: int) -> keras.Model:
        settings = self._eader_settings(steps, START_RATE)
        network = self._network()
        train(ErasingTraining(network, None, settings), source, settings)
        return network

    def _begun(self) -> keras.Model:
        network = self._network()
        network.set_weights(self._start)
        return network

    def _network(self) -> keras.Model:
        shape, num_classes = self.data.image_shape, self.data.num_classes
        return build_network(self.options.network, shape, num_classes, seed=self.seed)

    def _eader_settings(self, steps: int, rate: float, **given) -> ErasingSettings:
        adam = {"optimizer": "adam", "adversarial_optimizer": "adam"}
        rates = {"learning_rate": rate, "adversarial_learning_rate": rate}
        turns = {"train_steps_localizer": TURN, "train_steps_adversarial": TURN}
        own = {**adam, **rates, **turns, "attention_type": self.options.attention, "steps": steps}
        return resolve(ErasingSettings, {**self._weak(), **own, **given}, "paper")

    def _weak(self) -> dict:
        crop = {"smallest_crop": self.options.smallest_crop, "evaluate_every": 0}
        return {**self._common(), **crop}

    def _common(self) -> dict:
        own = {"dataset": self.options.dataset, "batchsize": self.options.batchsize}
        return {**own, "seed": self.seed, "flip": True}


def measure(
    build: Callable[[], keras.Model],
    held_out: Source,
    test: Source,
    num_classes: int,
    threshold: float,
) -> dict:
    """Train; threshold by the held-out images; figures of the test."""
    model = build()
    predict = mask_predictor(model)
    best = int(np.argmin(abs(THRESHOLDS - threshold)))
    if held_out.has_masks:
        of_held_out, _ = at_thresholds(predict, held_out, num_classes)
        best = int(np.argmax([found.iou for found in of_held_out]))
    agreements, counts = at_thresholds(predict, test, num_classes)
    found, own = agreements[best], counts[best]
    figures = {
        "threshold": float(THRESHOLDS[best]),
        "iou": found.iou,
        "precision": found.precision,
        "recall": found.recall,
        "miou": float(own.iou.mean()),
        "class_recall": float(own.recall[1:].mean()),
        "iou_by_threshold": [each.iou for each in agreements],
    }
    if isinstance(model.output, dict):
        (correct,) = count_correct(logits_alone(model), [test.without_masks()])
        figures["accuracy"] = correct / len(test)
    return figures


def at_thresholds(predict, source: Source, num_classes: int):
    """Agreement with the true masks, and counts of classes, at each threshold."""
    pixels: list[list[np.ndarray]] = [[] for _ in THRESHOLDS]
    classes: list[ClassCounts | None] = [None] * len(THRESHOLDS)
    for batch in source.batches(source.pass_batch):
        soft, true = predict(batch), tf.round(batch["mask"])
        numbers = (batch["label"].numpy() + 1)[:, None, None, None]
        for place, threshold in enumerate(THRESHOLDS):
            hard = tf.cast(soft >= threshold, tf.float32)
            pixels[place].append(count_agreement(hard, true).numpy())
            own = count_classes(
                numbers * true.numpy().astype(int), numbers * hard.numpy().astype(int), num_classes
            )
            classes[place] = own if classes[place] is None else classes[place] + own
    found: list[Agreement] = [agreement(np.concatenate(parts)) for parts in pixels]
    return found, classes


def _with_object(source: Source, label: int | None) -> Source:
    """The images of one class, or all."""
    return source if label is None else source.take(source.rows_of_class(label))


if __name__ == "__main__":
    main()
