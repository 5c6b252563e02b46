"""Parts of a model: features below its last layers, maps, logits; the digest of its weights."""

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from bginv.errors import UserError
from bginv.nn.backbones import (
    IMAGENET,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    NO_WEIGHTS,
    build_backbone,
    preprocess,
)
from bginv.nn.torchvision_networks import RESNETS, VGGS, build_resnet, build_vgg16

OF_TRAINING = ("trainable", "_initializer", "_regularizer", "_constraint", "build_config")
"""Settings of layers that change no answer, as names end."""


def last_activation(model: keras.Model) -> str | None:
    """Name of the activation that gives a model's output, where the model's graph tells it.

    Only what the output comes from counts: operations that are no layers may stand behind the last
    layer. What passes numbers on, perhaps in another precision, does not.
    """
    output = model.outputs[0] if getattr(model, "outputs", None) else None
    operation: Any = model
    while output is not None:
        operation, number, _ = output._keras_history
        if isinstance(operation, keras.Sequential) or type(operation).__name__ == "Functional":
            output = operation.outputs[0]
        elif _passes_on(operation):
            output = operation._inbound_nodes[number].input_tensors[0]
        else:
            output = None
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(operation, "activation", None), "__name__", None)


def _passes_on(operation: Any) -> bool:
    if isinstance(operation, keras.layers.Activation):
        return operation.activation is keras.activations.linear
    return isinstance(operation, keras.layers.Identity) or type(operation).__name__ == "Cast"


def logits_alone(model: keras.Model) -> keras.Model:
    """The model to save: images to logits."""
    return keras.Model(model.input, model.output["logits"], name=model.name)


def weights_digest(network: keras.Model) -> str:
    """Sixteen characters that other weights, or others in order, do not have."""
    digest = hashlib.sha256()
    for weight in network.get_weights():
        digest.update(np.ascontiguousarray(weight))
    return digest.hexdigest()[:16]


def network_digest(network: keras.Model) -> str:
    """As `weights_digest`, of the layers too: their kinds, settings and connections.

    Layers without weights change answers as well, such as one that scales pixels. Names do not
    count, nor what matters in training alone.
    """
    names = {
        own.name: f"layer {number}" for number, own in enumerate(network._flatten_layers(True))
    }

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                name: plain(own)
                for name, own in value.items()
                if not str(name).endswith(OF_TRAINING)
            }
        if isinstance(value, list | tuple):
            return list(map(plain, value))
        return names.get(value, value) if isinstance(value, str) else value

    try:
        settings = plain(network.get_config())
    except NotImplementedError:  # a class of the user's own that tells nothing
        settings = f"{type(network).__module__}.{type(network).__qualname__}"
    told = json.dumps(
        [getattr(network, "input_shape", None), settings], sort_keys=True, default=str
    )
    return hashlib.sha256(f"{weights_digest(network)} {told}".encode()).hexdigest()[:16]


INCEPTION = "inception"
IN_KERAS = {
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
    "resnet101deeplab": "ResNet101",
    "vgg16": "VGG16",
    "deeplab_largefov": "VGG16",
}
"""Networks of `keras.applications` whose weights fit."""
STAGES_IN_KERAS = {f"conv{stage + 1}_block": f"layer{stage}." for stage in range(1, 5)}


