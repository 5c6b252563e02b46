"""What a rival trains with: a classifier and its images, or a last layer and stored features."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.composites import WithEmptied
from bginv.data.sources import Dataset, Source
from bginv.data.wrapped import hold_out
from bginv.engine.experiment import Stage
from bginv.engine.method import Method
from bginv.engine.optimizers import BestWeights
from bginv.engine.run_folder import RunFolder
from bginv.errors import UserError
from bginv.evaluation.accuracy import groups_of
from bginv.evaluation.calibration import collect_all_logits, collect_logits
from bginv.evaluation.groups import group_numbers
from bginv.evaluation.last_layers import FeatureSource
from bginv.methods.rivals.settings import WITH_PLACES, RivalSettings
from bginv.nn.features import weights_digest
from bginv.nn.fine_tuning import fine_tuned_part, split_head, stored_features
from bginv.nn.inference import compiled_for

FEATURE_BATCH = 16
TIE = 0.01
"""What accuracy adds to that of the worst group, so that it decides between equal ones."""
Change = Callable[[dict[str, tf.Tensor], tf.Tensor], tf.Tensor]


class Trainer:
    """One training of a rival; with `freeze`, everything is about features of the frozen network.

    Args:
        classifier: images to logits; trained in place, when `finish` is called at last.
        dataset: its training images and places.
        validation: held-out images, or None.
        settings: of the rival.
        folder: of the run.
        with_backgrounds: what gives the training images with masks and backgrounds.

    Attributes:
        model: what is trained: the classifier, or its last layer alone.
        train: records that it takes.
        validation: the same held out, or None.
        settings: of the rival.
        num_classes: K.
        chosen_by: what the epoch that is kept is best in on held-out images; "" where the last is.

    Raises:
        UserError: `freeze`, and the last layer cannot be told.
    """

    def __init__(
        self,
        classifier: keras.Model,
        dataset: Dataset,
        validation: Source | None,
        settings: RivalSettings,
        folder: RunFolder,
        with_backgrounds: Callable[[], WithEmptied],
    ):
        self.settings, self._folder, self._with_backgrounds = settings, folder, with_backgrounds
        self.num_classes, self._dataset = dataset.num_classes, dataset
        self._images = dataset.train.without_masks()
        split = split_head(classifier)
        if split is None and settings.freeze:
            raise UserError(
                f"{classifier.name} ends in no Dense layer that could be trained alone: leave "
                "--freeze away"
            )
        self._network, self._head = split or (None, None)
        self.model, self._digest, self.chosen_by = classifier, "", ""
        self.train, self.validation = self._images, validation
        if self.is_frozen:
            self._digest = weights_digest(self._network)
            self.model = _alone(self._head, self._network.output_shape[-1])
            self.train = self._stored("images", self._images)
            self.validation = validation and self._stored("validation", validation)

    @property
    def is_frozen(self) -> bool:
        """Whether the network stays, and its last layer alone is trained."""
        return self.settings.freeze

    def fit(
        self,
        method: type[Method],
        source: Source,
        part: str = "",
        epochs: int | None = None,
        choose: bool = True,
        **more: Any,
    ) -> None:
        """Train the model, or go on with that.

        Of a whole network with held-out images, the weights of the epoch are kept that does best on
        these: in the worst group where places are known, as the papers choose. A last layer alone
        has a convex loss, and keeps its last weights.

        Args:
            method: see `ErmTraining`; called with the model, the settings, a name and the source.
            source: records that the model takes.
            part: of the training, where there are several.
            epochs: in place of the settings', or of their steps.
            choose: whether an epoch is chosen; else the last weights are kept.
            **more: what else the method takes.
        """
        name = f"{self.settings.method}_{part}" if part else self.settings.method
        own = self.settings
        if epochs:
            own = dataclasses.replace(own, epochs=epochs, steps=None)
        with fine_tuned_part(self.model, 0.0, own.batch_norm == "fixed"):
            made = method(self.model, own, name, source, **more)
            chooses = choose and self.validation is not None and not self.is_frozen
            made.best = BestWeights([self.model]) if chooses else None
            if chooses:
                self.chosen_by = "accuracy" if self.validation.places is None else "worst group"
            offer = functools.partial(self._offer, made.best) if chooses else None
            Stage(made, source, own, offer).run(self._folder)

    def masked(self) -> WithEmptied:
        """The training images with masks and backgrounds."""
        return self._with_backgrounds()

    def groups(self, source: Source) -> np.ndarray:
        """The group of each record, int [N]: its class and its place.

        Raises:
            UserError: places are not known.
        """
        if source.places is None:
            raise UserError(
                f"{self.settings.method} needs the place of each picture: {WITH_PLACES}"
            )
        return group_numbers(source.labels, source.places, len(self._dataset.place_names))

    def changed(self, change: Change, source: Source, copy: int) -> FeatureSource:
        """Features of the training images, changed once.

        Args:
            change: batches and seeds int32 [2] to images float32 [B, H, W, C].
            source: the training images, as it takes them.
            copy: the number of this change; another one has other neighbours in its batches.
        """
        seed = tf.random.fold_in(tf.constant([self.settings.seed, 3]), copy)
        rows = np.random.default_rng([self.settings.seed, copy]).permutation(len(source))
        size = FEATURE_BATCH - (len(rows) % FEATURE_BATCH == 1)  # an image alone has no neighbour
        order, traced = source.take(rows), tf.function(change, autograph=False)

        def batches() -> Iterator[tf.Tensor]:
            for number, batch in enumerate(order.batches(size)):
                yield traced(batch, tf.random.fold_in(seed, number))

        name = f"{self.settings.method}_{self.settings.seed}_{copy}"
        return FeatureSource(self._images.take(rows), self._computed(name, batches, len(rows)))

    def split(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the training records, and a share of them held out; see `hold_out`."""
        return hold_out(self._images, share)

    def logits(self, source: Source) -> np.ndarray:
        """float64 [N, K] of records that the model takes."""
        return collect_logits(self.model, source)[0]

    def features(self, source: Source) -> np.ndarray:
        """What the last layer gets of records that the model takes, float32 [N, D].

        Raises:
            UserError: see `check_last_layer`.
        """
        if isinstance(source, FeatureSource):
            return source.features
        self.check_last_layer()
        ((found, _),) = collect_all_logits(self._network, [source], np.float32)
        return found

    def scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of the training records' features, float64 [D] each.

        Features are summed up batch by batch, as those of all images may not fit into memory.

        Raises:
            UserError: see `check_last_layer`.
        """
        self.check_last_layer()
        run = tf.identity if self.is_frozen else compiled_for(self._network, len(self.train))
        source, sums, squares = self.train, np.zeros(1), np.zeros(1)
        for batch in source.batches(source.pass_batch):
            found = run(batch["image"]).numpy().astype(np.float64)
            sums, squares = sums + found.sum(0), squares + (found**2).sum(0)
        mean = sums / len(source)
        return mean, np.sqrt(np.maximum(squares / len(source) - mean**2, 0))

    def check_last_layer(self) -> None:
        """Raise unless the last layer can be given other weights, a kernel and a bias.

        Raises:
            UserError: it is no Dense layer, or one without a bias.
        """
        if self._head is None or not self._head.use_bias:
            raise UserError(
                f"{self.settings.method} needs a classifier that ends in a Dense layer with a "
                f"bias; {self.model.name} does not"
            )

    def head_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel [D, K] and bias [K] of the last layer."""
        kernel, bias = self._last_layer().get_weights()
        return kernel, bias

    def set_head(self, kernel: np.ndarray, bias: np.ndarray) -> None:
        """Give the last layer these weights."""
        self._last_layer().set_weights([kernel.astype(np.float32), bias.astype(np.float32)])

    def finish(self) -> None:
        """Give the classifier what was trained."""
        if self.is_frozen:
            self._head.set_weights(self._last_layer().get_weights())

    def _offer(self, best: BestWeights, epoch: int) -> None:
        """Keep the weights of an epoch, if they do better on held-out images than all before."""
        right = self.logits(self.validation).argmax(-1) == self.validation.labels
        groups, accuracy = groups_of(right, self.validation, self._dataset), float(right.mean())
        worst = groups.worst if groups else accuracy
        kept = best.offer(worst + TIE * accuracy)
        logging.info(
            *("%s: epoch %d, %s %.4f on held-out images%s", self.settings.method, epoch),
            *("worst group" if groups else "accuracy", worst, ", the best so far" if kept else ""),
        )

    def _last_layer(self) -> keras.layers.Dense:
        return self.model.layers[-1] if self.is_frozen else self._head

    def _stored(self, name: str, source: Source) -> FeatureSource:
        def batches() -> Iterator[tf.Tensor]:
            return (batch["image"] for batch in source.batches(FEATURE_BATCH))

        return FeatureSource(source, self._computed(name, batches, len(source)))

    def _computed(
        self, name: str, batches: Callable[[], Iterator[tf.Tensor]], count: int
    ) -> np.ndarray:
        path = self._folder.features / f"{name}_{self._digest}.npy"
        found = stored_features(path, self._network, batches, count)
        return np.asarray(found, np.float32)


def _alone(head: keras.layers.Dense, width: int) -> keras.Model:
    """A model of a copy of the last layer, from features [B, D], begun at zeros."""
    layer = keras.layers.Dense(head.units, use_bias=head.use_bias, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((width,)), layer], name="last_layer")


def joined(sources: Sequence[FeatureSource]) -> FeatureSource:
    """Features of several sources of one length, one source after the other."""
    first = sources[0]
    rows = np.concatenate([np.arange(len(first))] * len(sources))
    labels = np.concatenate([own.labels for own in sources])
    features = np.concatenate([own.features for own in sources])
    return FeatureSource(first.source.take(rows, labels), features)
