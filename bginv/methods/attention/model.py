"""The attention-guided baseline: a crop around the strongest features gets a branch of its own.

`build_attention_branch` is the form of Cruz et al. 2020, `build_ag_cnn` the published AG-CNN (Guan
et al. 2018, "Diagnose like a Radiologist").
"""

import keras
import tensorflow as tf
from keras import layers

from bginv.errors import UserError
from bginv.nn.backbones import build_backbone, preprocess
from bginv.nn.layers import glorot_uniform
from bginv.ops.cams import above_otsu, boxes_of, channel_sum, largest_component, strongest_channel
from bginv.ops.geometry import crop_and_resize

LOCAL_FILTERS = (128, 256, 512)
HEAD_UNITS = (2048, 256)
AG_CNN_BACKBONE = "DenseNet121"
AG_CNN_MARGIN = (256 - 224) / 2 / 256
"""Share that AG-CNN cuts off at each edge: it resizes a crop to 256, and keeps the central 224."""


@keras.saving.register_keras_serializable("bginv")
class HeatMapCrop(layers.Layer):
    """The box around the largest bright part of a heat map, cut from the image and resized.

    Input: image [B, H, W, C] in [0, 1], and features [B, h, w, F]. Output, a dict: `crop`
    [B, H, W, C]; `box` [B, 4], top, left, bottom and right edge as shares of the image; `heat`, the
    heat map in [0, 1]; `degenerate` [B], 1 where the map shows nothing and the crop is the whole
    image. No gradient flows to the features.

    Args:
        reduction: "strongest", the largest absolute channel at the features' size, or "sum", the
            sum of channels enlarged to the image's size in 256 levels.
        threshold: of the heat map: a number in [0, 1], or "otsu" (for "sum").
        margin: share of the crop to cut off again at each edge.
    """

    def __init__(self, reduction: str, threshold: float | str, margin: float = 0.0, **keywords):
        super().__init__(**keywords)
        self.reduction, self.threshold, self.margin = reduction, threshold, margin

    def call(self, inputs):
        """See the class."""
        image, features = (tf.stop_gradient(tf.cast(part, tf.float32)) for part in inputs)
        if self.reduction == "sum":
            heat = channel_sum(features, image.shape[1])
        else:
            heat = strongest_channel(features)
        bright = above_otsu(heat) if self.threshold == "otsu" else heat >= self.threshold
        bright &= tf.reduce_max(heat, [1, 2], keepdims=True) > 0
        box, empty = boxes_of(largest_component(bright))
        crop = crop_and_resize(image, box, image.shape[1:3], self.margin)
        return {"crop": crop, "box": box, "heat": heat, "degenerate": tf.cast(empty, tf.float32)}

    def get_config(self):
        """See Keras."""
        own = {"reduction": self.reduction, "threshold": self.threshold, "margin": self.margin}
        return {**super().get_config(), **own}


def features_of(classifier: keras.Model) -> keras.Model:
    """Images to the last feature maps of a classifier, those that its head flattens or averages.

    Raises:
        UserError: no such maps.
    """
    own_layers = (layer for layer in classifier.layers if not isinstance(layer, keras.Model))
    for layer in reversed(list(own_layers)):  # blocks before may average maps to scale them
        into, out = (_tensor(layer, name) for name in ("input", "output"))
        if into is not None and out is not None and (len(into.shape), len(out.shape)) == (4, 2):
            return keras.Model(classifier.inputs, into, name="features")
    raise UserError(
        f"{classifier.name} has no layer that flattens or averages feature maps; name a classifier "
        "of convolutions, such as train1.py writes"
    )


