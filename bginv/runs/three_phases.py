"""The three phases one after the other, on any classifier."""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.photographs import Photographs, WithBackgrounds
from bginv.data.sources import Dataset, Source
from bginv.interop.model_files import save_model
from bginv.models.mask_unet import build_mask_unet
from bginv.ops.augment import Augmentation
from bginv.ops.losses import Loss, cross_entropy
from bginv.recipes import AdversarialSettings, ThreePhasesSettings
from bginv.run_folder import RunFolder
from bginv.runs.mistakes import Draw, drawing_of
from bginv.runs.phases import (
    check_mixing,
    run_adversarial_phase,
    run_classifier_phase,
    run_mask_phase,
)
from bginv.runs.results import Results
from bginv.training.adversarial import AdversarialTraining
from bginv.training.classifier import ClassifierTraining
from bginv.training.loop import total_steps
from bginv.training.masks import MaskTraining, with_generated_masks
from bginv.training.method import Method

LEARNED, HEURISTIC, GIVEN = "learned", "heuristic", "given"
LEAST_FOREGROUND, MOST_FOREGROUND = 0.01, 0.9


@dataclasses.dataclass(frozen=True)
class Start:
    """What the phases start from.

    Attributes:
        dataset: what is trained on and evaluated.
        classifier: images to logits, or to what the loss takes; it is trained in place.
        masks: "learned" by phase 2; "heuristic", `image > 0`; or "given", the data set's own.
        unet: a mask generator that is there already, for "learned" without phase 2.
        photographs: for `back` = "real".
        loss: what the classifier is trained for.
        augmentation: ranges of the random transforms; None means those of the phases.
        train_classifier: whether there is a phase 1.
        save: whether models are saved, which those with layers of the user's may not allow.
        scores: the classifier's logits, where it gives something else to its loss.
    """

    dataset: Dataset
    classifier: keras.Model
    masks: str = LEARNED
    unet: keras.Model | None = None
    photographs: Photographs | None = None
    loss: Loss = cross_entropy
    augmentation: Augmentation | None = None
    train_classifier: bool = True
    save: bool = True
    scores: keras.Model | None = None

    @property
    def evaluated(self) -> keras.Model:
        """What is evaluated and saved: images to logits, or to numbers."""
        return self.scores or self.classifier


class ThreePhases:
    """Trains a classifier, a mask generator, and the classifier against generated backgrounds.

    Made in the scope of a `tf.distribute` strategy.

    Args:
        start: see there.
        phases: settings of "classifier", "masks" and "adversarial".
        folder: where models and pictures go, if it has a path.

    Raises:
        ValueError: settings that do not go together, or with the data.

    Attributes:
        unet: the mask generator, or None.
        phase3: the last method; it owns the background generators.
        uses_given_masks: whether the masks of the data set matter.
    """

    def __init__(self, start: Start, phases: Mapping[str, ThreePhasesSettings], folder: RunFolder):
        self.start, self.phases, self.folder = start, phases, folder
        dataset, classifier, loss = start.dataset, start.classifier, start.loss
        self._draw = {name: drawing_of(own, dataset) for name, own in phases.items()}
        self._phase1 = self._phase2 = None
        self.uses_given_masks = start.masks == GIVEN
        if start.train_classifier:
            check_mixing(phases["classifier"], dataset)
            self.uses_given_masks |= phases["classifier"].background_mixing > 0
            self._phase1 = ClassifierTraining(classifier, phases["classifier"], loss)
        self.unet = start.unet
        if start.masks == LEARNED and self.unet is None:
            self.unet = build_mask_unet(dataset.image_shape, phases["masks"].seed)
            self._phase2 = MaskTraining(self.unet, classifier, phases["masks"], loss)
        steps = total_steps(phases["adversarial"], len(dataset.train))
        self.phase3 = AdversarialTraining(
            classifier, dataset.image_shape, phases["adversarial"], steps, loss
        )
        if start.augmentation:
            for method in self._methods():
                method.augmentation = start.augmentation

    def run(self, results: Results) -> None:
        """Train, save models, and add rows to the results."""
        dataset, phases, folder = self.start.dataset, self.phases, self.folder
        classifier = self.start.evaluated
        if self._phase1:
            draw = self._draw["classifier"]
            run_classifier_phase(self._phase1, dataset, phases["classifier"], folder, draw)
        if folder.path:
            self._save(classifier, "classifier")
            results.add_row(results.before, classifier)
        if self._phase2:
            draw = self._draw["masks"]
            run_mask_phase(self._phase2, dataset, phases["masks"], folder, "masks", draw)
        if folder.path and self._phase2:
            self._save(self.unet, "mask_unet")
        given = self.start.masks == GIVEN
        source = masked_source(
            dataset,
            given,
            self.unet,
            phases["adversarial"],
            self.start.photographs,
            folder,
            self._draw["adversarial"],
        )
        run_adversarial_phase(self.phase3, source, dataset, phases["adversarial"], folder)
        if folder.path:
            self._save(classifier, "robust_classifier")
            for adversary in self.phase3.adversaries:
                self._save(adversary.generator, adversary.generator.name)
            results.add_row(results.after, classifier)

    def _save(self, model: keras.Model, name: str) -> None:
        if self.start.save:
            save_model(model, self.folder.path / f"{name}.keras")

    def _methods(self) -> list[Method]:
        return [own for own in (self._phase1, self._phase2, self.phase3) if own]


def masked_source(
    dataset: Dataset,
    given: bool,
    unet: keras.Model | None,
    settings: AdversarialSettings,
    photographs: Photographs | None,
    folder: RunFolder,
    draw: Draw,
) -> Source:
    """Training images with masks, their own or computed once, and photographs if they are used.

    Args:
        dataset: its training images.
        given: the masks are those of the data set.
        unet: else, what makes them; None means the heuristic `image > 0`.
        settings: how they are made binary.
        photographs: backgrounds, or None.
        folder: of the run.
        draw: see `drawing_of`.
    """
    source = dataset.train
    if not given:
        source = with_generated_masks(
            source.without_masks(), unet, settings.binarize, settings.area, folder.masks
        )
        _warn_of_masks(source)
    source = draw(source)
    return WithBackgrounds(source, photographs) if photographs else source


def _warn_of_masks(source: Source) -> None:
    """Warn where masks have next to no foreground, or next to no background."""
    count = min(source.pass_batch, len(source))
    rows = np.linspace(0, len(source), count, endpoint=False, dtype=np.int64)
    share = float(tf.reduce_mean(source.gather(tf.constant(rows))["mask"]))
    if not LEAST_FOREGROUND <= share <= MOST_FOREGROUND:
        logging.warning(
            "masks cover %.1f %% of the training images, and phase 3 helps where they show the "
            "object alone: look at them (--run-dir has pictures/masks.png), and see --binarize; "
            "phase 2 has --area, --total-variation, --steps and --mistakes-of",
            100 * share,
        )
