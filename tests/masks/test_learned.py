"""Tests of learned masks: a red or a blue square, at any place on a green ground."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.data.sources import ArraySource
from bginv.masks.learned import (
    LearnedMasks,
    LearnSettings,
    learn_masks,
    mean_correlation,
)
from bginv.masks.source import Picture
from bginv.masks.stored_features import normalized_cut_loss
from tests.masks.test_cam import SIDE, _classifier

SETTINGS = LearnSettings(steps=60, batchsize=16, learning_rate=1e-2, filters=8)


def _squares(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 40, (number, SIDE, SIDE, 3))
    images[..., 1] += 120
    labels = np.arange(number, dtype=np.int32) % 2
    truth = np.zeros((number, SIDE, SIDE), bool)
    for image, label, true in zip(images, labels, truth, strict=True):
        row, column = rng.integers(4, 32, 2)
        square = np.s_[row : row + 26, column : column + 24]
        image[square] = rng.integers(0, 40, (26, 24, 3))
        image[(*square, 2 * label)] += 180
        true[square] = True
    return images.astype(np.uint8), labels, truth


@pytest.fixture(scope="module")
def learned() -> LearnedMasks:
    images, labels, _ = _squares(32)
    return learn_masks(ArraySource(images, labels), _classifier(nested=True), SETTINGS, seed=3)


def _found(source: LearnedMasks, images: np.ndarray) -> np.ndarray:
    masks = source.masks([Picture(image, "a") for image in images])
    assert all(mask.failure is None for mask in masks)
    return np.stack([mask.soft for mask in masks])


def test_the_squares_are_found(learned):
    images, _, truth = _squares(32)
    found = _found(learned, images) > 0.5
    iou = (found & truth).sum((1, 2)) / (found | truth).sum((1, 2))
    assert iou.mean() > 0.8


def test_pictures_of_other_sizes(learned):
    images, _, _ = _squares(2)
    tall = np.concatenate([images, images], 1)[:, :90]
    assert _found(learned, tall).shape == (2, 90, SIDE)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_masks_and_another_others():
    images, labels, _ = _squares(8)
    source = ArraySource(images, labels)
    short = LearnSettings(steps=2, filters=8)
    prints = [
        learn_masks(source, _classifier(nested=True), short, seed).fingerprint for seed in (0, 0, 1)
    ]
    assert prints[0] == prints[1] != prints[2]


def test_a_saved_network_is_the_same_source(learned, tmp_path):
    learned.network.save(tmp_path / "masks.keras")
    loaded = LearnedMasks(keras.models.load_model(tmp_path / "masks.keras", safe_mode=True))
    assert loaded.fingerprint == learned.fingerprint
    images, _, _ = _squares(3)
    np.testing.assert_array_equal(_found(loaded, images), _found(learned, images))


def test_the_classifier_stays_as_it_is_and_apart():
    images, labels, _ = _squares(8)
    classifier = _classifier(nested=True)
    before = classifier.get_weights()
    source = learn_masks(ArraySource(images, labels), classifier, LearnSettings(steps=2))
    for old, new in zip(before, classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    found = _found(source, images)
    classifier.set_weights([0 * own for own in before])
    np.testing.assert_array_equal(_found(source, images), found)


def test_labels_of_several_classes_an_image_are_refused():
    images, _, _ = _squares(4)
    several = ArraySource(images, np.ones((4, 2), np.int32))
    with pytest.raises(ValueError, match="a class for each image"):
        learn_masks(several, _classifier(nested=True))


def test_normalized_cut_loss_by_hand():
    affinities = tf.constant([[[2.0, 2, 1], [2, 2, 0], [1, 0, 3]]])
    apart = normalized_cut_loss(tf.constant([[1.0, 1, 0]]), affinities)
    np.testing.assert_allclose(apart, 1 / 9 + 1 / 4, rtol=1e-3)
    across = normalized_cut_loss(tf.constant([[1.0, 0, 1]]), affinities)
    np.testing.assert_allclose(across, 2 / 9 + 2 / 4, rtol=1e-3)


def test_mean_correlation_by_hand():
    masks = tf.reshape(tf.constant([[0.0, 1, 1, 0], [0, 1, 0, 1]]), (2, 2, 2, 1))
    maps = tf.reshape(tf.constant([[0.0, 1, 1, 0], [1, 0, 1, 0]]), (2, 2, 2, 1))
    np.testing.assert_allclose(mean_correlation(masks[:1], maps[:1]), 1, atol=1e-4)
    np.testing.assert_allclose(mean_correlation(masks, maps), 0, atol=1e-4)
    assert mean_correlation(0 * masks, maps) == 0
