"""The attention-guided baseline; see `bginv.methods.attention.model`."""

import keras
import tensorflow as tf

from bginv.engine.method import Method, augmentation_of
from bginv.methods.attention.settings import AttentionSettings
from bginv.methods.background_invariance.classifier_training import decaying, learning_rate_of
from bginv.ops.losses import binary_cross_entropy, cross_entropy

LOSS_WEIGHTS = {"global": 0.8, "local": 0.1, "fusion": 0.1}
"""Of the published code of AG-CNN."""


class AttentionTraining(Method):
    """Local branch and fusion, trained together behind a frozen classifier (Cruz et al. 2020).

    Args:
        features: images to the global classifier's maps, see `features_of`; it stays as it is.
        branch: see `build_attention_branch`; it is trained in place.
        settings: learning rate of the fusion and its decay, augmentation.
        steps: length of the training, for the decay.
    """

    name = "attention"

    def __init__(
        self, features: keras.Model, branch: keras.Model, settings: AttentionSettings, steps: int
    ):
        super().__init__(settings)
        self.features, self.branch = features, branch
        rate = decaying(settings.fusion_learning_rate, settings.decay, steps)
        self.optimizer = keras.optimizers.Adam(rate)
        self.optimizer.build(branch.trainable_variables)
        self.augmentation = augmentation_of(settings)

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.branch, self.features]

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        return {"branch": self.branch, "optimizer": self.optimizer}

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`; `degenerate` is the share of heat maps that show nothing."""
        del seed
        features = self.features(batch["image"], training=False)
        with tf.GradientTape() as tape:
            outputs = self.branch([batch["image"], features], training=True)
            loss = cross_entropy(batch["label"], outputs["logits"])
        self.descend(tape, loss, [(self.optimizer, self.branch)])
        return {"loss": loss, "degenerate": tf.reduce_mean(outputs["degenerate"])}


class AgCnnTraining(Method):
    """All three branches of AG-CNN at once (Guan et al. 2018, weights of the published code).

    Args:
        model: see `build_ag_cnn`; it is trained in place.
        settings: learning rates and the decay of the fusion's, augmentation.
        steps: length of the training, for the decay.
    """

    name = "attention"

    def __init__(self, model: keras.Model, settings: AttentionSettings, steps: int):
        super().__init__(settings)
        self.model = model
        rate = learning_rate_of(settings, model)
        fusion_rate = decaying(settings.fusion_learning_rate, settings.decay, steps)
        self.optimizers = {
            name: keras.optimizers.Adam(own)
            for name, own in {"global": rate, "local": rate, "fusion": fusion_rate}.items()
        }
        self.players = [
            (optimizer, model.get_layer(f"{name}_branch"))
            for name, optimizer in self.optimizers.items()
        ]
        for optimizer, branch in self.players:
            optimizer.build(branch.trainable_variables)
        self.augmentation = augmentation_of(settings)

    @property
    def models(self) -> list[keras.Model]:
        """See `Method.models`."""
        return [self.model]

    def state(self) -> dict[str, object]:
        """See `Method.state`."""
        optimizers = {f"{name}_optimizer": own for name, own in self.optimizers.items()}
        return {"model": self.model, **optimizers}

    def losses(self, labels: tf.Tensor, outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Binary cross-entropy of each branch, and their weighted sum as "loss".

        Args:
            labels: int [B], class numbers, or [B, K], 1 for each class that is there.
            outputs: of the model.
        """
        logits = outputs["logits"]
        single = len(labels.shape) == 1
        targets = tf.one_hot(labels, logits.shape[-1]) if single else tf.cast(labels, tf.float32)
        terms = {
            "global": binary_cross_entropy(targets, outputs["global_logits"]),
            "local": binary_cross_entropy(targets, outputs["local_logits"]),
            "fusion": binary_cross_entropy(targets, logits),
        }
        return {"loss": sum(LOSS_WEIGHTS[name] * term for name, term in terms.items()), **terms}

    def train_step(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.train_step`; `degenerate` is the share of heat maps that show nothing."""
        del seed
        with tf.GradientTape() as tape:
            outputs = self.model(batch["image"], training=True)
            losses = self.losses(batch["label"], outputs)
        self.descend(tape, losses["loss"], self.players)
        return {**losses, "degenerate": tf.reduce_mean(outputs["degenerate"])}
