"""Losses and step of adversarial complementary learning; see `methods/acol/model.py`."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from bginv.engine.optimizers import SGD, BestWeights
from bginv.methods.acol.model import classify_in_turn
from bginv.methods.acol.settings import AcolSettings
from bginv.methods.localization import CroppedTraining
from bginv.ops.losses import cross_entropy, rest_cross_entropy

LOSSES = {"p": cross_entropy, "n": rest_cross_entropy}
MOMENTUM, WEIGHT_DECAY = 0.9, 0.001
"""Of the PyTorch port."""


class AcolTraining(CroppedTraining):
    """The sum of the losses of all classifiers of a recipe (Zhang et al. 2018, section 3.2).

    Attributes:
        best: offer it the validation accuracy of each epoch.

    Args:
        features: images to features; it is trained in place.
        classifiers: see `build_classifiers`; they too.
        settings: recipe, deltas, learning rate, augmentation.
    """

    name = "acol"

    def __init__(
        self, features: keras.Model, classifiers: Sequence[keras.Model], settings: AcolSettings
    ):
        super().__init__(settings)
        self.features, self.classifiers = features, list(classifiers)
        self.optimizers = [SGD(settings.learning_rate, MOMENTUM, WEIGHT_DECAY) for _ in self.models]
        for optimizer, model in zip(self.optimizers, self.models, strict=True):
            optimizer.build(model.trainable_variables)
        self.best = BestWeights(self.models)

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.features, *self.classifiers]

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        optimizers = {f"optimizer_{i}": own for i, own in enumerate(self.optimizers)}
        models = {f"model_{i}": own for i, own in enumerate(self.models)}
        return {**models, **optimizers, "best": self.best}

    def finish(self) -> None:
        """See `Method.finish`; the weights of the best epoch come back, where one was chosen."""
        self.best.restore()

    def losses(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Each classifier's loss, such as "1n", and their sum as "loss".

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            labels: int [B].
        """
        features = self.features(images, training=True)
        deltas = self.settings.delta_list
        logits, _ = classify_in_turn(self.classifiers, features, labels, deltas, training=True)
        terms = {
            f"{place}{kind}": LOSSES[kind](labels, own)
            for place, (kind, own) in enumerate(zip(self.settings.cls_recipe, logits, strict=True))
        }
        return {"loss": sum(terms.values()), **terms}

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`."""
        del seed
        with tf.GradientTape() as tape:
            losses = self.losses(batch["image"], batch["label"])
        players = list(zip(self.optimizers, self.models, strict=True))
        self.descend(tape, losses["loss"], players)
        return losses
