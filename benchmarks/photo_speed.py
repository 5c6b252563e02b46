"""Images per second on photographs: phases 1 and 3 beside the bare network, `fit` and PyTorch.

All train the same part of the same network, on the same photographs with the same augmentation, and
take turns in one process:

- `bare`: forwards and backwards on one batch that stays in memory; the limit
- `fit`: `model.fit` on `image_dataset_from_directory`
- `fit, cached`: the same with `cache()`
- `phase 1`: crops and flips of images
- `phase 3`: two thirds on other backgrounds
- `adversary`: phase 3 of the paper, a generator of backgrounds against the classifier
- `torch`: a plain loop with its DataLoader, on ResNet-50
- `predict`, `evaluate`: `model.predict` on the same files, and the accuracy of a test

The last line is JSON. Its ratios are of the first network at the largest size: `phase1_to_fit`,
`phase1_to_bare` and `evaluate_to_predict` of images a second, `phase3_to_phase1` and
`adversary_to_phase1` of seconds a step.
"""

import argparse
import contextvars
import functools
import json
import os
import pathlib
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from measuring import alternate, head, line, paired_ratio, run, summary
from photograph_tests import with_backgrounds

from bginv.data.catalog import load_data
from bginv.data.composites import WithEmptied
from bginv.data.decoded import kept_decoded
from bginv.data.sources import Source
from bginv.engine.method import Method
from bginv.engine.settings import resolve
from bginv.evaluation.accuracy import count_correct
from bginv.host import prepare_host
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining
from bginv.methods.background_invariance.settings import resolve_phases
from bginv.methods.photographs.settings import PhotographSettings
from bginv.methods.photographs.training import FineTuning, view
from bginv.nn.backbones import LITE0, build_architecture
from bginv.nn.fine_tuning import fine_tuned_part
from bginv.nn.precision import computing_in

NETWORKS, SIDES = (LITE0, "resnet50"), (128, 224)
SEED = (1, 2)
TRAINED = ("bare", "fit", "fit, cached", "phase 1", "phase 3", "adversary", "torch")
ASKED = ("predict", "evaluate")


