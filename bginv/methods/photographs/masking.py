"""Masks for a run on photographs: found, measured, and shown."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.sources import Dataset, Source
from bginv.engine.run_folder import RunFolder
from bginv.masks.choice import OF_CLASSIFIER, Choice, choose
from bginv.masks.store import Found, find_masks, given_masks
from bginv.masks.trust import SAMPLE, Trust, measure_source, verdict
from bginv.nn.inference import compiled_for
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

    def trusted(self, found: Found, folder: RunFolder) -> Trusted:
        """Measure the masks of the training images, and draw the least and the most certain."""
        predict = compiled_for(self._classifier, 3 * SAMPLE) if self._classifier else None
        failed = found.confidence == 0
        trust = measure_source(found.source, failed, found.confidence, predict=predict)
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
