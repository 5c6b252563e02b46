"""The two phases on photographs: a new last layer, then the whole network; then all again."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.sources import Source
from bginv.engine.callbacks import SILENT, EndAfter, Watch
from bginv.engine.distribution import strategy_of
from bginv.engine.experiment import Stage
from bginv.engine.loop import seen_batch, steps_per_epoch, total_steps
from bginv.engine.run_folder import RunFolder
from bginv.host import part_of_run
from bginv.methods.photographs.judging import Judge, Judged
from bginv.methods.photographs.settings import PhotographSettings
from bginv.methods.photographs.training import FineTuning, view
from bginv.nn.features import weights_digest
from bginv.nn.fine_tuning import (
    fine_tuned_part,
    split_head,
    stored_features,
    train_head,
)
from bginv.nn.inference import Compiled
from bginv.prefetch import mapped
from bginv.report.pictures import write_strip

HEAD_BATCH = 16
PACES = (1.0, 8.0)
"""Of a new last layer, the likely best first: photographs are soon learned by heart, and textures
that nearly tell the class take long to be unlearned."""
SHARES = (0.5, 1.0, 0.0)
"""Of the way from the weights before fine-tuning to those after it, the likely best first: weights
in between mostly do better than both (Wortsman et al. 2022)."""

SHOWN_BATCHES, SHOWN_IMAGES = 4, 8
ALL = 1.0


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a phase trains on.

    Attributes:
        name: "classifier" or "adversarial", as in the three phases.
        source: images; with masks and backgrounds where there are composites.
        rows: of the images that it trains on, int [N]; one may come several times.
        held: and of those that it is judged by, if they are of the same source, int [M].
        composites: share of a batch that gets another background.
        copies: of each image, for the new last layer, beside the image itself; None: there is no
            new last layer.
        epochs: on the whole network.
        watch: is told of the epochs on the whole network, and may end them; None tells nobody.
    """

    name: str
    source: Source
    rows: np.ndarray
    held: np.ndarray
    composites: float
    copies: int | None
    epochs: int
    watch: Watch | None = None

    def everything(self) -> Source:
        """Images to train on in the end, those that it is judged by among them."""
        rows = np.concatenate([self.rows, self.held])
        whole = len(rows) == len(self.source) == len(np.unique(rows))
        return self.source if whole else self.source.take(rows)


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What of a phase is kept.

    Attributes:
        pace: of the new last layer, see `train_head`; None where that of before is kept.
        share: how far the weights go on the way of fine-tuning.
        weights: of the classifier then.
        epochs: that a callback let fine-tuning take; None: all.
    """

    pace: float | None
    share: float
    weights: list[np.ndarray]
    epochs: int | None = None


def run_phase(
    phase: Phase,
    classifier: keras.Model,
    settings: PhotographSettings,
    folder: RunFolder,
    judge: Judge | None,
    before: Judged | None = None,
) -> Chosen:
    """Train a new last layer where the network allows it, then the whole; leave what does best.

    Args:
        phase: see there.
        classifier: images to logits, trained in place.
        settings: see there.
        folder: of the run.
        judge: of validation images; None keeps the last weights.
        before: what the classifier was judged, where it is one already; nothing is kept whose
            clean accuracy is below its `lowest_clean`.
    """
    split = split_head(classifier)
    floor = before.lowest_clean(settings.max_clean_loss) if before else 0.0
    start = classifier.get_weights()
    pace = None
    if split and split[1].trainable and phase.copies is not None:
        examples = _examples(phase, split[0], settings, folder)
        pace = _fit_head(classifier, split[1], examples, settings.seed, judge, before, floor)
        found = judge.judge(classifier) if judge else None
        logging.info("%s: a new last layer%s", phase.name, f": {found}" if found else "")
        if found and before and (found.clean < floor or found.score < before.score):
            classifier.set_weights(start)
            pace = None
    share, epochs = 0.0, None
    if phase.epochs and not (settings.freeze and split):
        images = phase.source.take(phase.rows)
        watch = _watch(phase.watch, judge, classifier)
        own = (phase.name, images, phase, classifier, settings, folder)
        method, *ends, epochs = _fine_tune(*own, watch)
        if folder.path and phase.composites:
            _write_batches(method, images, folder)
        share = _choose_share(classifier, *ends, judge, before, floor) if judge else SHARES[0]
        classifier.set_weights(_between(*ends, share))
        logging.info("%s: %g of the way of fine-tuning is kept", phase.name, share)
    return Chosen(pace, share, classifier.get_weights(), epochs)


def _watch(watch: Watch | None, judge: Judge | None, classifier: keras.Model) -> Watch | None:
    """What is told of epochs, with figures of the judge among those that it has."""
    if watch is None or judge is None:
        return watch

    def figures() -> dict[str, float]:
        more = watch.figures() if watch.figures else {}
        return {**judge.judge(classifier).figures(), **more}

    return dataclasses.replace(watch, figures=figures)


def repeat_phase(
    phase: Phase,
    classifier: keras.Model,
    settings: PhotographSettings,
    folder: RunFolder,
    chosen: Chosen,
) -> None:
    """Train as `run_phase` did, on the images that it was judged by too; nothing is chosen again.

    What it leaves is the mean of the weights that both trainings reached, which can be taken as
    they began in one place (Wortsman et al. 2022).

    Args:
        phase: what `run_phase` got.
        classifier: as it was before that, or trained on those images as well; trained in place.
        settings: what it got.
        folder: what it got.
        chosen: what it returned.
    """
    if chosen.pace:
        network, head = split_head(classifier)
        examples = _examples(phase, network, settings, folder, everything=True)
        train_head(head, *examples, settings.seed, chosen.pace)
    if chosen.share:
        own = (f"{phase.name}_on_all", phase.everything(), phase, classifier, settings, folder)
        watch = chosen.epochs and Watch(classifier, [EndAfter(chosen.epochs)], verbose=SILENT)
        _, *ends, _ = _fine_tune(*own, watch or None)
        classifier.set_weights(_between(*ends, chosen.share))
    classifier.set_weights(_between(chosen.weights, classifier.get_weights(), 0.5))


def _fit_head(
    classifier: keras.Model,
    head: keras.layers.Dense,
    examples: tuple[list[np.ndarray], list[np.ndarray]],
    seed: int,
    judge: Judge | None,
    before: Judged | None,
    floor: float,
) -> float:
    """Train a new last layer at each of `PACES`, and leave the one that does best; its pace."""
    found, weights = {}, {}
    for pace in PACES if judge else PACES[:1]:
        train_head(head, *examples, seed, pace)
        weights[pace] = head.get_weights()
        if judge:
            found[pace] = judge.judge(classifier)
            logging.debug("a new last layer at pace %g: %s", pace, found[pace])
    fit = {pace: own for pace, own in found.items() if own.clean >= floor}
    pace = _first_of_the_best(fit or found, before) if judge else PACES[0]
    head.set_weights(weights[pace])
    return pace


@part_of_run
def _examples(
    phase: Phase,
    network: keras.Model,
    settings: PhotographSettings,
    folder: RunFolder,
    everything: bool = False,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What a new last layer learns: features of the images and of augmented copies, and labels.

    Args:
        phase: see there.
        network: images to features [B, D].
        settings: see there.
        folder: keeps the features.
        everything: whether it is trained on the images that it is judged by too.
    """
    features, labels = [], []
    digest = weights_digest(network)
    composites = ALL if phase.composites else 0.0
    whole = dataclasses.replace(settings, smallest_crop=1.0)  # crops cost the layer accuracy
    draw = _drawing(whole, composites)
    for copy in range((phase.copies or 0) + 1):
        parts = [phase.rows, phase.held]
        if copy:  # other neighbours, whose backgrounds objects get
            parts = list(map(np.random.default_rng([settings.seed, copy]).permutation, parts))
        what = f"{phase.name}_{copy}" if copy else "images"
        path = folder.features / f"{what}_{digest}.npy"
        seed = tf.random.fold_in(tf.constant([settings.seed, 2]), copy)
        change = functools.partial(_changed, draw, seed) if copy else _unchanged
        batches = functools.partial(_batches, phase.source, parts, change)
        order = np.concatenate(parts)
        taken = slice(None if everything else len(phase.rows))
        features.append(stored_features(path, network, batches, len(order))[taken])
        labels.append(phase.source.labels[order[taken]])
    return features, labels


