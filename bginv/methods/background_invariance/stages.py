"""The three phases as stages of a run."""

import functools
import pathlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.photographs import Photographs, WithBackgrounds
from bginv.data.sources import Dataset, Source, take_in_memory
from bginv.data.wrapped import StratifiedSource
from bginv.engine.experiment import Stage
from bginv.engine.loop import last_epoch
from bginv.engine.results import evaluation_of_epochs
from bginv.engine.run_folder import RunFolder
from bginv.errors import UserError
from bginv.evaluation.accuracy import predict
from bginv.interop.model_files import load_classifier
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.mask_training import MaskTraining, with_generated_masks
from bginv.methods.background_invariance.pictures import (
    write_background_pictures,
    write_composite_strip,
    write_debug_pictures,
    write_mask_pictures,
)
from bginv.methods.background_invariance.settings import (
    GIVEN,
    HEURISTIC,
    AdversarialSettings,
    ClassifierSettings,
    MaskSettings,
    ThreePhasesSettings,
)
from bginv.nn.features import weights_digest
from bginv.nn.fine_tuning import (
    is_deep,
    is_trained,
    split_head,
    stored_features,
    train_head,
)

LEAST_FOREGROUND, MOST_FOREGROUND = 0.01, 0.9
NUM_MASKS, NUM_STRIPS = 6, 6


class ClassifierStage(Stage):
    """Phase 1. A deep network that knows something gets a new last layer first.

    Args:
        method: it owns the classifier.
        dataset: what is trained on and evaluated.
        settings: of the phase.
        folder: of the run.

    Raises:
        UserError: backgrounds are to be mixed without masks; or see `drawing_of`.
    """

    def __init__(
        self,
        method: ClassifierTraining,
        dataset: Dataset,
        settings: ClassifierSettings,
        folder: RunFolder,
    ):
        _check_mixing(settings, dataset)
        self._draw, self._folder = drawing_of(settings, dataset), folder
        known = is_deep(method.classifier) and is_trained(method.classifier)
        self._begins_with_head = settings.recipe == "tuned" and known and not dataset.regression
        source = dataset.train if settings.background_mixing else dataset.train.without_masks()
        after_epoch = evaluation_of_epochs(method.classifier, dataset, settings)
        super().__init__(method, source, settings, after_epoch)

    def begin(self) -> None:
        """See `Stage.begin`."""
        if self._begins_with_head:
            images = self.source.without_masks()
            fit_new_head(self.method.classifier, images, self._folder, self.settings.seed)
        self.source = self._draw(self.source)


def fit_new_head(classifier: keras.Model, source: Source, folder: RunFolder, seed: int) -> None:
    """Train the last layer of a trained network alone, if there is one on a vector of features.

    The rest would otherwise be moved by the gradients of a random layer (Kumar et al. 2022).

    Args:
        classifier: images to logits; it is trained in place.
        source: labelled images, as they are.
        folder: keeps the features, if it has a path.
        seed: of the order.
    """
    split = split_head(classifier)
    if split is None or not split[1].trainable:
        return
    network, head = split
    name = f"images_{weights_digest(network)}.npy"
    path = folder.features / name if folder.path else None

    def batches() -> Iterator[tf.Tensor]:
        return (batch["image"] for batch in source.batches(source.pass_batch))

    features = stored_features(path, network, batches, len(source))
    train_head(head, [features], [source.labels], seed)
    logging.info("%s: a new last layer, on features of the rest", classifier.name)


def _check_mixing(settings: ClassifierSettings, dataset: Dataset) -> None:
    if settings.background_mixing and not dataset.train.has_masks:
        raise UserError(
            f"--background-mixing needs masks, and the training images of {dataset.name} have none "
            "of their own: put masks into PATH/train/masks of a folder, or mix in phase 3 alone "
            "(train3.py, or bginv run --adversarial-background-mixing), which learns them"
        )


