"""Tests of masks by a classifier's own maps: a red or a blue square on a green ground."""

import keras
import numpy as np
import pytest
from keras import layers

from bginv.masks.cam import CamMasks, along_edges
from bginv.masks.source import Picture
from bginv.masks.stored_features import affinity, normalized_cut
from bginv.nn.features import FeatureMaps

SIDE = 64
SQUARE = np.s_[16:40, 24:52]
TRUTH = np.zeros((72, 80), bool)
TRUTH[SQUARE] = True


def _picture(colour: int, label: int | None = None) -> Picture:
    pixels = np.random.default_rng(colour).integers(0, 40, (72, 80, 3))
    pixels[..., 1] += 120
    pixels[SQUARE] = np.random.default_rng(1).integers(0, 40, (24, 28, 3))
    pixels[(*SQUARE, colour)] += 180
    return Picture(pixels.astype(np.uint8), f"{colour}.png", label)


def _classifier(nested: bool) -> keras.Model:
    """Red or blue: the excess of a channel over the other two, averaged; weights are set."""
    image = layers.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(3, 1, activation="relu", name="excess")(image)
    x = layers.AveragePooling2D(4)(x)
    backbone = keras.Model(image, layers.AveragePooling2D(2)(x))
    backbone.get_layer("excess").set_weights([(2 * np.eye(3) - 1)[None, None], np.zeros(3)])
    if nested:
        top = [layers.Rescaling(1.0), backbone, layers.GlobalAveragePooling2D()]
        model = keras.Sequential([layers.Input((SIDE, SIDE, 3)), *top, layers.Dense(2)])
    else:
        x = layers.Flatten()(backbone.output)
        model = keras.Model(backbone.input, layers.Dense(2)(x))
    kernel = np.array([[1.0, -1], [0, 0], [-1, 1]])
    places = 1 if nested else (SIDE // 8) ** 2
    model.layers[-1].set_weights([np.tile(kernel, (places, 1)), np.zeros(2)])
    return model


def _iou(soft: np.ndarray) -> float:
    found = soft > 0.5
    return (found & TRUTH).sum() / (found | TRUTH).sum()


@pytest.mark.parametrize("nested", [False, True])
def test_the_square_is_found_whichever_class_it_is(nested):
    source = CamMasks(_classifier(nested))
    masks = source.masks([_picture(0, 0), _picture(2, 1), _picture(2)])
    for mask in masks:
        assert mask.failure is None
        assert mask.soft.shape == TRUTH.shape and mask.soft.dtype == np.float32
        assert _iou(mask.soft) > 0.85
        assert mask.confidence > 0.7


def test_a_map_that_sees_nothing_is_a_failure():
    mask = CamMasks(_classifier(True)).masks([_picture(1, 0)])[0]
    assert "map is empty" in mask.failure
    assert mask.soft.min() == 1 and mask.confidence == 0


def test_fingerprint_follows_the_weights():
    classifier = _classifier(True)
    source = CamMasks(classifier)
    before = source.fingerprint
    assert CamMasks(_classifier(True)).fingerprint == before
    image = keras.Input(classifier.input_shape[1:])
    other = keras.Model(image, classifier(keras.layers.Rescaling(255)(image)))
    assert CamMasks(other).fingerprint != before
    classifier.layers[-1].set_weights([own + 1 for own in classifier.layers[-1].get_weights()])
    assert source.fingerprint != before


def test_feature_maps_are_found_inside_a_nested_network_and_at_other_sizes():
    maps = FeatureMaps(_classifier(True))
    assert [own.shape[1:3] for own in maps.native.outputs] == [(16, 16), (8, 8)]
    assert [own.shape[1:3] for own in maps.at(96, 128).outputs] == [(24, 32), (12, 16)]


def test_channel_weights_are_those_of_cam():
    classifier = _classifier(True)
    maps = FeatureMaps(classifier)
    _, deep = maps.native(np.random.default_rng(0).random((2, SIDE, SIDE, 3), np.float32))
    kernel = classifier.layers[-1].get_weights()[0]
    expected = (kernel[:, 1] - kernel[:, 0]) / 64
    np.testing.assert_allclose(maps.channel_weights(deep, np.array([1, 1])), [expected] * 2, 1e-5)


def test_networks_without_maps_or_a_fixed_size_are_refused():
    vector = layers.Input([4])
    with pytest.raises(ValueError, match="no feature maps"):
        FeatureMaps(keras.Model(vector, layers.Dense(2)(vector)))
    image = layers.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    with pytest.raises(ValueError, match="fixed size"):
        FeatureMaps(keras.Model(image, layers.Dense(2)(pooled)))


def test_normalized_cut_parts_two_blocks():
    rng = np.random.default_rng(0)
    group = np.arange(20) < 8
    features = np.where(group[:, None], [3.0, 0], [0, 3]) + rng.normal(0, 0.3, (20, 2))
    affinities = affinity([features], rng.random((20, 3)))
    assert affinities.min() > 0
    np.testing.assert_allclose(affinities, affinities.T, atol=1e-5)
    part = normalized_cut(affinities) > 0.5
    assert (part == group).all() or (part != group).all()


def test_small_pieces_are_dropped():
    rough = np.zeros((72, 80), np.float32)
    rough[SQUARE] = 1
    rough[60:63, 5:8] = 1
    soft, agreement = along_edges(_picture(0).pixels, rough)
    assert soft[60:63, 5:8].max() < 0.1
    assert _iou(soft) > 0.9 and agreement > 0.9