def build_features(
    network: str,
    image_shape: tuple[int, int, int],
    weights: str = NO_WEIGHTS,
    seed: int | None = None,
) -> keras.Model:
    """Images to the features of a network, its preprocessing in front.

    Args:
        network: a key of `RESNETS` or `VGGS`, or "inception".
        image_shape: (H, W, 1 or 3).
        weights: "none", random ones; or "imagenet", those of Keras. Its ResNets take their stride
            at the first convolution of a block and its images in another scale; so does the model
            then.
        seed: of the random weights; None draws one.

    Returns:
        Model from images float32 [B, H, W, C] in [0, 1] to features [B, h, w, F].

    Raises:
        UserError: unknown network, or ImageNet weights that are not to be had.
    """
    known = (*RESNETS, *VGGS, INCEPTION)
    if network not in known:
        raise UserError(f"the network must be one of {', '.join(known)}; received {network!r}")
    image = layers.Input(image_shape, name="image")
    if network == INCEPTION:
        backbone = build_backbone("InceptionV3", image_shape, weights, seed)
        return keras.Model(image, backbone(preprocess(image, "symmetric")), name="features")
    if weights not in (NO_WEIGHTS, IMAGENET):
        raise UserError(f"weights must be {NO_WEIGHTS} or {IMAGENET}; received {weights!r}")
    from_keras = weights == IMAGENET
    if from_keras and network not in IN_KERAS:
        raise UserError(
            f"Keras has no ImageNet weights of {network}, only of {', '.join(IN_KERAS)}: instead "
            f"of {IMAGENET}, give a checkpoint of torchvision, or {NO_WEIGHTS} to start from "
            "random ones"
        )
    colour_shape = (*image_shape[:2], 3)
    if network in RESNETS:
        backbone = build_resnet(RESNETS[network], colour_shape, seed, stride_first=from_keras)
    else:
        backbone = build_vgg16(VGGS[network], colour_shape, seed)
    if from_keras:
        copy_weights(build_backbone(IN_KERAS[network], colour_shape, IMAGENET, seed), backbone)
    kind = "caffe" if from_keras else "torch"
    return keras.Model(image, backbone(preprocess(image, kind)), name="features")


def renormalized(model: keras.Model, mean: np.ndarray, deviation: np.ndarray) -> keras.Model:
    """A model whose images are clipped to [0, 1], then normalized by other statistics.

    Args:
        model: it normalizes by those of ImageNet.
        mean: float [3].
        deviation: float [3].
    """
    image = layers.Input(model.input_shape[1:], name="image")
    scale = IMAGENET_DEVIATION / deviation
    change = layers.Rescaling(scale.tolist(), (IMAGENET_MEAN - mean * scale).tolist())
    clipped = layers.ReLU(1.0, name="clipped")(image)
    return keras.Model(image, model(change(clipped)), name=model.name)