def build_attention_branch(
    image_shape: tuple[int, int, int],
    features_shape: tuple[int, int, int],
    num_classes: int,
    tau: float,
    activation: str = "linear",
    seed: int | None = None,
) -> keras.Model:
    """Local branch on the crop, and its fusion with the global features (Cruz et al. 2020).

    Args:
        image_shape: (H, W, C).
        features_shape: (h, w, F) of the global classifier's features.
        num_classes: number of logits.
        tau: threshold of the heat map, in [0, 1].
        activation: between the dense layers; "linear" as in the paper's code, or "relu".
        seed: of the initial weights; None draws one.

    Returns:
        Model from [image, features] to a dict: `logits` float32 [B, num_classes], and what
        `HeatMapCrop` gives.
    """
    initializers = glorot_uniform(seed)
    image = layers.Input(image_shape, name="image")
    features = layers.Input(features_shape, name="features")
    found = HeatMapCrop("strongest", tau, name="heat_map_crop")([image, features])
    x = found["crop"]
    for filters in LOCAL_FILTERS:
        x = layers.Conv2D(
            filters,
            3,
            strides=2,
            padding="same",
            activation="relu",
            kernel_initializer=next(initializers),
        )(x)
    local, overall = (layers.GlobalAveragePooling2D()(maps) for maps in (x, features))
    x = layers.Concatenate()([local, overall])
    for units in HEAD_UNITS:
        x = layers.Dense(units, activation=activation, kernel_initializer=next(initializers))(x)
    logits = layers.Dense(num_classes, kernel_initializer=next(initializers), name="logits")(x)
    return keras.Model([image, features], {"logits": logits, **found}, name="attention_branch")


def join(features: keras.Model, branch: keras.Model) -> keras.Model:
    """Model from images to a dict of logits and intermediates.

    Args:
        features: see `features_of`.
        branch: see `build_attention_branch`.
    """
    image = layers.Input(branch.input_shape[0][1:], name="image")
    outputs = branch([image, features(image, training=False)])
    return keras.Model(image, outputs, name="attention")


def build_ag_cnn(
    image_shape: tuple[int, int, int],
    num_classes: int,
    threshold: float | str = "otsu",
    weights: str = "imagenet",
    seed: int | None = None,
) -> keras.Model:
    """AG-CNN: DenseNet-121 on the image, another on the crop, and a dense layer on both.

    Args:
        image_shape: (H, W, C), 224x224 in the publication.
        num_classes: number of logits.
        threshold: of the heat map: "otsu", as in the published code, or 0.7, as in the paper.
        weights: of both networks, see `build_architecture`.
        seed: of the random weights; None draws one.

    Returns:
        Model from images float32 [B, H, W, C] in [0, 1] to a dict: `logits` of the fusion,
        `global_logits` and `local_logits` [B, num_classes], and what `HeatMapCrop` gives. Sigmoids
        of the logits are probabilities, class by class.

    Raises:
        UserError: see `build_backbone`.
    """
    initializers = glorot_uniform(seed)
    seeds = (None, None) if seed is None else (2 * seed, 2 * seed + 1)

    def branch(name: str, own_seed: int | None) -> keras.Model:
        backbone = build_backbone(AG_CNN_BACKBONE, image_shape, weights, own_seed)
        inputs = layers.Input((*image_shape[:2], 3), name="preprocessed")
        features = backbone(inputs)
        pooled = layers.GlobalAveragePooling2D()(features)
        logits = layers.Dense(num_classes, kernel_initializer=next(initializers))(pooled)
        outputs = {"features": features, "pooled": pooled, "logits": logits}
        return keras.Model(inputs, outputs, name=name)

    image = layers.Input(image_shape, name="image")
    whole = branch("global_branch", seeds[0])(preprocess(image, "torch", "preprocess_image"))
    found = HeatMapCrop("sum", threshold, AG_CNN_MARGIN, name="heat_map_crop")(
        [image, whole["features"]]
    )
    part = branch("local_branch", seeds[1])(preprocess(found["crop"], "torch", "preprocess_crop"))
    pooled = layers.Input((whole["pooled"].shape[-1] + part["pooled"].shape[-1],), name="pooled")
    logits = layers.Dense(num_classes, kernel_initializer=next(initializers), name="logits")(pooled)
    fusion = keras.Model(pooled, logits, name="fusion_branch")
    outputs = {
        "logits": fusion(layers.Concatenate()([whole["pooled"], part["pooled"]])),
        "global_logits": whole["logits"],
        "local_logits": part["logits"],
        **found,
    }
    return keras.Model(image, outputs, name="ag_cnn")


def _tensor(layer: keras.Layer, name: str) -> keras.KerasTensor | None:
    """The one input or output of a layer; None where it has none or several."""
    try:
        tensor = getattr(layer, name)
    except (AttributeError, ValueError):  # it has never been called
        return None
    return tensor if isinstance(tensor, keras.KerasTensor) else None
