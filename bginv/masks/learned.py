"""Masks by a small network on a classifier's frozen features, learned from image labels alone."""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from bginv.data.sources import Source
from bginv.errors import UserError
from bginv.masks.cam import OBJECT, along_edges, resized
from bginv.masks.source import Mask, MaskSource, Picture, confidence_of
from bginv.masks.stored_features import (
    LEVELS,
    SAMPLE,
    frozen_copy,
    image_size,
    normalized_cut_loss,
    reducing,
    stored_features,
)
from bginv.nn.features import FeatureMaps, network_digest
from bginv.nn.layers import glorot_uniform
from bginv.ops.losses import cross_entropy

ALLOWED = 0.05
"""Of the mask; grabCut finds nothing below it."""
Extra = Callable[[tf.Tensor, Callable[[tf.Tensor], tf.Tensor], tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class LearnSettings:
    """How masks are learned.

    Attributes:
        steps: batches.
        batchsize: photographs a batch.
        learning_rate: of Adam.
        cut: weight of the normalised cut; that of the classifier's loss is 1.
        guide: weight of the correlation with the class activation map.
        filters: of the mask head.
        photographs: the most that are used, drawn at random; each takes 0.5 MB.
    """

    steps: int = 400
    batchsize: int = 32
    learning_rate: float = 1e-3
    cut: float = 1.0
    guide: float = 0.3
    filters: int = 32
    photographs: int = 1500


class LearnedMasks(MaskSource):
    """Masks by a network that `learn_masks` made.

    Args:
        network: images float32 [B, H, W, C] in [0, 1] to masks [B, h, w, 1]; an ordinary Keras
            model, which can be saved and loaded.
    """

    name = "learned"
    seconds = 0.15

    def __init__(self, network: keras.Model):
        self.network = network
        self._run = tf.function(lambda images: network(images, training=False))
        self._digest = network_digest(network)

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`."""
        return f"learned 2 {self._digest}"

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        rows, columns, channels = self.network.input_shape[1:]
        images = [resized(own.pixels, (rows, columns), channels) for own in pictures]
        found = self._run(np.stack(images)).numpy()[..., 0]
        return list(map(_mask, pictures, found))


class MasksToLearn(MaskSource):
    """Masks that are learned when the first of them is asked for; kept ones need no learning.

    Args:
        source: images with a class each, see `learn_masks`.
        classifier: see there; what is learned depends on its weights as they are now.
        seed: see there.
    """

    name = LearnedMasks.name
    seconds = LearnedMasks.seconds

    def __init__(self, source: Source, classifier: keras.Model, seed: int = 0):
        self._source, self._classifier, self._seed = source, classifier, seed
        self._fingerprint = f"learned 2 {network_digest(classifier)} {source.digest()} {seed}"
        self._learned: LearnedMasks | None = None

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`."""
        return self._fingerprint

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        if self._learned is None:
            self._learned = learn_masks(self._source, self._classifier, seed=self._seed)
        return self._learned.masks(pictures)


def learn_masks(
    source: Source,
    classifier: keras.Model,
    settings: LearnSettings | None = None,
    seed: int = 0,
    extra: Extra | None = None,
) -> LearnedMasks:
    """Masks that keep the class and part each picture where its features and colours differ most.

    A head on the classifier's frozen features of two depths gives a mask m. It is trained by the
    cross-entropy of the classifier, which sees its last features averaged over the mask alone, plus
    the normalised cut between m and 1 - m (Tang et al. 2018, eq. 7), whose affinities are those of
    features and colours, minus the correlation of m and the class activation map. No area is set:
    the cut tells where the object ends, the classifier which part it is. Without its map, classes
    that their backgrounds tell, as faces before an office wall, come out inverted. As masks act on
    features, not on pixels, a photograph goes through the network once.

    Args:
        source: images with a class each.
        classifier: images in [0, 1] to logits, see `FeatureMaps`; it stays as it is, and a copy of
            its layers is in the result.
        settings: None for the defaults.
        seed: of weights and of the order; the same gives the same masks.
        extra: another term of the loss, for studies: of the masks, of a function from masks to the
            classifier's logits, and of labels.

    Raises:
        UserError: see `FeatureMaps`; labels that are not class numbers.
    """
    settings = settings or LearnSettings()
    if source.labels.ndim != 1:
        raise UserError("masks are learned from a class for each image; received other labels")
    maps = FeatureMaps(classifier)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(source))[: settings.photographs]
    source = source.take(np.sort(order))
    trunk = frozen_copy(maps.at(*image_size(maps)))
    sample = source.take(np.sort(rng.permutation(len(source))[:SAMPLE]))
    reduced = reducing(trunk, sample)
    stored = stored_features(source, reduced, maps)
    head = _head(reduced, stored["deep"], settings.filters, seed)
    step = _compiled(maps, head, settings, extra)
    for _ in range(settings.steps):
        rows = rng.choice(len(source), min(settings.batchsize, len(source)), replace=False)
        step({name: tf.constant(part[rows]) for name, part in stored.items()})
    masks = head(reduced.outputs[1:])
    return LearnedMasks(keras.Model(trunk.input, masks, name="learned_masks"))


def _compiled(
    maps: FeatureMaps, head: keras.Model, settings: LearnSettings, extra: Extra | None
) -> Callable[[dict[str, tf.Tensor]], tf.Tensor]:
    optimizer = keras.optimizers.Adam(settings.learning_rate)
    optimizer.build(head.trainable_variables)

    @tf.function(autograph=False)
    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        deep = tf.cast(batch["deep"], tf.float32)

        def logits_of(masks: tf.Tensor) -> tf.Tensor:
            coarse = tf.image.resize(masks, deep.shape[1:3], antialias=True)
            return maps.logits(_seen(deep, coarse, maps.places))

        with tf.GradientTape() as tape:
            masks = head([tf.cast(batch["fine"], tf.float32), deep], training=True)
            coarse = tf.image.resize(masks, deep.shape[1:3], antialias=True)
            loss = cross_entropy(batch["label"], logits_of(masks))
            flat = tf.reshape(masks, [-1, batch["affinity"].shape[1]])
            affinities = tf.cast(batch["affinity"], tf.float32) / LEVELS
            loss += settings.cut * normalized_cut_loss(flat, affinities)
            loss -= settings.guide * mean_correlation(coarse, tf.cast(batch["seen"], tf.float32))
            if extra:
                loss += extra(masks, logits_of, batch["label"])
        gradients = tape.gradient(loss, head.trainable_variables)
        optimizer.apply(gradients, head.trainable_variables)
        return loss

    return step


def mean_correlation(masks: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Pearson's correlation over the places of a picture, the mean over pictures.

    Args:
        masks: float32 [B, h, w, 1].
        maps: the same.

    Returns:
        Scalar float32 in [-1, 1]; a flat one counts 0.
    """
    centred = [own - tf.reduce_mean(own, [1, 2], keepdims=True) for own in (masks, maps)]
    norms = [tf.sqrt(tf.reduce_sum(own**2, [1, 2, 3]) + 1e-6) for own in centred]
    products = tf.reduce_sum(centred[0] * centred[1], [1, 2, 3])
    return tf.reduce_mean(products / (norms[0] * norms[1]))


def _seen(deep: tf.Tensor, masks: tf.Tensor, places: tuple[int, int]) -> tf.Tensor:
    """Maps of the classifier's own size whose value everywhere is the mean over the mask."""
    total = tf.reduce_sum(deep * masks, [1, 2], keepdims=True)
    mean = total / (tf.reduce_sum(masks, [1, 2], keepdims=True) + 1e-3)
    return tf.broadcast_to(mean, [tf.shape(mean)[0], *places, mean.shape[-1]])


def _head(reduced: keras.Model, deep: np.ndarray, filters: int, seed: int) -> keras.Model:
    """Both features to a mask of the finer one's size."""
    initializers = glorot_uniform(seed)
    fine_shape, deep_shape = (own.shape[1:] for own in reduced.outputs[1:])
    inputs = [layers.Input(shape) for shape in (fine_shape, deep_shape)]
    values = deep[:SAMPLE].astype(np.float32)
    variance = values.var((0, 1, 2))
    floor = 1e-3 * variance.mean() + 1e-9
    normalize = layers.Normalization(mean=values.mean((0, 1, 2)), variance=variance + floor)

    def convolution(size: int) -> layers.Layer:
        own = next(initializers)
        return layers.Conv2D(filters, size, padding="same", kernel_initializer=own)

    near, far = convolution(1)(inputs[0]), convolution(1)(normalize(inputs[1]))
    x = layers.Add()([near, layers.Resizing(*fine_shape[:2])(far)])
    x = layers.ReLU()(convolution(3)(layers.ReLU()(x)))
    last = layers.Conv2D(
        1, 1, activation="sigmoid", kernel_initializer=next(initializers), name="mask"
    )
    return keras.Model(inputs, last(x), name="mask_head")


def _mask(picture: Picture, found: np.ndarray) -> Mask:
    if found.max() <= OBJECT:
        return Mask.failed(picture, "the learned mask is empty")
    soft, agreement = along_edges(picture.pixels, found, ALLOWED)
    return Mask(soft, confidence_of(found) * agreement)