def main() -> None:
    """Measure each network at each size, print tables, and the ratios as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    prepare_host()  # as commands do
    parser.add_argument("--shared", type=pathlib.Path, required=True, help="it holds seven/")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES)
    parser.add_argument("--batchsize", type=int, default=32)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contenders", nargs="+", choices=(*TRAINED, *ASKED))
    parser.add_argument("--pixel-cache", type=float, default=4.0, help="GB, as runs have it")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:  # in a process of its own
        for call in Contenders(options.networks[0], options.sides[0], options).calls.values():
            call()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    cases = []
    for network in options.networks:
        for side in options.sides:
            cases.append(measure(network, side, options))
            print(table(cases[-1]), flush=True)
    first = max(cases[: len(options.sides)], key=lambda case: case["side"])
    print(json.dumps({**first["ratios"], "peak_bytes": first["peak_bytes"], "cases": cases}))


def measure(network: str, side: int, options: argparse.Namespace) -> dict:
    """Speeds, peak memory and ratios of a network at a size."""
    contenders = Contenders(network, side, options)
    seconds = alternate(contenders.calls, options.rounds)
    peaks = {name: peak(network, side, name) for name in contenders.calls if options.memory}
    speeds = {name: [contenders.images / own for own in values] for name, values in seconds.items()}
    wanted = {
        "phase1_to_fit": ("phase 1", "fit"),
        "phase1_to_cached_fit": ("phase 1", "fit, cached"),
        "phase1_to_bare": ("phase 1", "bare"),
        "phase1_to_torch": ("phase 1", "torch"),
        "evaluate_to_predict": ("evaluate", "predict"),
        "phase3_to_phase1": ("phase 1", "phase 3"),  # seconds are the inverse of speeds
        "adversary_to_phase1": ("phase 1", "adversary"),
    }
    return {
        "network": network,
        "side": side,
        "batchsize": options.batchsize,
        "images_per_second": {name: summary(own) for name, own in speeds.items()},
        "peak_of": peaks,
        "peak_bytes": max(
            (own for name, own in peaks.items() if name.startswith("phase")), default=None
        ),
        "ratios": {
            name: paired_ratio(speeds[one], speeds[other])
            for name, (one, other) in wanted.items()
            if {one, other} <= speeds.keys()
        },
    }


def peak(network: str, side: int, name: str) -> int:
    """Bytes of a process in which a contender alone takes a turn."""
    words = [*sys.argv[1:], "--networks", network, "--sides", str(side), "--contenders", name]
    return int(run([sys.executable, __file__, *words, "--peak"]).text.split()[-1])


def table(case: dict) -> str:
    """A Markdown table of what was measured."""
    title = f"{case['network']} at {case['side']}, {case['batchsize']} images a batch"
    lines = [head(title, "images/s", "range", "peak GB")]
    for name, found in case["images_per_second"].items():
        low, high = found["range"]
        memory = f"{case['peak_of'][name] / 1e9:.2f}" if case["peak_of"] else "-"
        lines.append(line(name, f"{found['median']:.1f}", f"{low:.1f} to {high:.1f}", memory))
    ratios = ", ".join(f"{name} {value:.2f}" for name, value in case["ratios"].items())
    return "\n".join([*lines, "", ratios])


class Contenders:
    """What takes turns, for a network at a size.

    Attributes:
        calls: by name; each goes through the photographs once.
        images: of a call.

    Args:
        network: name of an architecture.
        side: of the images.
        options: of the command line.
        precision: of the trainings.
        xla: compile their steps by XLA.
    """

    def __init__(
        self,
        network: str,
        side: int,
        options: argparse.Namespace,
        precision: str = "auto",
        xla: bool = False,
    ):
        self._folder, self._side = options.shared / "seven", side
        self._batchsize, self._network = options.batchsize, network
        self._dataset = load_data(f"folder:{self._folder}", image_size=side)
        self._steps = options.images // options.batchsize
        self.images = self._steps * options.batchsize
        self._source = self._dataset.train.without_masks().first(self.images)
        self._xla = xla
        # for as long as this process runs, as a run has them
        kept_decoded(pathlib.Path(tempfile.mkdtemp()), options.pixel_cache).__enter__()
        given = {"dataset": "", "batchsize": options.batchsize, "epochs": 1, "precision": precision}
        self._settings = resolve(PhotographSettings, given, "photographs")
        makers = {
            "bare": self._bare,
            "fit": functools.partial(self._fit, cached=False),
            "fit, cached": functools.partial(self._fit, cached=True),
            "phase 1": lambda: self._phase(self._source, 0.0),
            "phase 3": lambda: self._phase(self._masked, self._settings.composites),
            "adversary": self._adversary,
            "torch": self._torch,
            "predict": self._predict,
            "evaluate": self._evaluate,
        }
        chosen = options.contenders or makers
        made = {name: makers[name]() for name in makers if name in chosen}
        self.calls: dict[str, Callable[[], object]] = {k: v for k, v in made.items() if v}

    @functools.cached_property
    def _masked(self) -> WithEmptied:
        return with_backgrounds(self._dataset, self._source, "saliency")

    def _classifier(self) -> keras.Model:
        shape, classes = self._dataset.image_shape, self._dataset.num_classes
        weights = "imagenet" if self._network == LITE0 else "none"
        return build_architecture(self._network, shape, classes, weights, 0)

    def _trained(self, make: Callable[[keras.Model], Method]) -> Method:
        """What trains a new classifier, of which a part learns for as long as this process runs."""
        classifier = self._classifier()
        fine_tuned_part(classifier, self._settings.frozen_share, True).__enter__()
        return make(classifier)

    def _training(self, method: Method, batches: Iterator[dict]) -> Callable[[], list[float]]:
        seed = tf.constant(SEED)

        @tf.function(autograph=False, jit_compile=self._xla)
        def train_step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
            return method.train_step(batch, seed)["loss"]

        @tf.function(autograph=False)
        def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
            with computing_in(method.precision, method.models):
                return train_step(method.augment_batch(batch, seed))

        def train() -> list[float]:
            """The losses."""
            return [float(own) for own in [step(next(batches)) for _ in range(self._steps)]]

        return train

    def _phase(self, source: Source, composites: float) -> Callable[[], list[float]]:
        method = self._trained(
            lambda model: FineTuning(model, self._settings, 1000, "speed", composites)
        )
        return self._training(method, iter(source.batches(self._batchsize, shuffle=True)))

    def _adversary(self) -> Callable[[], list[float]]:
        given = {"dataset": "", "batchsize": self._batchsize}
        settings = resolve_phases(given, "tuned")["adversarial"]
        shape = self._dataset.image_shape
        method = self._trained(lambda model: AdversarialTraining(model, shape, settings, 1000))
        return self._training(method, iter(self._masked.batches(self._batchsize, shuffle=True)))

    def _bare(self) -> Callable[[], None]:
        method = self._trained(lambda model: FineTuning(model, self._settings, 1000, "bare", 0.0))
        classifier = method.classifier
        batch = next(iter(self._source.batches(self._batchsize, shuffle=True)))

        @tf.function(autograph=False)
        def step() -> tf.Tensor:
            with computing_in(method.precision, method.models), tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                    batch["label"], classifier(batch["image"], training=True)
                )
            gradients = tape.gradient(losses, classifier.trainable_variables)
            return tf.add_n([tf.reduce_sum(own) for own in gradients])  # or none is computed

        return lambda: [step() for _ in range(self._steps)]

    def _files(self, batch_size: int | None) -> tf.data.Dataset:
        """The photographs as Keras reads them."""
        return keras.utils.image_dataset_from_directory(
            self._folder / "train",
            image_size=(self._side, self._side),
            batch_size=batch_size,
            shuffle=True,
            seed=0,
            verbose=False,
        )

    def _fit(self, cached: bool) -> Callable[[], object]:
        """With the augmentation of phase 1, as a preprocessing of the data set."""

        def augment(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            seed = tf.random.uniform([2], maxval=2**30, dtype=tf.int32)
            return view({"image": images / 255.0}, self._settings, 0.0, seed), labels

        records = self._files(None).take(self.images)
        records = records.cache() if cached else records
        batches = records.batch(self._batchsize, drop_remainder=True)
        batches = batches.map(augment, tf.data.AUTOTUNE).prefetch(2)
        model = self._classifier()
        fine_tuned_part(model, self._settings.frozen_share, True).__enter__()
        optimizer = keras.optimizers.AdamW(1e-4, weight_decay=1e-4)
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return lambda: model.fit(batches, verbose=0)

    def _predict(self) -> Callable[[], object]:
        model, batch = self._classifier(), min(self._source.pass_batch, self.images)
        batches = self._files(batch).map(lambda images, _: images / 255.0)
        batches = batches.take(self.images // batch).prefetch(2)
        return lambda: model.predict(batches, verbose=0)

    def _evaluate(self) -> Callable[[], object]:
        model, batch = self._classifier(), min(self._source.pass_batch, self.images)
        some = self._source.first(self.images // batch * batch)
        # as a command that evaluates alone: no pictures are kept
        return lambda: contextvars.Context().run(count_correct, model, [some])

    def _torch(self) -> Callable[[], None] | None:
        if self._network != "resnet50":
            return None
        try:
            from torch_steps import photograph_training
        except ImportError:
            return None
        files = [self._source.images.path(row) for row in range(self.images)]
        labels = np.asarray(self._source.labels)
        return photograph_training(files, labels, self._side, self._batchsize)


if __name__ == "__main__":
    main()
