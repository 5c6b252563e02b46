"""Localizers: classifiers that show where each class is (Stammes et al. 2020, EADER)."""

import keras
import tensorflow as tf
from keras import layers

from bginv.nn.features import INCEPTION, build_features
from bginv.nn.layers import lecun_uniform
from bginv.nn.torchvision_networks import VGGS
from bginv.ops.cams import class_activation_maps, for_each_class, grad_cams

DROPOUT = 0.5


def build_head(
    network: str, features_shape: tuple[int, int, int], num_classes: int, seed: int | None = None
) -> keras.Model:
    """The head of a network, under torchvision's names: features [B, h, w, F] to logits [B, K].

    Args:
        network: see `build_features`.
        features_shape: (h, w, F).
        num_classes: K.
        seed: of the initial weights; None draws one.
    """
    initializers = lecun_uniform(seed)

    def dense(units: int, name: str, activation: str | None = None) -> keras.Layer:
        kernel, bias = next(initializers), "zeros"
        return layers.Dense(units, activation, True, kernel, bias, name=name)

    features = layers.Input(features_shape, name="features")
    if network == "vgg16":
        x = layers.AdaptiveAveragePooling2D(7)(features)
        x = layers.Flatten()(layers.Permute((3, 1, 2))(x))  # PyTorch flattens channels first
        for number in (0, 3):
            x = dense(4096, f"classifier.{number}", "relu")(x)
            x = layers.Dropout(DROPOUT)(x)
        logits = dense(num_classes, "classifier.6")(x)
    else:
        x = layers.GlobalAveragePooling2D()(features)
        if network == INCEPTION:
            x = layers.Dropout(DROPOUT)(x)
        logits = dense(num_classes, "classifier" if network in VGGS else "fc")(x)
    return keras.Model(features, logits, name="head")


def has_linear_head(network: str) -> bool:
    """Whether a network averages its features before one dense layer, which CAM asks for."""
    return network != "vgg16"


def build_network(
    network: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    weights: str = "none",
    seed: int | None = None,
) -> keras.Model:
    """A network and its head, the layers "features" and "head".

    Args: see `build_features`; `num_classes`, the number of logits.

    Returns:
        Model from images float32 [B, H, W, C] in [0, 1] to a dict: `features` [B, h, w, F] and
        `logits` [B, K].
    """
    features = build_features(network, image_shape, weights, seed)
    head = build_head(network, features.output_shape[1:], num_classes, seed)
    image = layers.Input(image_shape, name="image")
    found = features(image)
    return keras.Model(image, {"features": found, "logits": head(found)}, name=network)


@keras.saving.register_keras_serializable("bginv")
class AttentionHead(layers.Layer):
    """Logits, and a map for each class.

    Input: features [B, h, w, F]. Output, a dict: `logits` [B, K], and `maps` [B, h, w, K], not
    normalized.

    Args:
        head: see `build_head`.
        attention: "gcam", Grad-CAM (Selvaraju et al. 2017), or "cam" (Zhou et al. 2016).
    """

    def __init__(self, head: keras.Model, attention: str, **keywords):
        super().__init__(**keywords)
        self.head, self.attention = head, attention

    def build(self, input_shape):
        """See Keras."""
        self.head.build(input_shape)
        super().build(input_shape)

    def call(self, features):
        """See the class."""
        logits = self.head(features)
        num_classes = logits.shape[-1]

        def of_class(label: tf.Tensor) -> tf.Tensor:
            labels = tf.fill([tf.shape(features)[0]], label)
            return attention_maps(self.head, features, labels, self.attention)

        maps = for_each_class(of_class, num_classes)
        maps = tf.ensure_shape(maps, [num_classes, None, *features.shape[1:3]])
        return {"logits": logits, "maps": tf.transpose(maps, [1, 2, 3, 0])}

    def compute_output_spec(self, features):
        """See Keras."""
        batch, *size, _ = features.shape
        num_classes = self.head.output_shape[-1]
        return {
            "logits": keras.KerasTensor((batch, num_classes), "float32"),
            "maps": keras.KerasTensor((batch, *size, num_classes), "float32"),
        }

    def get_config(self):
        """See Keras."""
        kept = keras.saving.serialize_keras_object(self.head)
        return {**super().get_config(), "head": kept, "attention": self.attention}

    @classmethod
    def from_config(cls, config):
        """See Keras."""
        return cls(head=keras.saving.deserialize_keras_object(config.pop("head")), **config)


def attention_maps(
    head: keras.Model, features: tf.Tensor, labels: tf.Tensor, attention: str
) -> tf.Tensor:
    """The map of one class of each image; differentiable.

    Args:
        head: see `build_head`.
        features: float [B, h, w, F].
        labels: int [B].
        attention: "gcam", or "cam" where the head has one dense layer.

    Returns:
        float32 [B, h, w], not normalized.
    """
    if attention == "gcam":
        return grad_cams(head, features, labels)
    return class_activation_maps(features, head.layers[-1].kernel, labels)


def build_localizer(network: keras.Model, attention: str) -> keras.Model:
    """The model to ship: images to a dict, see `AttentionHead`; weights are shared.

    Args:
        network: see `build_network`.
        attention: see `AttentionHead`.
    """
    features, head = (network.get_layer(name) for name in ("features", "head"))
    image = layers.Input(network.input_shape[1:], name="image")
    outputs = AttentionHead(head, attention, name="attention_head")(features(image))
    return keras.Model(image, outputs, name="localizer")
