import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.nn.background_augmentation import BackgroundAugmentation
from bginv.nn.paper_networks import build_mask_unet

layers = keras.layers


def objects(count: int = 16) -> np.ndarray:
    images = np.zeros((count, 16, 16, 1), np.float32)
    images[:, 4:9, 4:9] = 0.5
    return images


def test_nothing_changes_outside_training():
    images = objects()
    layer = BackgroundAugmentation("noise", rate=1.0)
    np.testing.assert_array_equal(layer(images), images)
    np.testing.assert_array_equal(
        BackgroundAugmentation("noise", rate=0.0)(images, training=True), images
    )


@pytest.mark.parametrize("backgrounds", ["noise", "black", "adv", np.full((3, 16, 16, 1), 0.25)])
def test_objects_stay_and_backgrounds_change(backgrounds):
    images = objects() + np.float32(1e-9)  # above zero everywhere, so masks are given
    masks = (objects() > 0).astype(np.float32)
    found = BackgroundAugmentation(backgrounds, rate=1.0, seed=1)(images, masks, training=True)
    found, inside = np.asarray(found), masks > 0
    np.testing.assert_allclose(found[inside], images[inside])
    if isinstance(backgrounds, str) and backgrounds == "black":
        assert not found[~inside].any()
    elif isinstance(backgrounds, np.ndarray):
        np.testing.assert_allclose(found[~inside], 64 / 255, atol=1e-6)
    else:
        assert found[~inside].std() > 0.001 and 0 <= found.min() <= found.max() <= 1


def test_about_a_share_of_the_images_changes():
    images = objects(2000)
    found = BackgroundAugmentation("noise", rate=0.3, seed=0)(images, training=True)
    changed = np.any(np.asarray(found) != images, (1, 2, 3)).mean()
    assert changed == pytest.approx(0.3, abs=0.04)


@pytest.mark.slow
def test_generators_ascend_what_the_model_descends():
    keras.utils.set_random_seed(0)
    images = objects(64)
    labels = np.arange(64) % 2
    images[labels == 1, 10:14, 10:14] = 0.5
    layer = BackgroundAugmentation("adv", rate=1.0, tiles=(1,), seed=0)
    frozen = layers.Dense(2)
    model = keras.Sequential([layers.Input((16, 16, 1)), layer, layers.Flatten(), frozen])
    plain = keras.Sequential([layers.Input((16, 16, 1)), layers.Flatten(), frozen])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile(keras.optimizers.Adam(1e-2), loss)
    plain.fit(images, labels, epochs=30, verbose=0)
    frozen.trainable = False  # the generators alone learn
    model.compile(keras.optimizers.Adam(1e-2), loss)
    losses = model.fit(images, labels, epochs=15, verbose=0).history["loss"]
    assert losses[-1] > 1.5 * losses[0]


@pytest.mark.slow
def test_fit_trains_a_model_with_it_and_it_comes_back(tmp_path):
    unet = build_mask_unet((16, 16, 1), 0)
    for backgrounds in ("adv", np.random.default_rng(0).random((3, 16, 16, 1))):
        layer = BackgroundAugmentation(backgrounds, masks=unet, tiles=(1, 2), seed=2)
        model = keras.Sequential(
            [layers.Input((16, 16, 1)), layer, layers.Flatten(), layers.Dense(2)]
        )
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        before = unet.get_weights()
        model.fit(objects(), np.arange(16) % 2, epochs=1, verbose=0)
        assert all(np.array_equal(a, b) for a, b in zip(before, unet.get_weights(), strict=True))
        model.save(tmp_path / "m.keras")
        loaded = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
        np.testing.assert_array_equal(loaded(objects()), model(objects()))
        for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": 2}, r"rate must be in \[0, 1\]; received 2"),
        ({"backgrounds": "real"}, "backgrounds must be adv, noise, black or an array"),
        ({"binarize": "triangle"}, "binarize must be otsu, 0.5, .*received 'triangle'"),
        ({"area": 7}, r"area must be in \[0, 1\]; received 7"),
        ({"tiles": ()}, "tiles must have a number for each generator"),
        ({"masks": "learn"}, "masks must be 'heuristic' or a model"),
        ({"backgrounds": np.full((2, 4, 4, 1), 7.0)}, r"must be \[N, H, W, C\], uint8 or in"),
    ],
)
def test_wrong_arguments(given, message):
    with pytest.raises(ValueError, match=message):
        BackgroundAugmentation(**given)


@pytest.mark.parametrize("kind", ["noise", "adv", np.full((3, 16, 16, 1), 0.25)])
def test_backgrounds_have_the_range_of_the_images(kind):
    images, masks = 255 * objects() - 128, (objects() > 0).astype(np.float32)
    layer = BackgroundAugmentation(kind, rate=1.0, seed=1, pixels=(-128, 127))
    found = np.asarray(layer(images, masks, training=True))
    np.testing.assert_allclose(found[masks > 0], images[masks > 0], atol=1e-4)
    behind = found[masks == 0]
    assert -128 <= behind.min() and behind.max() <= 127 and abs(behind + 128).mean() > 30
    again = BackgroundAugmentation.from_config(layer.get_config())
    assert again.pixels == (-128, 127)


def test_images_of_another_range_are_told():
    layer = BackgroundAugmentation("noise")
    with pytest.raises(ValueError, match=r"leave the range pixels=\(0.0, 1.0\): give the range"):
        layer(255 * objects(), training=True)
    first = BackgroundAugmentation("noise")
    model = keras.Sequential(
        [
            layers.Input((16, 16, 1)),
            first,
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(tf.errors.InvalidArgumentError, match="leave the range pixels"):
        model.fit(255 * objects(), np.arange(16) % 2, verbose=0)
    with pytest.raises(ValueError, match="pixels must be a range such as"):
        BackgroundAugmentation("noise", pixels=(1, 0))


@pytest.mark.parametrize("kind", ["noise", "black", "adv"])
def test_a_global_policy_of_16_bits(kind):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = BackgroundAugmentation(kind, rate=1.0)
        model = keras.Sequential(
            [layers.Input((16, 16, 1)), layer, layers.Flatten(), layers.Dense(2, dtype="float32")]
        )
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        found = model.fit(objects(), np.arange(16) % 2, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(found.history["loss"][0])
    assert layer(objects(), training=True).dtype == "bfloat16"
