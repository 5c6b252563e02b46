"""The layer that mixes backgrounds, in models and in pipelines."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import bginv
from bginv.layers import BackgroundMix
from bginv.nn.paper_networks import build_mask_unet

layers = keras.layers
SHADES = (0.2, 0.4, 0.6, 0.8)


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Four flat backgrounds with a white square each, and the masks of these."""
    images = np.stack([np.full((8, 8, 3), shade, np.float32) for shade in SHADES])
    masks = np.zeros((4, 8, 8, 1), np.float32)
    masks[:, 2:5, 1:4] = 1
    return np.where(masks > 0, np.float32(1), images), masks


def check_mixed(found, masks):
    """Objects stay, and behind each is the whole background of another picture."""
    found = np.asarray(found, np.float32)
    assert (found[masks[..., 0] > 0] == 1).all()
    behind = [
        np.unique(np.round(own[mask[..., 0] == 0], 2))
        for own, mask in zip(found, masks, strict=True)
    ]
    assert all(own.size == 1 for own in behind)
    shades = np.concatenate(behind)
    np.testing.assert_allclose(np.sort(shades), SHADES, atol=2e-3)
    assert (np.abs(shades - SHADES) > 0.1).all()


@pytest.mark.parametrize("name", ["masks", "segmentation_masks"])
def test_a_dict_keeps_what_else_it_has(name):
    images, masks = pictures()
    mix = BackgroundMix(masks="given", rate=1.0, seed=0)
    data = {"images": images, name: masks, "labels": np.arange(4)}
    found = mix(data)
    check_mixed(found["images"], masks)
    assert list(found) == list(data) and found["labels"].dtype == tf.int64
    assert np.array_equal(found[name], masks)
    np.testing.assert_array_equal(mix(data, training=False)["images"], images)


def test_a_pipeline_of_tuples_and_what_keras_has_beside_it():
    images, masks = pictures()
    rows = tf.data.Dataset.from_tensor_slices((images * 255, masks, np.arange(4)))
    mix = BackgroundMix(masks="given", rate=1.0, pixels=(0, 255), seed=1)
    changed = (
        rows.batch(4).map(lambda *own: mix(own)).map(lambda image, mask, label: (image, label))
    )
    ((found, labels),) = changed
    check_mixed(found / 255, masks)
    assert labels.numpy().tolist() == [0, 1, 2, 3]


def test_each_batch_and_each_row_is_drawn_anew():
    images, masks = (np.tile(own, (64, 1, 1, 1)) for own in pictures())
    mix = BackgroundMix(masks="given", rate=0.5, seed=2)
    first, second = (np.asarray(mix({"images": images, "masks": masks})["images"]) for _ in "12")
    assert (first != second).any()
    assert (first != images).any((1, 2, 3)).mean() == pytest.approx(0.5 * 0.75, abs=0.12)


def test_it_is_saved_with_its_model_and_loads(tmp_path):
    unet = build_mask_unet((16, 16, 1), 0)
    mix = BackgroundMix(masks=unet, rate=0.3, binarize="0.5", seed=3, pixels=(0, 255))
    image = keras.Input((16, 16, 1))
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(mix(image))))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    own = loaded.layers[1]
    assert isinstance(own, bginv.layers.BackgroundMix) and not own.trainable_variables
    assert (own.rate, own.method, own.seed, own.pixels) == (0.3, "0.5", 3, (0.0, 255.0))
    images = np.random.default_rng(0).random((2, 16, 16, 1), np.float32) * 255
    np.testing.assert_allclose(loaded.predict(images), model.predict(images), atol=1e-5)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda mix: mix(np.zeros((8, 8, 3), np.float32)), "takes batches .* batch them first"),
        (lambda mix: mix(np.zeros((2, 8, 8, 3), np.float32)), "has masks='given' and got none"),
        (lambda mix: mix({"image": np.zeros((2, 8, 8, 3))}), "needs 'images' in the dict"),
        (
            lambda mix: mix((np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8)), np.zeros(2))),
            r"takes masks \[B, H, W, 1\]; received \(2, 8, 8\)",
        ),
        (
            lambda mix: mix((np.zeros((2, 8, 8, 3)), np.full((2, 8, 8, 1), 255, np.uint8))),
            r"masks of .* leave \[0, 1\]: divide those of image files by 255",
        ),
        (lambda mix: BackgroundMix(masks="learned"), "'heuristic' or 'given' or a model"),
        (lambda mix: BackgroundMix(masks=np.zeros((4, 4))), "'heuristic' or 'given' or a m"),
        (lambda mix: bginv.BackgroundAugmentation("mix"), "backgrounds must be adv, noise, black"),
    ],
)
def test_wrong_calls_are_told(call, told):
    with pytest.raises(ValueError, match=told):
        call(BackgroundMix(masks="given", rate=1.0))
