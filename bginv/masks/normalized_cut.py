"""Two parts of a picture whose features and colours differ most, by a normalised cut."""

import numpy as np
import tensorflow as tf

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
