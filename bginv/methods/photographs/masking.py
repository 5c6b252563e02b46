"""Masks for a run on photographs: found, measured, and shown."""

import dataclasses
import time

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.sources import Dataset, Source
from bginv.engine.run_folder import RunFolder
from bginv.masks.choice import OF_CLASSIFIER, Choice, choose
from bginv.masks.store import Found, find_masks
from bginv.masks.trust import Trust, measure_source, verdict
from bginv.methods.photographs.judging import DRAWS
from bginv.methods.photographs.phases import COPIES_OF_PHASE_1, SHARES
from bginv.methods.photographs.settings import PhotographSettings
from bginv.nn.fine_tuning import compiled
from bginv.report.pictures import write_strip

SHOWN, FOREGROUND = 8, 0.5


@dataclasses.dataclass(frozen=True)
class Trusted:
    """What was measured of masks, and what it means.

    Attributes:
        trust: the measures.
        usable: whether a classifier may be trained with them.
        sentences: what they are good for, or what speaks against them.
        failures: pictures without a mask, by name, and why.
    """

    trust: Trust
    usable: bool
    sentences: list[str]
    failures: dict[str, str]


class Masking:
    """Masks of splits, from what was chosen.

    Args:
        choice: of the source.
        classifier: of phase 1: some sources read its maps, and masks are measured with it.
        dataset: its training images are those that masks are learned from.
        seed: of what is learned.
    """

    def __init__(self, choice: Choice, classifier: keras.Model, dataset: Dataset, seed: int):
        self._classifier, self._source = classifier, choice.source
        if choice.name in OF_CLASSIFIER:
            self._source = choose(choice.name, dataset, classifier=classifier, seed=seed).source
        logging.info("%s", choice.reason)

    def of(self, split: Source) -> Found | None:
        """A split with masks; None where they are given, and this split has none."""
        if self._source is not None:
            return find_masks(split.without_masks(), self._source)
        if not split.has_masks:
            return None
        return Found(split, {}, 0.0, np.ones(len(split), np.float32), 0)

    def trusted(self, found: Found, folder: RunFolder) -> Trusted:
        """Measure the masks of the training images, and draw the least and the most certain."""
        predict = tf.function(lambda images: self._classifier(images, training=False))
        trust = measure_source(
            found.source, found.confidence == 0, found.confidence, predict=predict
        )
        usable, sentences = verdict(trust)
        _draw(found, folder)
        for sentence in sentences:
            logging.info("masks: %s", sentence)
        return Trusted(trust, usable, sentences, found.failures)


def _draw(found: Found, folder: RunFolder) -> None:
    rows = np.argsort(found.confidence, kind="stable")
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(SHOWN, len(rows)), dtype=int))]
    records = found.source.gather(tf.constant(rows, tf.int64))
    images, masks = records["image"].numpy(), records["mask"].numpy()
    binary = (masks > FOREGROUND).astype(np.float32)
    for kind, own in (("image", images), ("soft", masks), ("binary", binary)):
        write_strip(folder.strips / f"masks_{kind}.png", own)


TIMED = 16
BACKWARD = 3.0
"""Forward passes that a step of training takes as long as, its augmentation included."""
KINDS = 2 + 2 * DRAWS
"""Passes over a split that is judged: clean, foreground alone, and both kinds of mixed ones."""

LEARNED_SECONDS = 120.0
EMPTYING = 0.01
"""Seconds an image."""


def estimated_seconds(
    classifier: keras.Model,
    choice: Choice,
    settings: PhotographSettings,
    counts: tuple[int, int, int, int],
    masks_to_find: int,
) -> dict[str, float]:
    """Seconds of each part of a run, from the time that some images take.

    Args:
        classifier: of the run.
        choice: of masks.
        settings: of the run.
        counts: images to train on, to train on once more in the end, to validate with and to
            test with.
        masks_to_find: images whose masks are not on disk.
    """
    train, repeated, validation, test = counts
    one = _seconds_an_image(classifier)
    masks = choice.source.seconds if choice.source else 0.0
    learned = LEARNED_SECONDS if choice.name == "learned" else 0.0
    epochs = 0 if settings.freeze else (settings.epochs or 0)
    clean_epochs = 0 if settings.freeze else settings.classifier_epochs
    judged = (len(SHARES) if epochs else 1) * validation * KINDS
    trained_share = 1 + (BACKWARD - 1) * (1 - settings.frozen_share)
    passes = {
        "new last layers": (2 + COPIES_OF_PHASE_1 + settings.copies) * max(train, repeated),
        "the whole network": (epochs + clean_epochs) * (train + repeated) * trained_share,
        "validation": judged,
        "tests": (1 if settings.freeze else 2) * test * KINDS,
    }
    seconds = {"masks": learned + masks * masks_to_find + EMPTYING * (train + validation + test)}
    return {**seconds, **{name: count * one for name, count in passes.items()}}


def told(seconds: dict[str, float]) -> str:
    """The estimate in words."""
    parts = ", ".join(f"{name} {own:.0f} s" for name, own in seconds.items() if own >= 1)
    minutes = sum(seconds.values()) / 60
    return f"this will take about {max(1, round(minutes))} min: {parts}"


def _seconds_an_image(classifier: keras.Model) -> float:
    images = tf.zeros([TIMED, *classifier.input_shape[1:]])
    call = compiled(classifier)
    call(images)  # with what is done once
    began = time.monotonic()
    call(images)
    return (time.monotonic() - began) / TIMED
