"""Features kept for learned masks, and the normalized cut of their affinities."""

import cv2
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from bginv.data.sources import Source
from bginv.nn.features import FeatureMaps

COLOUR_WEIGHT = 0.5
ROUNDS = 40
LEAST = 1e-5
"""Of an affinity, so that the graph is in one piece."""


def affinity(features: list[np.ndarray], colours: np.ndarray) -> np.ndarray:
    """How much each two places of a picture belong together.

    The mean cosine of the features, each without its mean over the picture, plus
    `exp(-d^2 / 2) / 2`, d the distance of the colours in their own deviations.

    Args:
        features: float [n, F] each.
        colours: float [n, 3].

    Returns:
        float32 [n, n], above 0.
    """
    total = np.zeros((len(colours),) * 2, np.float32)
    for own in features:
        centred = own - own.mean(0)
        unit = centred / (np.linalg.norm(centred, axis=1, keepdims=True) + 1e-6)
        total += unit @ unit.T / len(features)
    scaled = colours / (colours.std(0) + 1e-6)
    square = np.sum(scaled**2, 1)
    distance = np.maximum(square[:, None] + square - 2 * scaled @ scaled.T, 0)
    return np.maximum(total + COLOUR_WEIGHT * np.exp(-distance / 2), 0) + LEAST


def normalized_cut(affinities: np.ndarray) -> np.ndarray:
    """The relaxed normalised cut in two (Shi & Malik 2000, eq. 6), from 0 to 1.

    Which part is which is open. The second generalised eigenvector, by subspace iteration.

    Args:
        affinities: float32 [n, n], above 0.

    Returns:
        float32 [n].
    """
    degree = np.sqrt(affinities.sum(0))
    scaled = affinities / degree[:, None] / degree
    basis = np.random.default_rng(0).normal(size=(len(degree), 4)).astype(np.float32)
    basis[:, 0] = degree
    for _ in range(ROUNDS):
        basis, _ = np.linalg.qr(scaled @ basis + basis)  # eigenvalues of `scaled` begin at -1
    _, turn = np.linalg.eigh(basis.T @ scaled @ basis)
    second = (basis @ turn[:, -2]) / degree
    return ((second - second.min()) / max(np.ptp(second), 1e-9)).astype(np.float32)


def normalized_cut_loss(masks: tf.Tensor, affinities: tf.Tensor) -> tf.Tensor:
    """Mean over pictures of the normalised cut of soft masks (Tang et al. 2018, eq. 7).

    `m'A(1-m) / m'd + (1-m)'Am / (1-m)'d`, d = A1.

    Args:
        masks: float32 [B, n] in [0, 1].
        affinities: float32 [B, n, n], symmetric, at least 0.

    Returns:
        Scalar float32 in [0, 2].
    """
    rest = 1 - masks
    degree = tf.reduce_sum(affinities, 2)
    cut = tf.reduce_sum(masks * tf.linalg.matvec(affinities, rest), 1)
    shares = [cut / (tf.reduce_sum(part * degree, 1) + 1e-3) for part in (masks, rest)]
    return tf.reduce_mean(tf.add_n(shares))


FEWEST_PLACES, MOST_PLACES = 10, 16
ENLARGED = 10 / 7
"""Of the images, so that the maps of 224 rows, 7 x 7, become 10 x 10."""
COMPONENTS = 64
"""Principal components that are kept of the finer features."""
SAMPLE, BATCH = 64, 16
"""Photographs that give the statistics of features, and those that are seen at once."""
LEVELS = 170.0
"""Affinities, up to 1.5, are stored as bytes."""


def image_size(maps: FeatureMaps) -> list[int]:
    """Rows and columns of the images that masks are computed of."""
    size = []
    for side, places in zip(maps.image_shape, maps.places, strict=False):
        wanted = min(max(round(ENLARGED * places), FEWEST_PLACES), MOST_PLACES)
        size.append(round(side / places) * wanted)
    return size


def frozen_copy(model: keras.Model) -> keras.Model:
    """A frozen model of the same weights, which later training does not reach."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.trainable = False
    return copy


def reducing(trunk: keras.Model, sample: Source) -> keras.Model:
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


def stored_features(
    source: Source, network: keras.Model, maps: FeatureMaps
) -> dict[str, np.ndarray]:
    """What training needs of every photograph, in its order, by name.

    Args:
        source: images with a class each.
        network: of `reducing`.
        maps: of the classifier.

    Returns:
        `fine` [N, 2h, 2w, C] and `deep` [N, h, w, G], features; `seen` [N, h, w, 1] in [0, 1], the
        class activation map; `affinity` uint8 [N, n, n] in steps of 1 / LEVELS, n = 4 h w;
        `label` [N].
    """
    run = tf.function(lambda images: network(images, training=False), autograph=False)
    parts: dict[str, list] = {"fine": [], "deep": [], "affinity": [], "seen": []}

    @tf.function(autograph=False)
    def seen(batch: dict[str, tf.Tensor], deep: tf.Tensor) -> tf.Tensor:
        _, own = maps.native(_images(batch, maps.native), training=False)
        weights = maps.channel_weights(own, tf.cast(batch["label"], tf.int32))
        return tf.nn.relu(tf.einsum("bhwc,bc->bhw", tf.cast(deep, tf.float32), weights))

    for batch in source.batches(BATCH):
        images = _images(batch, network)
        raw, fine, deep = run(images)
        found = seen(batch, deep)
        found /= tf.reduce_max(found, [1, 2], keepdims=True) + 1e-9
        parts["seen"].append(found.numpy()[..., None].astype(np.float16))
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