@functools.lru_cache(maxsize=4)
def _drawing(settings: PhotographSettings, composites: float) -> Compiled:
    """`view` of batches and seeds, compiled once for all that draw so."""
    return tf.function(lambda batch, seed: view(batch, settings, composites, seed), autograph=False)


def _batches(
    source: Source,
    parts: list[np.ndarray],
    change: Callable[[dict[str, tf.Tensor], int], tf.Tensor],
) -> Iterator[tf.Tensor]:
    """Batches of images float32 [b, H, W, C] of rows in an order, none of two parts, changed."""
    first, second = (
        tf.data.Dataset.from_tensor_slices(rows.astype(np.int64)).batch(HEAD_BATCH)
        for rows in parts
    )
    records = mapped(first.concatenate(second), source.gather, source.parallel_batches)
    for number, batch in enumerate(records):
        yield change(batch, number)


def _unchanged(batch: dict[str, tf.Tensor], number: int) -> tf.Tensor:
    del number
    return batch["image"]


def _changed(
    draw: Compiled, seed: tf.Tensor, batch: dict[str, tf.Tensor], number: int
) -> tf.Tensor:
    own = tf.random.fold_in(seed, number)
    # which, unlike a call, warns of no retracing for the one smaller batch of each part
    return draw.get_concrete_function(batch, own)(batch, own)


