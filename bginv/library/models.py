"""Any Keras model as the phases take it: images in [0, 1] to logits, or to what a loss takes."""

import sys
import zlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bginv.data.sources import Dataset, spread_rows
from bginv.errors import UserError
from bginv.nn.features import last_activation
from bginv.ops.losses import Loss, cross_entropy

LOOKED_AT = 512
"""Training images that tell what a model gives."""

SMALLEST_PROBABILITY = 1e-30
PROBABILITIES, LOGITS, SIGMOID, ONE_LOGIT = "probabilities", "logits", "sigmoid", "one logit"


def refuse_foreign(model: Any) -> None:
    """Raise at a model that is none of Keras 3 on TensorFlow.

    Raises:
        UserError: it says what to do.
    """
    kinds = [f"{kind.__module__}." for kind in type(model).__mro__]
    if any(own.startswith("tf_keras.") for own in kinds):
        raise UserError(
            f"model is a {type(model).__name__} of tf_keras (Keras 2): save it by "
            "model.save('model.h5'), and give keras.models.load_model('model.h5') of Keras 3"
        )
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        raise UserError("model must be a Keras model; received one of PyTorch: build it in Keras")
    if not isinstance(model, keras.Model):
        raise UserError(f"model must be a keras.Model; received {type(model).__name__}")
    if any(own.startswith("keras_hub.") for own in kinds) and getattr(model, "preprocessor", None):
        raise UserError(
            f"model is a task of keras_hub ({type(model).__name__}), whose preprocessor would not "
            "run: give keras.Sequential([keras.Input((H, W, 3)), "
            "model.preprocessor.image_converter, model])"
        )


def side_of(model: keras.Model) -> int | None:
    """Side of the square images that a model takes, if it tells."""
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, tuple) and len(shape) == 4 and shape[1] == shape[2]:
        return shape[1]
    return None


def with_logits(model: keras.Model, dataset: Dataset) -> keras.Model:
    """A classifier's logits [B, K], whatever it ends with; the weights are its own.

    A model that gives one number for each image tells two classes apart.

    Args:
        model: images in [0, 1] to logits, probabilities (of one class among all, or of each by
            itself), or one of either.
        dataset: some of its images tell which.

    Raises:
        UserError: fewer outputs than classes, or outputs of another rank.
    """
    outputs = model.output
    if not hasattr(outputs, "shape") or len(outputs.shape) != 2:
        shown = getattr(outputs, "shape", type(outputs).__name__)
        raise UserError(f"a classifier gives outputs [B, K]; this model gives {shown}")
    kind, known = _kind(model, dataset), max(outputs.shape[-1], 2)
    if outputs.dtype != "float32":  # which has no room for the smallest probability
        outputs = keras.ops.cast(outputs, "float32")
    if known < dataset.num_classes:
        first = int(min(source.labels.min() for source in (dataset.train, *dataset.tests.values())))
        remedy = f": labels begin at {first}, and the first class is 0: subtract {first}"
        raise UserError(
            f"the model tells {known} classes apart, but {dataset.name} has "
            f"{dataset.num_classes}{remedy if first else ''}"
        )
    if kind == PROBABILITIES:
        outputs = keras.ops.log(outputs + SMALLEST_PROBABILITY)
    elif kind == SIGMOID and outputs.shape[-1] > 1:
        log = keras.ops.log
        outputs = log(outputs + SMALLEST_PROBABILITY) - log(1.0 - outputs + SMALLEST_PROBABILITY)
    elif kind == SIGMOID:
        both = keras.ops.concatenate([1.0 - outputs, outputs], -1)
        outputs = keras.ops.log(both + SMALLEST_PROBABILITY)
    elif kind == ONE_LOGIT:
        outputs = keras.ops.concatenate([0.0 * outputs, outputs], -1)
    return keras.Model(model.input, outputs, name="classifier")


def check_numbers(model: keras.Model, dataset: Dataset) -> None:
    """Raise unless a model gives as many numbers as the labels have.

    Raises:
        UserError: it names both.
    """
    given, wanted = tuple(model.output_shape), dataset.train.labels.shape[1]
    if given != (None, wanted):
        raise UserError(
            f"labels are {wanted} numbers an image, and the model gives outputs of shape {given}: "
            "for classes, give whole numbers, not floats"
        )


def _kind(model: keras.Model, dataset: Dataset) -> str:
    known = {"softmax": PROBABILITIES, "sigmoid": SIGMOID, "linear": LOGITS}
    single = model.output_shape[-1] == 1
    kind = known.get(last_activation(model) or "")
    if kind == SIGMOID or kind == PROBABILITIES and not single:
        return kind
    if kind == LOGITS:
        return ONE_LOGIT if single else LOGITS
    found = _outputs(model, dataset)
    everywhere = np.concatenate([found, model.predict(_far_from_images(model), verbose=0)])
    bounded = bool((everywhere >= 0).all() and (everywhere <= 1).all())
    if not bounded:
        return ONE_LOGIT if single else LOGITS
    sums_to_one = not single and np.allclose(found.sum(-1), 1, atol=1e-3)
    return PROBABILITIES if sums_to_one else SIGMOID


