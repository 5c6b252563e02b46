"""Phase 1: the classifier."""

import keras
import tensorflow as tf

from bginv.models.backbones import VGG19_SIDE
from bginv.nn.fine_tuning import is_deep
from bginv.ops.losses import cross_entropy
from bginv.ops.mixing import mix_backgrounds
from bginv.recipes import ClassifierTrainingSettings, TechniqueSettings
from bginv.training.averaged_weights import AveragedWeights
from bginv.training.method import Method, Step, augmentation_of
from bginv.training.objective import Loss, Objective

SMALLEST_MIXED = 2


class ClassifierMethod(Method):
    """What the phases share that train the classifier: its objective, and the techniques.

    Args:
        classifier: images to logits; it is trained in place.
        settings: augmentation and, if they are `TechniqueSettings`, techniques.
        steps: length of the training.
        optimizer: of the classifier.
        loss: see `Objective`.

    Raises:
        ValueError: see `Objective`; or images too few to be mixed.
    """

    def __init__(
        self,
        classifier: keras.Model,
        settings: ClassifierTrainingSettings,
        steps: int,
        optimizer: keras.Optimizer,
        loss: Loss = cross_entropy,
    ):
        super().__init__(settings)
        self.classifier, self.optimizer = classifier, optimizer
        self.optimizer.build(classifier.trainable_variables)
        self.augmentation = augmentation_of(settings)
        share = settings.batchsize // self.strategy.num_replicas_in_sync
        self.objective = Objective(classifier, settings, share, loss)
        self.static_shapes = self.objective.static_shapes
        techniques = settings if isinstance(settings, TechniqueSettings) else None
        self._background_mixing = techniques.background_mixing if techniques else 0.0
        if share < SMALLEST_MIXED and (self._background_mixing or not self.static_shapes):
            raise ValueError(
                f"--batchsize {settings.batchsize} gives {share} image a device, and mixing needs "
                f"{SMALLEST_MIXED}; raise it"
            )
        averaged = max(1, round(steps * techniques.swa)) if techniques and techniques.swa else 0
        self._first_averaged = steps - averaged
        self._average = AveragedWeights(classifier, None) if averaged else None

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        average = {"average": self._average} if self._average else {}
        return {"classifier": self.classifier, "optimizer": self.optimizer, **average}

    def augment_batch(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.augment_batch`; then objects may get other backgrounds."""
        batch = super().augment_batch(batch, seed)
        if self._background_mixing:
            seed = tf.random.fold_in(seed, 1)
            images = mix_backgrounds(batch["image"], batch["mask"], seed, self._background_mixing)
            batch = {**batch, "image": images}
        return batch

    def step_at(self, step: int) -> Step:
        """See `Method.step_at`: near the end weights are averaged, if they are."""
        averages = self._average is not None and step >= self._first_averaged
        return self._averaged_step if averages else self.train_step

    def next_event(self, step: int) -> int | None:
        """See `Method.next_event`."""
        begins_later = self._average is not None and step < self._first_averaged
        return self._first_averaged if begins_later else None

    def finish(self) -> None:
        """Give the classifier its averaged weights, where they are averaged."""
        if self._average:
            self._average.take_over()

    def _averaged_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        metrics = self.train_step(batch, seed)
        self._average.update()
        return metrics


class ClassifierTraining(ClassifierMethod):
    """Cross-entropy on augmented images, or what the techniques make of it, or another loss.

    Args:
        classifier: images to logits, or to what the loss takes; it is trained in place.
        settings: learning rate, augmentation and techniques.
        steps: length of the training.
        loss: see `Objective`.

    Raises:
        ValueError: see `Objective`.
    """

    name = "classifier"

    def __init__(
        self,
        classifier: keras.Model,
        settings: ClassifierTrainingSettings,
        steps: int,
        loss: Loss = cross_entropy,
    ):
        optimizer = keras.optimizers.Adam(learning_rate_of(settings, classifier))
        super().__init__(classifier, settings, steps, optimizer, loss)

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.classifier]

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`."""
        with tf.GradientTape() as tape:
            loss = self.objective.loss(batch["image"], batch["label"], seed)
        self.descend(tape, loss, [(self.optimizer, self.classifier)])
        return {"loss": loss}


def learning_rate_of(settings: ClassifierTrainingSettings, classifier: keras.Model) -> float:
    """The rate asked for, else that of the paper: 1e-3 for small networks, 1e-5 for VGG19."""
    if settings.learning_rate is not None:
        return settings.learning_rate
    side = classifier.input_shape[1] or 0  # None: any
    large = side >= VGG19_SIDE or is_deep(classifier)
    return 1e-5 if large else 1e-3


def decaying(
    rate: float, decay: str, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The rate, or its cosine decay to 0 (Loshchilov & Hutter 2017) for `decay` = "cosine"."""
    return keras.optimizers.schedules.CosineDecay(rate, steps) if decay == "cosine" else rate