def _fine_tune(
    name: str,
    images: Source,
    phase: Phase,
    classifier: keras.Model,
    settings: PhotographSettings,
    folder: RunFolder,
    watch: Watch | None,
) -> tuple[FineTuning, list[np.ndarray], list[np.ndarray], int | None]:
    """Train what is to be trained of a classifier; its weights before that, and after.

    The last is the number of epochs, where a callback has ended it early.
    """
    own = dataclasses.replace(settings, epochs=phase.epochs)
    frozen = ALL if settings.freeze else settings.frozen_share
    before = classifier.get_weights()
    with fine_tuned_part(classifier, frozen, settings.batch_norm == "fixed"):
        steps = total_steps(own, len(images))
        with strategy_of(classifier).scope():
            method = FineTuning(classifier, own, steps, name, phase.composites)
        stage = Stage(method, images, own)
        stage.watch = watch
        stage.run(folder)
    skipped = method.loss_scale.skipped if method.loss_scale else 0
    taken = int(tf.convert_to_tensor(method.optimizer.iterations.value)) + int(skipped)
    ended = taken // steps_per_epoch(len(images), own.batchsize) if taken < steps else None
    return method, before, classifier.get_weights(), ended if watch else None


def _choose_share(
    classifier: keras.Model,
    before: list[np.ndarray],
    after: list[np.ndarray],
    judge: Judge,
    first: Judged | None,
    floor: float,
) -> float:
    """How far to go on the way of fine-tuning, see `_first_of_the_best`.

    Only weights count whose clean accuracy is high enough, or those before fine-tuning.
    """
    found = {}
    for share in SHARES:
        classifier.set_weights(_between(before, after, share))
        judged = judge.judge(classifier)
        logging.info("%g of the way of fine-tuning: %s", share, judged)
        if judged.clean >= floor or not share:
            found[share] = judged
    return _first_of_the_best(found, first)


def _first_of_the_best(found: Mapping[float, Judged], first: Judged | None) -> float:
    """The first choice that does as well as the best, as far as validation images can tell.

    That is within one standard error of its accuracy (Breiman et al. 1984, section 3.4.3), and no
    worse than `first`, the classifier before the phase, as the phase would be thrown away for it.
    """
    best = max(found.values(), key=lambda judged: judged.score)
    least = max(best.score - best.standard_error, first.score if first else -np.inf)
    least = min(least, best.score)
    return next(choice for choice, judged in found.items() if judged.score >= least)


def _between(before: list[np.ndarray], after: list[np.ndarray], share: float) -> list[np.ndarray]:
    """Weights so far on the way from some to others."""
    return [
        (own + share * (other - own)).astype(own.dtype)
        for own, other in zip(before, after, strict=True)
    ]


def _write_batches(method: FineTuning, source: Source, folder: RunFolder) -> None:
    """Pictures of batches that the network saw, from the first to the last."""
    last = total_steps(method.settings, len(source)) - 1
    for step in np.unique(np.linspace(0, last, SHOWN_BATCHES, dtype=int)):
        images = seen_batch(method, source, method.settings, int(step))["image"].numpy()
        write_strip(folder.strips / f"batches_step_{step:06}.png", images[:SHOWN_IMAGES])