def _far_from_images(model: keras.Model) -> np.ndarray:
    """Noise of both signs, where logits leave [0, 1] even if they happen not to on images."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(-10.0, 10.0, (32, *model.input_shape[1:]))
    noise += rng.uniform(-10.0, 10.0, (32, 1, 1, 1))
    return np.concatenate([noise, -noise]).astype(np.float32)


def _outputs(model: keras.Model, dataset: Dataset) -> np.ndarray:
    source = dataset.train.without_masks()
    rows = spread_rows(source, LOOKED_AT)
    batches = np.split(rows, range(source.pass_batch, len(rows), source.pass_batch))
    found = [model.predict_on_batch(source.gather(tf.constant(own))["image"]) for own in batches]
    return np.concatenate(found)


def class_weights(given: Any, dataset: Dataset) -> np.ndarray | None:
    """The argument `class_weight`, float32 [K], checked; None stays.

    Args:
        given: a mapping of class numbers, or names, to weights; those left out have 1.
        dataset: its classes.

    Raises:
        UserError: no classes, an unknown one, or a weight below 0.
    """
    if given is None:
        return None
    if dataset.regression or not isinstance(given, Mapping):
        raise UserError(
            "class_weight must map classes to weights, for data with classes; received "
            f"{type(given).__name__}"
        )
    found = np.ones(dataset.num_classes, np.float32)
    places = {name: place for place, name in enumerate(dataset.class_names)}
    for own, weight in given.items():
        place = places.get(own, own)
        known = isinstance(place, int | np.integer) and 0 <= place < len(found)
        if not known or not isinstance(weight, int | float | np.number) or not 0 <= weight < np.inf:
            raise UserError(
                f"class_weight: {own!r}: {weight!r} is no class with a weight of 0 or above; the "
                f"classes are {', '.join(dataset.class_names)[:80]}"
            )
        found[place] = weight
    return found


def compiled_loss(model: keras.Model) -> Any:
    """The loss that a model was compiled with; None where there is none."""
    return (
        loss_of_output(getattr(model, "loss", None)) if getattr(model, "compiled", False) else None
    )


def loss_of_output(loss: Any) -> Any:
    """A loss out of a list or mapping of one, as Keras takes them for a model's one output."""
    held = list(loss.values()) if isinstance(loss, Mapping) else loss
    if isinstance(held, list | tuple) and len(held) < 2:
        return held[0] if held else None
    return loss


def loss_of(
    model: keras.Model, dataset: Dataset, loss: Any, weights: np.ndarray | None = None
) -> Loss:
    """The loss of a model, as the phases take it.

    Args:
        model: the user's; where it is compiled, its loss may count.
        dataset: what its labels are.
        loss: any of Keras, on the model's own outputs; None means cross-entropy for classes, and
            for numbers the loss that the model was compiled with, else the mean squared error.
            Integer labels become one-hot for a loss that is not sparse.
        weights: see `class_weights`; the mean is over the images, as Keras has it.
    """
    if loss is None and not dataset.regression:
        return cross_entropy if weights is None else _weighted_cross_entropy(weights)
    if loss is None:
        loss = compiled_loss(model) or keras.losses.MeanSquaredError()
    own = keras.losses.get(loss_of_output(loss))
    name = getattr(own, "name", getattr(own, "__name__", ""))
    one_hot = not dataset.regression and not name.startswith("sparse")

    def mean_loss(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        width = outputs.shape[-1]
        own_weights = None if weights is None else tf.gather(tf.constant(weights), labels)
        if one_hot:
            labels = (
                tf.one_hot(labels, width) if width > 1 else tf.cast(labels[:, None], tf.float32)
            )
        if own_weights is not None and isinstance(own, keras.losses.Loss):
            return tf.cast(own(labels, outputs, sample_weight=own_weights), tf.float32)
        each = tf.cast(own(labels, outputs), tf.float32)
        return tf.reduce_mean(each if own_weights is None else each * own_weights)

    return mean_loss


def _weighted_cross_entropy(weights: np.ndarray) -> Loss:
    def loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.cast(logits, tf.float32))
        return tf.reduce_mean(each * tf.gather(tf.constant(weights), labels))

    return loss


def knows_something(model: keras.Model, dataset: Dataset, loss: Loss) -> bool:
    """Whether a model does better on training images than the best constant answer would.

    Args:
        model: images to what the loss takes.
        dataset: its training images, 512 of them.
        loss: cross-entropy for classes; for numbers, see `loss_of`.
    """
    labels = dataset.train.labels[spread_rows(dataset.train, LOOKED_AT)]
    if dataset.regression:
        constant = np.broadcast_to(labels.mean(0), labels.shape).astype(np.float32)
    else:
        shares = np.bincount(labels, minlength=model.output_shape[-1]) / len(labels)
        constant = np.broadcast_to(
            np.log(shares + SMALLEST_PROBABILITY), (len(labels), len(shares))
        )
    own = loss(tf.constant(labels), tf.constant(_outputs(model, dataset)))
    best = loss(tf.constant(labels), tf.constant(constant, tf.float32))
    return bool(own < best)


def can_be_saved(model: keras.Model) -> bool:
    """Whether Keras can write all layers of a model, those of the user's own too."""
    try:
        keras.saving.serialize_keras_object(model)
    except Exception:  # whatever a layer's get_config raises
        return False
    return True


def numbers_of(said: Mapping[str, Any]) -> dict[str, int]:
    """A number for each value, that tells it from others in a later process."""
    return {name: zlib.crc32(repr(value).encode()) for name, value in said.items()}


def weights_number(model: keras.Model) -> int:
    """A number that tells a model's weights from others."""
    return zlib.crc32(b"".join(own.tobytes() for own in model.get_weights()))