class MaskStage(Stage):
    """Phase 2, with pictures of masks.

    Args:
        method: it owns the mask generator.
        dataset: what is trained on.
        settings: of the phase.
        folder: of the run.
        debug_prefix: of the pictures' names for `debug`.

    Raises:
        UserError: see `drawing_of`.
    """

    def __init__(
        self,
        method: MaskTraining,
        dataset: Dataset,
        settings: MaskSettings,
        folder: RunFolder,
        debug_prefix: str = "masks",
    ):
        self._draw, self._folder = drawing_of(settings, dataset), folder
        self._prefix = f"{folder.pictures or pathlib.Path()}/{debug_prefix}"
        chosen = np.linspace(0, len(dataset.train), NUM_MASKS, endpoint=False, dtype=int)
        self._shown = functools.cache(lambda: take_in_memory(dataset.train, chosen))
        after_epoch = self._write_debug_pictures if settings.debug else None
        super().__init__(method, dataset.train.without_masks(), settings, after_epoch)

    def begin(self) -> None:
        """See `Stage.begin`."""
        self.source = self._draw(self.source)

    def end(self) -> None:
        """See `Stage.end`."""
        if self._folder.pictures:
            write_mask_pictures(self._folder, self.method.unet, self._shown(), self.settings)

    def _write_debug_pictures(self, epoch: int) -> None:
        shown = self._shown()
        write_debug_pictures(self.method.unet, shown, self.settings, epoch, self._prefix)


class AdversarialStage(Stage):
    """Phase 3, with pictures of backgrounds and composites.

    Args:
        method: it owns the players.
        dataset: what is trained on and evaluated.
        settings: of the phase.
        folder: of the run.
        unet: mask generator; it may be trained by a stage before this one.
        masks: "given" takes the data set's own; else they are those of the mask generator or,
            without one, `image > 0`.
        photographs: backgrounds, or None.

    Raises:
        UserError: see `drawing_of`.
    """

    def __init__(
        self,
        method: AdversarialTraining,
        dataset: Dataset,
        settings: AdversarialSettings,
        folder: RunFolder,
        unet: keras.Model | None = None,
        masks: str = HEURISTIC,
        photographs: Photographs | None = None,
    ):
        self._draw, self._folder = drawing_of(settings, dataset), folder
        self._unet, self._masks, self._photographs = unet, masks, photographs
        self._evaluate = evaluation_of_epochs(method.classifier, dataset, settings)
        self._epochs_shown = _epochs_to_show(settings, len(dataset.train))
        super().__init__(method, dataset.train, settings, self._after_epoch)

    def begin(self) -> None:
        """See `Stage.begin`: the masks are computed once."""
        if self._masks != GIVEN:
            images, settings = self.source.without_masks(), self.settings
            how = settings.binarize, settings.area
            self.source = with_generated_masks(images, self._unet, *how, self._folder.masks)
            _warn_of_masks(self.source)
        self.source = self._draw(self.source)
        if self._photographs:
            self.source = WithBackgrounds(self.source, self._photographs)

    def end(self) -> None:
        """See `Stage.end`."""
        if self._folder.pictures:
            write_background_pictures(self._folder, self.method, self.source)

    def _after_epoch(self, epoch: int) -> None:
        if self._evaluate:
            self._evaluate(epoch)
        if epoch in self._epochs_shown and self._folder.pictures:
            write_composite_strip(self._folder, epoch, self.method, self.source)


def _epochs_to_show(settings: AdversarialSettings, num_records: int) -> set[int]:
    """A few epochs, the first and the last among them, after which composites are drawn."""
    # near each other at first, as the adversary learns fast there
    shown = np.geomspace(1, last_epoch(settings, num_records), NUM_STRIPS)
    return {int(epoch) for epoch in np.round(shown)}


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


Draw = Callable[[Source], Source]


def drawing_of(settings: ThreePhasesSettings, dataset: Dataset) -> Draw:
    """What makes a training split draw the mistakes of `settings.mistakes_of` more often.

    Without that classifier, the split is left as it is.

    Args:
        settings: of the phase.
        dataset: what the classifier is for.

    Raises:
        UserError: a classifier of something else, or labels that are numbers to tell.
    """
    name = settings.mistakes_of
    if name is None:
        return lambda source: source
    if dataset.regression:
        raise UserError(f"--mistakes-of is for classes; the labels of {dataset.name} are numbers")
    classifier = load_classifier(name, dataset)

    def draw(source: Source) -> Source:
        (found,) = predict(classifier, [source])
        wrong = found.predicted != found.labels
        if wrong.all() or not wrong.any():
            raise UserError(
                f"--mistakes-of {name} gets {wrong.sum()} of the {len(source)} training images "
                "wrong, and its mistakes are to be a part of them: train it for "
                f"{'more' if wrong.all() else 'fewer'} steps"
            )
        logging.info(
            "%s gets %d of %d training images wrong: %.0f %% of those drawn are among them",
            *(name, wrong.sum(), len(source), 100 * settings.mistakes_share),
        )
        share = settings.mistakes_share
        return StratifiedSource(source, np.where(wrong, 0, 1), (share, 1 - share))

    return draw
