"""The feature maps inside a classifier, at any image size, found by their strides."""

import functools

import keras
import tensorflow as tf
from keras import layers


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
        ValueError: no feature maps in it.
    """

    def __init__(self, classifier: keras.Model):
        self.image_shape = tuple(classifier.input_shape[1:])
        if None in self.image_shape:
            raise ValueError(
                f"the classifier takes images of shape {self.image_shape}; a fixed size is needed "
                "to find its feature maps"
            )
        inside: list[keras.KerasTensor] = []
        image = layers.Input(self.image_shape, name="image")
        logits = _opened(classifier, image, inside)
        maps = [own for own in inside if len(own.shape) == 4 and min(own.shape[1:3]) > 1]
        if not maps:
            raise ValueError(f"{classifier.name} has no feature maps [B, h, w, C]")
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
        raise ValueError(
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
