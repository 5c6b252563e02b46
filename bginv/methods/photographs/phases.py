"""The two phases on photographs: a new head, then the whole network; what does best is kept."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.sources import Source
from bginv.methods.photographs.judging import Judge, Judged
from bginv.methods.photographs.settings import PhotographSettings
from bginv.methods.photographs.training import FineTuning
from bginv.methods.photographs.views import view
from bginv.nn.digest import weights_digest
from bginv.nn.fine_tuning import fine_tuned_part, split_head
from bginv.nn.linear_head import compiled, stored_features, train_head
from bginv.report.strips import write_strip
from bginv.run_folder import RunFolder
from bginv.runs.phases import train_phase
from bginv.training.loop import seen_batch, total_steps

HEAD_BATCH = 16
COPIES_OF_PHASE_1 = 1
SHARES = (0.5, 1.0)
"""Of the way from the weights before fine-tuning to those after it. Weights in between often do
better than both (Wortsman et al. 2022); validation images decide, and without any the first."""

SHOWN_BATCHES, SHOWN_IMAGES = 4, 8
ALL = 1.0


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a phase trains on.

    Attributes:
        name: "classifier" or "adversarial", as in the three phases.
        source: training images; with masks and backgrounds where there are composites.
        composites: share of a batch that gets another background.
        copies: of each image, for the new head, beside the image itself.
        epochs: on the whole network.
    """

    name: str
    source: Source
    composites: float
    copies: int
    epochs: int


def run_phase(
    phase: Phase,
    classifier: keras.Model,
    settings: PhotographSettings,
    folder: RunFolder,
    judge: Judge | None,
    before: Judged | None = None,
) -> None:
    """Train a new head where the network allows it, then the whole; leave what does best.

    Args:
        phase: see there.
        classifier: images to logits, trained in place.
        settings: see there.
        folder: of the run.
        judge: of validation images; None keeps the last weights.
        before: what the classifier was judged, where it is one already; nothing is kept whose
            clean accuracy is more than `max_clean_loss` below that.
    """
    split = split_head(classifier)
    floor = before.clean - settings.max_clean_loss / 100 if before else 0.0
    start = classifier.get_weights()
    if split and phase.copies:
        fit_head(phase, *split, settings, folder)
        found = judge.judge(classifier) if judge else None
        logging.info("%s: a new last layer%s", phase.name, f": {found}" if found else "")
        if found and before and (found.clean < floor or found.score < before.score):
            classifier.set_weights(start)
    frozen = ALL if settings.freeze else settings.frozen_share
    if phase.epochs and not (settings.freeze and split):
        with fine_tuned_part(classifier, frozen, settings.batch_norm == "fixed"):
            _fine_tune(phase, classifier, settings, folder, judge, floor)


def fit_head(
    phase: Phase,
    network: keras.Model,
    head: keras.layers.Dense,
    settings: PhotographSettings,
    folder: RunFolder,
) -> None:
    """Train a new last layer on the features of the images and of augmented copies of them."""
    features, labels, call = [], [], compiled(network)
    digest = weights_digest(network)
    composites = ALL if phase.composites else 0.0
    whole = dataclasses.replace(settings, smallest_crop=1.0)  # crops cost the layer accuracy
    draw = tf.function(lambda batch, seed: view(batch, whole, composites, seed))
    for copy in range(phase.copies + 1):
        order = np.arange(len(phase.source))
        if copy:  # other neighbours, whose backgrounds objects get
            order = np.random.default_rng([settings.seed, copy]).permutation(order)
        what = f"{phase.name}_{copy}" if copy else "images"
        path = folder.features / f"{what}_{digest}.npy"
        seed = tf.random.fold_in(tf.constant([settings.seed, 2]), copy)
        change = functools.partial(_changed, draw, seed) if copy else _unchanged
        batches = functools.partial(_batches, phase.source, order, change)
        features.append(stored_features(path, call, batches, len(order)))
        labels.append(phase.source.labels[order])
    train_head(head, features, labels, settings.seed)


def _batches(
    source: Source, order: np.ndarray, change: Callable[[dict[str, tf.Tensor], int], tf.Tensor]
) -> Iterator[tf.Tensor]:
    """Batches of images float32 [b, H, W, C] in an order, each changed."""
    rows = tf.data.Dataset.from_tensor_slices(order.astype(np.int64)).batch(HEAD_BATCH)
    records = rows.map(source.gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
    for number, batch in enumerate(records):
        yield change(batch, number)


def _unchanged(batch: dict[str, tf.Tensor], number: int) -> tf.Tensor:
    del number
    return batch["image"]


def _changed(
    draw: Callable, seed: tf.Tensor, batch: dict[str, tf.Tensor], number: int
) -> tf.Tensor:
    return draw(batch, tf.random.fold_in(seed, number))


def _fine_tune(
    phase: Phase,
    classifier: keras.Model,
    settings: PhotographSettings,
    folder: RunFolder,
    judge: Judge | None,
    floor: float,
) -> None:
    """Train what is trainable of a classifier; leave the weights that do best on validation.

    They are those before, those after, or their mean.
    """
    own = dataclasses.replace(settings, epochs=phase.epochs)
    steps = total_steps(own, len(phase.source))
    method = FineTuning(classifier, own, steps, phase.name, phase.composites)
    before = classifier.get_weights()
    train_phase(method, phase.source, own, folder, None)
    after = classifier.get_weights()
    found = {share: _between(before, after, share) for share in SHARES}
    if judge:
        share = _best_share(classifier, {0.0: before, **found}, judge, floor)
        logging.info("%s: %g of the way of fine-tuning is kept", phase.name, share)
    else:
        share = SHARES[0]
    classifier.set_weights(found.get(share, before))
    if folder.path and phase.composites:
        _write_batches(method, phase.source, own, folder, steps)


def _best_share(
    classifier: keras.Model, found: dict[float, list[np.ndarray]], judge: Judge, floor: float
) -> float:
    """The share whose weights do best, of those whose clean accuracy is high enough, or 0."""
    scores = {}
    for share, weights in found.items():
        classifier.set_weights(weights)
        judged = judge.judge(classifier)
        logging.info("%g of the way of fine-tuning: %s", share, judged)
        if judged.clean >= floor or not share:
            scores[share] = judged.score
    return max(scores, key=scores.get)


def _between(before: list[np.ndarray], after: list[np.ndarray], share: float) -> list[np.ndarray]:
    return [
        (own + share * (other - own)).astype(own.dtype)
        for own, other in zip(before, after, strict=True)
    ]


def _write_batches(
    method: FineTuning,
    source: Source,
    settings: PhotographSettings,
    folder: RunFolder,
    steps: int,
) -> None:
    """Pictures of batches that the network saw, from the first to the last."""
    for step in np.unique(np.linspace(0, steps - 1, SHOWN_BATCHES, dtype=int)):
        images = seen_batch(method, source, settings, int(step))["image"].numpy()
        write_strip(folder.strips / f"batches_step_{step:06}.png", images[:SHOWN_IMAGES])
