"""Phase 1: the classifier."""

import keras
import tensorflow as tf

from bginv.engine.common_settings import ClassifierTrainingSettings
from bginv.engine.method import Method, augmentation_of, with_own_losses
from bginv.errors import UserError
from bginv.methods.background_invariance.settings import TechniqueSettings
from bginv.nn.backbones import VGG19_SIDE
from bginv.nn.fine_tuning import is_deep
from bginv.ops.compositing import mix_backgrounds
from bginv.ops.losses import Loss, cross_entropy, soft_cross_entropy

SMALLEST_MIXED = 2


class ClassifierMethod(Method):
    """What the phases share that train the classifier: its loss, and the techniques.

    Args:
        classifier: images to logits; it is trained in place.
        settings: augmentation and, if they are `TechniqueSettings`, techniques.
        optimizer: of the classifier.
        loss: of its outputs.

    Raises:
        UserError: labels that are smoothed for another loss, or images too few to be mixed.
    """

    def __init__(
        self,
        classifier: keras.Model,
        settings: ClassifierTrainingSettings,
        optimizer: keras.Optimizer,
        loss: Loss = cross_entropy,
    ):
        super().__init__(settings)
        self.classifier, self.optimizer = classifier, optimizer
        self.optimizer.build(classifier.trainable_variables)
        self.augmentation = augmentation_of(settings)
        techniques = settings if isinstance(settings, TechniqueSettings) else None
        self._background_mixing = techniques.background_mixing if techniques else 0.0
        smoothing = techniques.label_smoothing if techniques else 0.0
        if smoothing and loss is not cross_entropy:
            raise UserError("--label-smoothing is for cross-entropy; leave it out, or the loss")
        self.loss = smoothed_cross_entropy(smoothing) if smoothing else loss
        share = settings.batchsize // self.strategy.num_replicas_in_sync
        if share < SMALLEST_MIXED and self._background_mixing:
            raise UserError(
                f"--batchsize {settings.batchsize} gives {share} image a device, and mixing needs "
                f"{SMALLEST_MIXED}; raise it"
            )

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        return {"classifier": self.classifier, "optimizer": self.optimizer}

    def augment_batch(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.augment_batch`; then objects may get other backgrounds."""
        batch = super().augment_batch(batch, seed)
        if self._background_mixing:
            seed = tf.random.fold_in(seed, 1)
            images = mix_backgrounds(batch["image"], batch["mask"], seed, self._background_mixing)
            batch = {**batch, "image": images}
        return batch


class ClassifierTraining(ClassifierMethod):
    """Cross-entropy, or another loss, on augmented images.

    Args:
        classifier: images to logits, or to what the loss takes; it is trained in place.
        settings: learning rate, augmentation and techniques.
        loss: of its outputs.

    Raises:
        UserError: see `ClassifierMethod`.
    """

    name = "classifier"

    def __init__(
        self,
        classifier: keras.Model,
        settings: ClassifierTrainingSettings,
        loss: Loss = cross_entropy,
    ):
        optimizer = keras.optimizers.Adam(learning_rate_of(settings, classifier))
        super().__init__(classifier, settings, optimizer, loss)

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.classifier]

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`."""
        del seed
        with tf.GradientTape() as tape:
            loss = self.loss(batch["label"], self.classifier(batch["image"], training=True))
            loss = with_own_losses(loss, self.classifier)
        self.descend(tape, loss, [(self.optimizer, self.classifier)])
        return {"loss": loss}


def smoothed_cross_entropy(smoothing: float) -> Loss:
    """Cross-entropy with labels of which a share goes to all classes alike."""

    def loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return soft_cross_entropy(tf.one_hot(labels, logits.shape[-1]), logits, smoothing)

    return loss


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
