"""How much of what moves a model's answer lies on the background."""

import dataclasses

import numpy as np
import tensorflow as tf

from bginv.auditing.models import AuditedModel
from bginv.auditing.variants import CutPictures, stratified

BATCH, SAMPLE = 8, 128
TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class GradientShare:
    """Where gradients lie.

    Attributes:
        background: share of their energy on backgrounds, mean over pictures.
        area: share of the pictures that is background.
        count: pictures.
    """

    background: float
    area: float
    count: int


def gradient_share(model: AuditedModel, pictures: CutPictures) -> GradientShare | None:
    """The share of the energy of the input gradient that lies on the background.

    Of the largest score by the image (Simonyan et al. 2014), squared and summed over channels.
    None where gradients cannot be had.

    Args:
        model: see there.
        pictures: with masks; a sample is looked at.
    """
    rows = np.flatnonzero(pictures.has_object)
    rows = rows[stratified(pictures.labels[rows], SAMPLE)]
    if model.model is None or not len(rows):
        return None
    network = model.model

    @tf.function(reduce_retracing=True)
    def energy(images: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(images)
            best = tf.reduce_max(tf.cast(network(images, training=False), tf.float32), -1)
        gradients = tape.gradient(best, images)
        return (
            tf.zeros(tf.shape(images)[:3]) if gradients is None else tf.reduce_sum(gradients**2, -1)
        )

    shares = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        images = model.pixels.of_unit(pictures.images[part].astype(np.float32) / 255)
        found = energy(tf.constant(images)).numpy()
        behind = ~pictures.masks[part]
        shares += list((found * behind).sum((1, 2)) / np.maximum(found.sum((1, 2)), TINY))
    if not np.any(shares):
        return None
    return GradientShare(float(np.mean(shares)), float((~pictures.masks[rows]).mean()), len(rows))
