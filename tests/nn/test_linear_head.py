import keras
import numpy as np
import tensorflow as tf

from bginv.nn.fine_tuning import stored_features, train_head


def test_features_are_computed_once(tmp_path):
    features = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()])
    images = np.random.default_rng(0).random((5, 4, 4, 3), np.float32)
    calls = []

    def batches():
        calls.append(1)
        yield tf.constant(images[:3])
        yield tf.constant(images[3:])

    for _ in range(2):
        found = stored_features(tmp_path / "f.npy", features, batches, 5)
        np.testing.assert_allclose(found, images.mean((1, 2)), atol=1e-3)
    assert len(calls) == 1
    held = stored_features(None, features, batches, 5)
    np.testing.assert_array_equal(held, found)


def test_a_head_learns_from_features():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    features = (np.eye(3)[labels] + rng.normal(0, 0.2, (300, 3))).astype(np.float16)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    train_head(model.layers[-1], [features[:100], features[100:]], [labels[:100], labels[100:]], 0)
    assert (model(features.astype(np.float32)).numpy().argmax(1) == labels).mean() > 0.95
