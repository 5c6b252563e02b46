"""Masks by a small network on a classifier's frozen features, learned from image labels alone."""

import dataclasses
import hashlib
from collections.abc import Sequence

import cv2
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from bginv.data.sources import Source
from bginv.masks.cam import OBJECT, along_edges, resized
from bginv.masks.normalized_cut import affinity, normalized_cut_loss
from bginv.masks.source import Mask, MaskSource, Picture, confidence_of
from bginv.models.initializers import glorot_uniform
from bginv.nn.feature_maps import FeatureMaps
from bginv.ops.losses import cross_entropy

FEWEST_PLACES, MOST_PLACES = 10, 16
ENLARGED = 10 / 7
"""Of the images, so that the maps of 224 rows, 7 x 7, become 10 x 10."""
COMPONENTS = 64
"""Principal components that are kept of the finer features."""
SAMPLE, BATCH = 64, 16
"""Photographs that give the statistics of features, and those that are seen at once."""
LEVELS = 170.0
"""Affinities, up to 1.5, are stored as bytes."""


@dataclasses.dataclass(frozen=True)
class LearnSettings:
    """How masks are learned.

    Attributes:
        steps: batches.
        batchsize: photographs a batch.
        learning_rate: of Adam.
        cut: weight of the normalised cut; that of the classifier's loss is 1.
        filters: of the mask head.
        photographs: the most that are used, drawn at random; each takes 0.5 MB.
    """

    steps: int = 400
    batchsize: int = 32
    learning_rate: float = 1e-3
    cut: float = 1.0
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
        digest = hashlib.sha256()
        for weight in network.get_weights():
            digest.update(np.ascontiguousarray(weight))
        self._digest = digest.hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`."""
        return f"learned 1 {self._digest}"

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        rows, columns, channels = self.network.input_shape[1:]
        images = [resized(own.pixels, (rows, columns), channels) for own in pictures]
        found = self._run(np.stack(images)).numpy()[..., 0]
        return list(map(_mask, pictures, found))


def learn_masks(
    source: Source, classifier: keras.Model, settings: LearnSettings | None = None, seed: int = 0
) -> LearnedMasks:
    """Masks that keep the class and part each picture where its features and colours differ most.

    A head on the classifier's frozen features of two depths gives a mask m. It is trained by the
    cross-entropy of the classifier, which sees its last features averaged over the mask alone, plus
    the normalised cut between m and 1 - m (Tang et al. 2018, eq. 7), whose affinities are those of
    features and colours. No area is set: the cut tells where the object ends, the classifier which
    part it is. As masks act on features, not on pixels, a photograph goes through the network once.

    Args:
        source: images with a class each.
        classifier: images in [0, 1] to logits, see `FeatureMaps`; it stays as it is, and a copy of
            its layers is in the result.
        settings: None for the defaults.
        seed: of weights and of the order; the same gives the same masks.

    Raises:
        ValueError: see `FeatureMaps`; labels that are not class numbers.
    """
    settings = settings or LearnSettings()
    if source.labels.ndim != 1:
        raise ValueError("masks are learned from a class for each image; received other labels")
    maps = FeatureMaps(classifier)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(source))[: settings.photographs]
    source = source.take(np.sort(order))
    trunk = _copied(maps.at(*_size(maps)))
    sample = source.take(np.sort(rng.permutation(len(source))[:SAMPLE]))
    reduced = _reducing(trunk, sample)
    stored = _stored(source, reduced)
    head = _head(reduced, stored["deep"], settings.filters, seed)
    step = _compiled(maps, head, settings)
    for _ in range(settings.steps):
        rows = rng.choice(len(source), min(settings.batchsize, len(source)), replace=False)
        step({name: tf.constant(part[rows]) for name, part in stored.items()})
    masks = head(reduced.outputs[1:])
    return LearnedMasks(keras.Model(trunk.input, masks, name="learned_masks"))


def _compiled(maps: FeatureMaps, head: keras.Model, settings: LearnSettings):
    optimizer = keras.optimizers.Adam(settings.learning_rate)
    optimizer.build(head.trainable_variables)

    @tf.function(autograph=False)
    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        deep = tf.cast(batch["deep"], tf.float32)
        with tf.GradientTape() as tape:
            masks = head([tf.cast(batch["fine"], tf.float32), deep], training=True)
            loss = cross_entropy(batch["label"], maps.logits(_seen(deep, masks, maps.places)))
            flat = tf.reshape(masks, [-1, batch["affinity"].shape[1]])
            affinities = tf.cast(batch["affinity"], tf.float32) / LEVELS
            loss += settings.cut * normalized_cut_loss(flat, affinities)
        gradients = tape.gradient(loss, head.trainable_variables)
        optimizer.apply(gradients, head.trainable_variables)
        return loss

    return step


def _seen(deep: tf.Tensor, masks: tf.Tensor, places: tuple[int, int]) -> tf.Tensor:
    """Maps of the classifier's own size whose value everywhere is the mean over the mask."""
    masks = tf.image.resize(masks, deep.shape[1:3], antialias=True)
    total = tf.reduce_sum(deep * masks, [1, 2], keepdims=True)
    mean = total / (tf.reduce_sum(masks, [1, 2], keepdims=True) + 1e-3)
    return tf.broadcast_to(mean, [tf.shape(mean)[0], *places, mean.shape[-1]])


def _size(maps: FeatureMaps) -> list[int]:
    """Rows and columns of the images that masks are computed of."""
    size = []
    for side, places in zip(maps.image_shape, maps.places, strict=False):
        wanted = min(max(round(ENLARGED * places), FEWEST_PLACES), MOST_PLACES)
        size.append(round(side / places) * wanted)
    return size


def _copied(model: keras.Model) -> keras.Model:
    """A frozen model of the same weights, which later training does not reach."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.trainable = False
    return copy


def _reducing(trunk: keras.Model, sample: Source) -> keras.Model:
    """Images to the finer features, their principal components, and the last features."""
    own = tf.concat([trunk(_images(batch, trunk))[0] for batch in sample.batches(BATCH)], 0)
    values = np.reshape(own.numpy().astype(np.float64), (-1, own.shape[-1]))
    mean = values.mean(0)
    variances, axes = np.linalg.eigh(np.cov(values.T))
    kept = min(COMPONENTS, len(mean))
    kernel = axes[:, -kept:] / np.sqrt(variances[-kept:].mean() + 1e-9)
    layer = layers.Conv2D(kept, 1, trainable=False, name="principal_components")
    fine, deep = trunk.outputs
    model = keras.Model(trunk.input, [fine, layer(fine), deep])
    layer.set_weights([kernel[None, None], -mean @ kernel])
    return model


def _images(batch: dict[str, tf.Tensor], network: keras.Model) -> tf.Tensor:
    return tf.image.resize(batch["image"], network.input_shape[1:3], antialias=True)


def _stored(source: Source, network: keras.Model) -> dict[str, np.ndarray]:
    """Features, affinities and labels of every photograph."""
    run = tf.function(lambda images: network(images, training=False), autograph=False)
    parts: dict[str, list] = {"fine": [], "deep": [], "affinity": []}
    for batch in source.batches(BATCH):
        images = _images(batch, network)
        raw, fine, deep = run(images)
        places = raw.shape[1:3]
        number = places[0] * places[1]
        wide = tf.image.resize(deep, places).numpy().reshape(-1, number, deep.shape[-1])
        colour = images if images.shape[-1] == 3 else tf.image.grayscale_to_rgb(images)
        small = tf.image.resize(colour, places, "area").numpy()
        near = raw.numpy().reshape(-1, number, raw.shape[-1])
        for own, far, image in zip(near, wide, small, strict=True):
            colours = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).reshape(number, 3)
            levels = affinity([own, far], colours) * LEVELS
            parts["affinity"].append(np.round(np.minimum(levels, 255)).astype(np.uint8)[None])
        parts["fine"].append(fine.numpy().astype(np.float16))
        parts["deep"].append(deep.numpy().astype(np.float16))
    stored = {name: np.concatenate(own) for name, own in parts.items()}
    return {**stored, "label": source.labels}


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
    soft, agreement = along_edges(picture.pixels, found)
    return Mask(soft, confidence_of(found) * agreement)
