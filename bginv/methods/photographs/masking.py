"""Masks for a run on photographs: found, measured, and shown."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.sources import Dataset, Source
from bginv.engine.run_folder import RunFolder
from bginv.host import part_of_run
from bginv.masks.choice import OF_CLASSIFIER, Choice, choose
from bginv.masks.pictures import Predict
from bginv.masks.store import Found, find_masks, given_masks
from bginv.masks.trust import SAMPLE, Trust, measure_source, verdict
from bginv.nn.fine_tuning import split_head
from bginv.nn.inference import compiled_for
from bginv.report.pictures import write_strip

SHOWN, FOREGROUND = 8, 0.5
PARTS = 3
"""Of a picture that a classifier is asked about: all of it, its object, its background."""


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
        classifier: a trained one: some sources read its maps, and masks are measured with it; None
            where there is none yet.
        dataset: its training images are those that masks are learned from.
        seed: of what is learned.
    """

    def __init__(self, choice: Choice, classifier: keras.Model | None, dataset: Dataset, seed: int):
        self._classifier, self._source = classifier, choice.source
        if choice.name in OF_CLASSIFIER:
            self._source = choose(choice.name, dataset, classifier=classifier, seed=seed).source
        logging.info("%s", choice.reason)

    def of(self, split: Source, is_test: bool = False) -> Found | None:
        """A split with masks; None where they are given, and this split has none."""
        if self._source is not None:
            source = self._source.exact if is_test else self._source
            return find_masks(split.without_masks(), source)
        if not split.has_masks:
            return None
        return given_masks(split)

    @part_of_run
    def trusted(self, found: Found, folder: RunFolder) -> Trusted:
        """Measure the masks of the training images, and draw the least and the most certain."""
        failed = found.confidence == 0
        trust = measure_source(found.source, failed, found.confidence, predict=self._predict())
        usable, sentences = verdict(trust)
        _draw(found, folder)
        for sentence in sentences:
            logging.info("masks: %s", sentence)
        return Trusted(trust, usable, sentences, found.failures)

    def _predict(self) -> Predict | None:
        """The classifier, by the function of its features where there is one."""
        if self._classifier is None:
            return None
        network, head = split_head(self._classifier) or (self._classifier, tf.identity)
        features = compiled_for(network, PARTS * SAMPLE)
        return lambda images: head(features(images))


def _draw(found: Found, folder: RunFolder) -> None:
    rows = np.argsort(found.confidence, kind="stable")
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(SHOWN, len(rows)), dtype=int))]
    records = found.source.gather(tf.constant(rows, tf.int64))
    images, masks = records["image"].numpy(), records["mask"].numpy()
    binary = (masks > FOREGROUND).astype(np.float32)
    for kind, own in (("image", images), ("soft", masks), ("binary", binary)):
        write_strip(folder.strips / f"masks_{kind}.png", own)
