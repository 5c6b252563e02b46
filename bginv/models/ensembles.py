"""Several classifiers in one network, whose probabilities are averaged."""

import math
from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from bginv.models.classifier import build_classifier, num_levels
from bginv.models.initializers import glorot_uniform

MIMO, BATCH_ENSEMBLE = "mimo", "batch_ensemble"


def build_ensemble(
    kind: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    members: int,
    seed: int | None = None,
) -> keras.Model:
    """The classifier for small images, as an ensemble.

    Its one layer with weights is named after its kind: from images [B, M, H, W, C], one for each
    member, to logits [B, M, K]. Training gives every member images of its own; in use all get the
    same one.

    Args:
        kind: "mimo", M images in one pass (Havasi et al. 2021), or "batch_ensemble", M passes with
            shared kernels, whose inputs and outputs each member scales (Wen et al. 2020, eq. 2).
        image_shape: (H, W, C), H and W at least 8.
        num_classes: K.
        members: M.
        seed: of the initial weights; None draws one.

    Returns:
        Model from images float32 [B, H, W, C] in [0, 1] to float32 [B, K], the logarithm of the
        members' mean probability.

    Raises:
        ValueError: unknown kind, or images too small.
    """
    if kind not in _JOINT:
        raise ValueError(f"an ensemble's kind must be one of {', '.join(_JOINT)}; received {kind}")
    joint = _JOINT[kind](image_shape, num_classes, members, seed)
    image = layers.Input(image_shape, name="image")
    copies = keras.ops.repeat(keras.ops.expand_dims(image, 1), members, axis=1)
    shares = keras.ops.log_softmax(joint(copies), axis=-1)
    logits = keras.ops.logsumexp(shares, axis=1) - math.log(members)
    return keras.Model(image, logits, name=f"{kind}_classifier")


def members_of(classifier: keras.Model) -> keras.Model | None:
    """The layer of an ensemble that tells its members apart; None of any other classifier."""
    for layer in classifier.layers:
        if isinstance(layer, keras.Model) and layer.name in _JOINT:
            return layer
    return None


@keras.saving.register_keras_serializable("bginv")
class MemberScale(layers.Layer):
    """Each member's factor for each channel, and its bias where there is one.

    Input and output: [B * M, ..., C]; row r is that of member r modulo M.

    Args:
        members: M.
        use_bias: add a bias.
    """

    def __init__(self, members: int, use_bias: bool = False, **keywords):
        super().__init__(**keywords)
        self.members, self.use_bias = members, use_bias

    def build(self, input_shape):
        """See Keras."""
        shape = (self.members, input_shape[-1])
        self.scale = self.add_weight(shape, "ones", name="scale")
        self.bias = self.add_weight(shape, "zeros", name="bias") if self.use_bias else None

    def call(self, inputs):
        """See the class."""
        size = inputs.shape[1:]
        broadcast = (self.members, *[1] * (len(size) - 1), size[-1])
        parts = keras.ops.reshape(inputs, (-1, self.members, *size))
        parts = parts * keras.ops.reshape(self.scale, broadcast)
        if self.use_bias:
            parts = parts + keras.ops.reshape(self.bias, broadcast)
        return keras.ops.reshape(parts, (-1, *size))

    def compute_output_shape(self, input_shape):
        """See Keras."""
        return input_shape

    def get_config(self):
        """See Keras."""
        return {**super().get_config(), "members": self.members, "use_bias": self.use_bias}


def _mimo(
    image_shape: tuple[int, int, int], num_classes: int, members: int, seed: int | None
) -> keras.Model:
    """The images side by side in the channels, and a logit for each member and class."""
    height, width, channels = image_shape
    images = layers.Input((members, *image_shape), name="images")
    stacked = layers.Reshape((height, width, members * channels))(
        layers.Permute((2, 3, 1, 4))(images)
    )
    network = build_classifier(stacked.shape[1:], members * num_classes, seed)
    logits = layers.Reshape((members, num_classes))(network(stacked))
    return keras.Model(images, logits, name=MIMO)


def _batch_ensemble(
    image_shape: tuple[int, int, int], num_classes: int, members: int, seed: int | None
) -> keras.Model:
    """The layers of `build_classifier`, each between the members' factors."""
    initializers = glorot_uniform(seed)

    def scaled(layer: Callable[..., layers.Layer], *arguments, x, name=None, **keywords):
        x = MemberScale(members, name=name and f"{name}_input")(x)
        keywords |= {"use_bias": False, "kernel_initializer": next(initializers), "name": name}
        x = layer(*arguments, **keywords)(x)
        return MemberScale(members, use_bias=True, name=name and f"{name}_output")(x)

    images = layers.Input((members, *image_shape), name="images")
    x = keras.ops.reshape(images, (-1, *image_shape))
    for level in range(num_levels(image_shape[0])):
        x = layers.ReLU()(scaled(layers.Conv2D, 2 ** (level + 5), 3, padding="same", x=x))
        x = layers.MaxPooling2D()(x)
    x = layers.ReLU()(scaled(layers.Dense, 128, x=layers.Flatten()(x)))
    x = scaled(layers.Dense, num_classes, x=x, name="logits")
    logits = keras.ops.reshape(x, (-1, members, num_classes))
    joint = keras.Model(images, logits, name=BATCH_ENSEMBLE)
    # factors of either sign make members differ from the start (section 3.1)
    signs = np.random.default_rng(seed)
    for layer in joint.layers:
        if isinstance(layer, MemberScale):
            layer.scale.assign(signs.choice([-1.0, 1.0], layer.scale.shape))
    return joint


_JOINT: dict[str, Callable[..., keras.Model]] = {MIMO: _mimo, BATCH_ENSEMBLE: _batch_ensemble}