def copy_weights(theirs: keras.Model, ours: keras.Model) -> None:
    """Give a network of this package the weights of that of `keras.applications`.

    Keras' convolutions before a batch norm have a bias; it goes into the moving mean.

    Args:
        theirs: ResNet50, ResNet101, ResNet152 or VGG16 without top.
        ours: of `build_resnet` or `build_vgg16`.
    """
    if any(isinstance(layer, layers.BatchNormalization) for layer in theirs.layers):
        for layer in theirs.layers:
            if isinstance(layer, layers.BatchNormalization):
                _copy_normalized(theirs, ours, layer.name.removesuffix("_bn"))
        return
    pairs = (
        [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
        for model in (theirs, ours)
    )
    for source, target in zip(*pairs, strict=True):
        target.set_weights(source.get_weights())


def _copy_normalized(theirs: keras.Model, ours: keras.Model, name: str) -> None:
    """A convolution and the batch norm behind it."""
    kernel, bias = theirs.get_layer(f"{name}_conv").get_weights()
    gamma, beta, mean, variance = theirs.get_layer(f"{name}_bn").get_weights()
    conv, norm = _names(name)
    ours.get_layer(conv).set_weights([kernel])
    ours.get_layer(norm).set_weights([gamma, beta, mean - bias, variance])


def _names(name: str) -> Sequence[str]:
    """Ours of the convolution and the batch norm that Keras calls by such a name."""
    if name == "conv1":
        return "conv1", "bn1"
    stage, block, place = name.split("_")  # such as conv2_block1_0; 0 is the shortcut
    prefix = f"{STAGES_IN_KERAS[f'{stage}_block']}{int(block.removeprefix('block')) - 1}."
    if place == "0":
        return f"{prefix}downsample.0", f"{prefix}downsample.1"
    return f"{prefix}conv{place}", f"{prefix}bn{place}"


class FeatureMaps:
    """A classifier's last feature maps, those of half their stride, and the way to the logits.

    Layers are the classifier's own: where its weights change, these maps change too. Models inside
    a model are opened, so a network of `keras.applications` below a new head is seen through.

    Args:
        classifier: functional or sequential, from images [B, H, W, C] to logits [B, K].

    Attributes:
        image_shape: (H, W, C) of the classifier.
        places: (h, w) of the last maps at that size.
        native: images to the two maps, [B, 2h, 2w, F] and [B, h, w, G], at that size.

    Raises:
        UserError: no feature maps in it.
    """

    def __init__(self, classifier: keras.Model):
        self.image_shape = tuple(classifier.input_shape[1:])
        if None in self.image_shape:
            raise UserError(
                f"the classifier takes images of shape {self.image_shape}; a fixed size is needed "
                "to find its feature maps"
            )
        inside: list[keras.KerasTensor] = []
        image = layers.Input(self.image_shape, name="image")
        logits = _opened(classifier, image, inside)
        maps = [own for own in inside if len(own.shape) == 4 and min(own.shape[1:3]) > 1]
        if not maps:
            raise UserError(f"{classifier.name} has no feature maps [B, h, w, C]")
        deep = maps[-1]
        rows, columns = deep.shape[1:3]
        fine = [own for own in maps if tuple(own.shape[1:3]) == (2 * rows, 2 * columns)]
        self.native = keras.Model(image, [fine[-1] if fine else deep, deep])
        self.places = (rows, columns)
        self._head = keras.Model(deep, logits)
        self._sizes = {self.image_shape[:2]: self.native}

    def at(self, rows: int, columns: int) -> keras.Model:
        """`native` for images of another size, with the same layers."""
        size = (rows, columns)
        if size not in self._sizes:
            with tf.init_scope():  # whoever asks may be traced
                image = layers.Input((*size, self.image_shape[2]), name="image")
                self._sizes[size] = keras.Model(image, _opened(self.native, image, []))
        return self._sizes[size]

    def logits(self, deep: tf.Tensor) -> tf.Tensor:
        """Logits [B, K] of the last maps at the classifier's own size."""
        return self._head(deep, training=False)

    def channel_weights(self, deep: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """How each channel of the last maps speaks for the label against all other classes.

        The gradient of the label's log-odds, averaged over places (Grad-CAM, Selvaraju et al. 2017,
        eq. 1). Behind global average pooling and a dense layer this is CAM, of any image size.

        Args:
            deep: [B, h, w, G] at the classifier's own size.
            labels: int [B]; -1 takes the class that the classifier sees.

        Returns:
            float32 [B, G].
        """
        with tf.GradientTape() as tape:
            tape.watch(deep)
            logits = tf.cast(self.logits(deep), tf.float32)
            seen = tf.argmax(logits, -1, labels.dtype)
            own = tf.one_hot(tf.where(labels < 0, seen, labels), logits.shape[-1])
            others = tf.reduce_logsumexp(tf.where(own > 0, -1e9, logits), -1)
            odds = tf.reduce_sum(own * logits, -1) - others
        return tf.reduce_mean(tf.cast(tape.gradient(odds, deep), tf.float32), [1, 2])


def _opened(
    model: keras.Model, inputs: keras.KerasTensor, inside: list[keras.KerasTensor]
) -> keras.KerasTensor | list[keras.KerasTensor]:
    """The outputs of a model's own layers on other inputs; their results are added to `inside`."""
    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            inputs = _called(layer, inside, inputs)
        return inputs
    if not hasattr(model, "_run_through_graph"):
        raise UserError(
            f"{model.name} is a {type(model).__name__}; a functional or sequential Keras model is "
            "needed to see its feature maps"
        )

    def calling(layer: layers.Layer):
        return functools.partial(_called, layer, inside)

    return model._run_through_graph(inputs, calling)


def _called(layer, inside: list[keras.KerasTensor], *arguments, **named):
    if isinstance(layer, keras.Model):
        return _opened(layer, arguments[0], inside)
    if isinstance(layer, (layers.Dropout, layers.GaussianNoise)):
        named["training"] = False
    outputs = layer(*arguments, **named)
    inside.extend(own for own in keras.tree.flatten(outputs))
    return outputs
