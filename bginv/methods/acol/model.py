"""Adversarial complementary learning: each classifier sees what those before it left (Zhang et al.
2018), with the recipes of positive and negative classifiers of its PyTorch port.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import layers

from bginv.nn.layers import lecun_uniform
from bginv.ops.cams import for_each_class, normalize_maps

HEADS = ("linear", "conv")
HEAD_FILTERS = 1024


def build_classifiers(
    features_shape: tuple[int, int, int],
    num_classes: int,
    recipe: str,
    head: str = "linear",
    seed: int | None = None,
    filters: int = HEAD_FILTERS,
) -> list[keras.Model]:
    """The classifiers of a recipe.

    Args:
        features_shape: (h, w, F).
        num_classes: number of maps.
        recipe: a letter for each classifier: p, trained for the label, or n, for all others.
        head: "linear", a 1x1 convolution, as in the port; "conv", two 3x3 convolutions before it,
            as in the paper.
        seed: of the initial weights; None draws one.
        filters: of either 3x3 convolution.

    Returns:
        Models from features [B, h, w, F] to a map of scores for each class, [B, h, w, K].
    """
    initializers = lecun_uniform(seed)
    classifiers = []
    for place, kind in enumerate(recipe):
        name = f"classifiers.{place}{kind}"
        features = x = layers.Input(features_shape)
        hidden = 2 if head == "conv" else 0
        for number in range(hidden):
            x = layers.Conv2D(
                filters,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=next(initializers),
                name=f"{name}.{2 * number}",
            )(x)
        scores = layers.Conv2D(
            num_classes, 1, kernel_initializer=next(initializers), name=f"{name}.{2 * hidden}"
        )(x)
        classifiers.append(keras.Model(features, scores, name=f"classifier_{place}{kind}"))
    return classifiers


def classify_in_turn(
    classifiers: Sequence[keras.Model],
    features: tf.Tensor,
    labels: tf.Tensor,
    deltas: Sequence[float],
    training: bool = False,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Classify, erase what was looked at, and classify again (Zhang et al. 2018, section 3.2).

    What a classifier's map of the label, from 0 to 1, has above delta is erased from the features
    of all that follow; no gradient flows through that choice. A flat map erases nothing.

    Args:
        classifiers: see `build_classifiers`.
        features: float [B, h, w, F].
        labels: int [B].
        deltas: one for each classifier but the last.
        training: see Keras.

    Returns:
        For each classifier: logits float32 [B, K], means of its maps; and its map of the label,
        float32 [B, h, w] from 0 to 1.
    """
    logits, cams = [], []
    for place, classifier in enumerate(classifiers):
        scores = tf.cast(classifier(features, training=training), tf.float32)
        logits.append(tf.reduce_mean(scores, [1, 2]))
        own = tf.gather(tf.transpose(scores, [0, 3, 1, 2]), labels, batch_dims=1)
        cams.append(tf.stop_gradient(normalize_maps(own, divides=False)))
        if place < len(classifiers) - 1:
            kept = tf.cast(cams[-1] <= deltas[place], features.dtype)
            features = features * kept[..., None]
    return logits, cams


@keras.saving.register_keras_serializable("bginv")
class ComplementaryHead(layers.Layer):
    """Logits of the first classifier, and for each class the maximum of all classifiers' maps.

    Input: features [B, h, w, F]. Output, a dict: `logits` [B, K], and `maps` [B, h, w, K], from 0
    to 1 (the fused maps of Zhang et al. 2018).

    Args:
        classifiers: see `build_classifiers`.
        deltas: see `classify_in_turn`.
    """

    def __init__(self, classifiers: Sequence[keras.Model], deltas: Sequence[float], **keywords):
        super().__init__(**keywords)
        self.classifiers, self.deltas = list(classifiers), tuple(deltas)

    def build(self, input_shape):
        """See Keras."""
        for classifier in self.classifiers:
            classifier.build(input_shape)
        super().build(input_shape)

    def call(self, features):
        """See the class."""
        scores = self.classifiers[0](features)
        count, num_classes = tf.shape(features)[0], scores.shape[-1]

        def fused(label: tf.Tensor) -> tf.Tensor:
            labels = tf.fill([count], label)
            _, cams = classify_in_turn(self.classifiers, features, labels, self.deltas)
            return tf.reduce_max(tf.stack(cams), 0)

        maps = for_each_class(fused, num_classes)
        maps = tf.ensure_shape(maps, [num_classes, None, *scores.shape[1:3]])
        return {"logits": tf.reduce_mean(scores, [1, 2]), "maps": tf.transpose(maps, [1, 2, 3, 0])}

    def compute_output_spec(self, features):
        """See Keras."""
        shape = self.classifiers[0].compute_output_shape(features.shape)
        return {
            "logits": keras.KerasTensor((shape[0], shape[-1]), "float32"),
            "maps": keras.KerasTensor(shape, "float32"),
        }

    def get_config(self):
        """See Keras."""
        kept = [keras.saving.serialize_keras_object(model) for model in self.classifiers]
        return {**super().get_config(), "classifiers": kept, "deltas": self.deltas}

    @classmethod
    def from_config(cls, config):
        """See Keras."""
        kept = [keras.saving.deserialize_keras_object(one) for one in config.pop("classifiers")]
        return cls(classifiers=kept, **config)


def build_acol(
    features: keras.Model, classifiers: Sequence[keras.Model], deltas: Sequence[float]
) -> keras.Model:
    """The model to ship: images to a dict, see `ComplementaryHead`; weights are shared."""
    image = layers.Input(features.input_shape[1:], name="image")
    outputs = ComplementaryHead(classifiers, deltas, name="complementary_head")(features(image))
    return keras.Model(image, outputs, name="acol")
