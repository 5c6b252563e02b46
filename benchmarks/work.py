"""Each phase's rate beside the machine's: products that its layers ask for, and matrix products.

Steps of the tuned recipe on random images, in float32 and in bfloat16. Products are counted as the
layers stand, so an upsampling that is fused with its convolution does fewer than it gets credit for
("done" says how many). With --sides or --tiles, how the time of a step grows.
"""

import argparse
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from measuring import head, line, timed

from bginv.data.sources import ArraySource
from bginv.engine.method import Method
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.mask_training import MaskTraining
from bginv.methods.background_invariance.settings import resolve_phases
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from bginv.nn.precision import computing_in

PHASES = ("classifier", "masks", "adversarial")
FUSED = 16 / 36
REPEATS, CALLS = 4, 10
MATRIX = 2048


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batchsize", type=int, default=64)
    parser.add_argument("--sides", type=int, nargs="*", default=[], help="of images, to compare")
    parser.add_argument("--tiles", type=int, nargs="*", default=[], help="counts to compare")
    options = parser.parse_args()
    for precision in options.precisions:
        if not (options.sides or options.tiles):
            print(rates(precision, options.batchsize), flush=True)
        for side in options.sides:
            steps = [Step(phase, precision, options.batchsize, side) for phase in PHASES]
            times = ", ".join(f"{own.phase} {1e3 * own.seconds():.1f}" for own in steps)
            print(f"{precision}, images of {side}x{side}, ms a step: {times}", flush=True)
        for tiles in options.tiles:
            step = Step("adversarial", precision, options.batchsize, tiles=(tiles,))
            print(f"{precision}, {tiles}x{tiles} tiles: {1e3 * step.seconds():.1f} ms", flush=True)


def rates(precision: str, batchsize: int) -> str:
    """A table of the phases in one precision."""
    peak = matrix_product_rate(precision)
    lines = [f"{precision}: products of {MATRIX}x{MATRIX} matrices at {peak / 1e9:.0f} GFLOP/s"]
    lines.append(head("", "ms a step", "GFLOP asked for", "done", "share of the rate, done"))
    for phase in PHASES:
        step = Step(phase, precision, batchsize)
        seconds, (asked, done) = step.seconds(), step.products()
        share = f"{100 * done / seconds / peak:.0f} %"
        cells = (f"{1e3 * seconds:.1f}", f"{asked / 1e9:.1f}", f"{done / 1e9:.1f}", share)
        lines.append(line(phase, *cells))
    return "\n".join(lines)


class Step:
    """A step of a phase, augmentation included, on random grey images.

    Args:
        phase: its name.
        precision: of its layers.
        batchsize: B.
        side: of the images.
        tiles: of phase 3; None means the recipe's.
    """

    def __init__(
        self,
        phase: str,
        precision: str,
        batchsize: int,
        side: int = 32,
        tiles: tuple[int, ...] | None = None,
    ):
        given = {"dataset": "", "batchsize": batchsize, "precision": precision}
        given |= {"tiles": tiles} if tiles else {}
        self.phase, self.settings = phase, resolve_phases(given, "tuned")[phase]
        self.classifier = build_classifier((side, side, 1), 10, 0)
        self.method = method_of(phase, self.classifier, self.settings)
        rng = np.random.default_rng(0)
        images, masks = rng.integers(0, 256, (2, batchsize, side, side, 1)).astype(np.uint8)
        source = ArraySource(images, rng.integers(0, 10, batchsize), masks)
        self._batch = next(iter(source.batches(batchsize, shuffle=True)))

    def seconds(self) -> float:
        """Of the fastest of some repeats."""
        seed = tf.constant([1, 2])

        @tf.function(autograph=False)
        def step():
            with computing_in(self.method.precision, self.method.models):
                batch = self.method.augment_batch(self._batch, seed)
                return self.method.train_step(batch, seed)

        return fastest(step)

    def products(self) -> tuple[float, float]:
        """Floating-point operations of all convolutions and dense layers: asked for, and done.

        A layer's gradients cost twice its outputs; a frozen layer's once.
        """
        batch, method = self.settings.batchsize, self.method
        classifier = np.array(_operations(self.classifier)) * batch
        if self.phase == "classifier":
            total = 3 * classifier
        elif self.phase == "masks":
            total = 2 * classifier + 3 * batch * np.array(_operations(method.unet))
        else:
            total = 3 * classifier
            shares = method.draw_backgrounds(self._num_injected(), tf.constant([1, 2]))
            for adversary, drawn in zip(method.adversaries, shares, strict=True):
                tiles = -(-len(drawn) // self.settings.tile_uses) * adversary.tiles**2
                total = total + 3 * tiles * np.array(_operations(adversary.generator))
        return float(total[0]), float(total[1])

    def _num_injected(self) -> int:
        return self.settings.batchsize - round(
            self.settings.batchsize * self.settings.clean_fraction
        )


def method_of(phase: str, classifier: keras.Model, settings, steps: int = 1000) -> Method:
    """What trains in a phase."""
    shape = classifier.input_shape[1:]
    if phase == "classifier":
        return ClassifierTraining(classifier, settings)
    if phase == "masks":
        return MaskTraining(build_mask_unet(shape, 0), classifier, settings)
    return AdversarialTraining(classifier, shape, settings, steps)


def _operations(model: keras.Model) -> tuple[float, float]:
    """Of one image, forwards: as the layers stand, and with upsamplings fused."""
    asked = done = 0.0
    behind_upsampling = False
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            places = np.prod(layer.output.shape[1:-1])
            own = 2.0 * np.prod(layer.kernel.shape) * places
            asked += own
            done += own * (FUSED if behind_upsampling else 1)
        behind_upsampling = isinstance(layer, keras.layers.UpSampling2D)
    return asked, done


@functools.cache
def matrix_product_rate(precision: str) -> float:
    """Floating-point operations a second of a large matrix product."""
    left, right = (tf.cast(tf.random.normal([MATRIX, MATRIX]), precision) for _ in range(2))
    return 2 * MATRIX**3 / fastest(lambda: tf.matmul(left, right))


def fastest(call: Callable[[], object]) -> float:
    """Seconds of a call, the fastest of some repeats of some calls."""
    call()

    def calls() -> None:
        for _ in range(CALLS):
            call()

    return min(timed(calls)[0] for _ in range(REPEATS)) / CALLS


if __name__ == "__main__":
    main()
