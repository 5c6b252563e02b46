"""Adaptation of a segmentation network: source alone, statistics, features, one output, two.

Every row trains the same network, with both outputs, from the same random weights for as many steps
on the same batches of the source; the label maps of the target are looked at for the figures alone,
those of its held-out images. Figures are those of the averaged weights after the last step; nothing
is chosen by the target.
"""

import argparse
import pathlib
from functools import partial

from absl import logging
from measuring import KeptResults, seeds_table, timed

from bginv.data.domains import DomainPlace, load_domain
from bginv.data.labelled import WithTarget
from bginv.engine.loop import train
from bginv.engine.settings import resolve
from bginv.evaluation.segmentation import segmentation_evaluator
from bginv.methods.adaptation.experiment import write_label_maps
from bginv.methods.adaptation.settings import AdaptationSettings
from bginv.methods.adaptation.training import LEVELS, AdaptationTraining
from bginv.nn.deeplab import build_deeplab, build_segmenter

FREE = ("kinds", "seeds", "pictures", "json")


def main() -> None:
    """Train what is not in the file yet, and print a table of means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", nargs="?", default="shapes", help="a domain")
    parser.add_argument("target", nargs="?", default="shapes_dusk", help="a domain")
    parser.add_argument("--classes", help="of domain:PATH")
    parser.add_argument("--size", type=int, nargs=2, default=(64, 64), help="width and height")
    parser.add_argument("--held-out", type=float, default=1 / 3, help="share of the target")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batchsize", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2e-3, help="of SGD")
    parser.add_argument("--rate-discriminators", type=float, default=1e-4)
    parser.add_argument("--weight", type=float, default=0.001, help="of deceiving the last output")
    parser.add_argument("--weight-auxiliary", type=float, default=0.0002)
    parser.add_argument("--kinds", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pictures", type=pathlib.Path, help="folder, for the first seed")
    parser.add_argument("--json", type=pathlib.Path, default="domain_adaptation.json")
    options = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    results = KeptResults(options.json, options, FREE)
    source, target = (
        load_domain(DomainPlace(name, tuple(options.size[::-1]), share, classes=options.classes))
        for name, share in ((options.source, 0.1), (options.target, options.held_out))
    )
    for seed in options.seeds:
        for kind in options.kinds:
            results.complete(kind, seed, partial(measure, options, source, target, kind, seed))
    print(table(results.rows, target.classes.names))


def settings_of(options: argparse.Namespace, kind: str, seed: int) -> AdaptationSettings:
    """Of one kind of adaptation."""
    given = {
        "adaptation": kind,
        "seed": seed,
        "steps": options.steps,
        "batchsize": options.batchsize,
        "learning_rate": options.rate,
        "learning_rate_d": options.rate_discriminators,
        "lambda_adv_target1": options.weight_auxiliary,
        "lambda_adv_target2": options.weight,
    }
    return resolve(AdaptationSettings, given, "tuned")


def measure(options: argparse.Namespace, source, target, kind: str, seed: int) -> dict:
    """Train one kind of adaptation; its figures on held-out images."""
    settings = settings_of(options, kind, seed)
    # every row with the auxiliary head, so that nothing but the adaptation differs
    deeplab = build_deeplab(settings.model, len(source.classes), aspp=settings.aspp, seed=seed)
    method = AdaptationTraining(deeplab, settings, options.steps)
    seconds, _ = timed(train, method, WithTarget(source.train, target.train), settings)
    segmenter = build_segmenter(deeplab)
    evaluate = segmentation_evaluator(segmenter)
    last = evaluate(target.held_out)
    with method.average.in_place():
        found, at_home = evaluate(target.held_out), evaluate(source.held_out)
        if options.pictures and seed == options.seeds[0]:
            options.pictures.mkdir(parents=True, exist_ok=True)
            write_label_maps(segmenter, target, options.pictures, kind)
    return {
        "miou": found.mean_iou,
        "iou": [None if value != value else value for value in found.iou.tolist()],
        "pixels": found.accuracy,
        "miou_source": at_home.mean_iou,
        "miou_last_weights": last.mean_iou,
        "seconds": seconds,
    }


def table(results: dict, class_names) -> str:
    """Means and deviations over seeds, in %; of each class the mean."""
    flat = {
        kind: {
            seed: {**own, **dict(zip(class_names, own["iou"], strict=True))}
            for seed, own in by_seed.items()
        }
        for kind, by_seed in results.items()
    }
    names = ("miou", "miou_last_weights", "pixels", "miou_source")
    return seeds_table(flat, names, class_names)


if __name__ == "__main__":
    main()
