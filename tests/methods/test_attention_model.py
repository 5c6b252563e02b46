import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.interop.model_files import save_model
from bginv.methods.attention.model import (
    AG_CNN_MARGIN,
    HeatMapCrop,
    build_ag_cnn,
    build_attention_branch,
    features_of,
    join,
)
from bginv.nn.backbones import IMAGENET_DEVIATION, IMAGENET_MEAN
from bginv.nn.features import logits_alone
from bginv.nn.paper_networks import build_classifier
from bginv.ops.geometry import crop_and_resize
from bginv.ops.losses import binary_cross_entropy
from tests.golden_weights import fill, fill_densenet121

SHAPE = (16, 16, 1)


def attention(seed: int = 0, head: str = "relu") -> keras.Model:
    features = features_of(build_classifier(SHAPE, 5, seed))
    branch = build_attention_branch(SHAPE, features.output_shape[1:], 5, 0.7, head, seed)
    return join(features, branch)


@pytest.fixture(scope="module")
def images() -> tf.Tensor:
    return tf.random.stateless_uniform([6, *SHAPE], [1, 2])


@pytest.fixture(scope="module")
def reference_ag_cnn() -> keras.Model:
    model = build_ag_cnn((224, 224, 3), 14, weights="none", seed=0)
    for name in ("global", "local"):
        branch = model.get_layer(f"{name}_branch")
        fill_densenet121(branch.get_layer("densenet121"), f"{name}.")
        fill(branch.layers[-1], f"{name}.classifier")
    fill(model.get_layer("fusion_branch").get_layer("logits"), "fusion.fc")
    return model


def test_the_features_are_those_before_the_head():
    classifier = build_classifier((32, 32, 3), 5, 0)
    features = features_of(classifier)
    assert features.output_shape == (None, 4, 4, 128)
    assert features.output is classifier.layers[-3].input


def test_blocks_that_squeeze_and_excite_are_no_head():
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    maps = layers.Conv2D(8, 3, 2, padding="same", activation="relu")(image)
    scale = layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D()(maps))
    maps = layers.Multiply()([maps, layers.Reshape((1, 1, 8))(scale)])
    maps = layers.Conv2D(24, 3, 2, padding="same", activation="relu")(maps)
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))
    assert features_of(model).output_shape == (None, 4, 4, 24)


def test_a_classifier_without_maps_is_refused():
    inputs = keras.Input((16, 16, 1))
    dense = keras.layers.Dense(2)(keras.layers.Reshape((256,))(inputs))
    flat = keras.Model(inputs, dense, name="flat")
    assert features_of(flat).output_shape == (None, 16, 16, 1)
    with pytest.raises(ValueError, match="flat has no layer that flattens or averages"):
        features_of(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="flat"))


def test_the_crop_is_the_bright_part_of_the_image():
    features = np.zeros((1, 4, 4, 2), np.float32)
    features[0, 1:3, 2, 1] = -3.0
    features[0, 0, 0, 0] = 2.5  # another component, above tau and smaller
    image = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1) / 255
    found = HeatMapCrop("strongest", 0.7)([image, features])
    assert found["box"].numpy().tolist() == [[0.25, 0.5, 0.75, 0.75]]
    assert found["degenerate"].numpy().tolist() == [0.0]
    enlarged = tf.image.resize(image[:, 4:12, 8:12], (16, 16))
    np.testing.assert_allclose(found["crop"], enlarged, atol=1e-6)


@pytest.mark.parametrize(("reduction", "threshold"), [("strongest", 0.7), ("sum", "otsu")])
def test_a_flat_map_gives_the_whole_image_and_is_counted(images, reduction, threshold):
    found = HeatMapCrop(reduction, threshold)([images, tf.ones([6, 4, 4, 3])])
    np.testing.assert_allclose(found["crop"], images, atol=1e-6)
    assert found["degenerate"].numpy().tolist() == [1.0] * 6


def test_a_batch_is_what_its_images_are_alone(images):
    model = attention()
    together = model(images)
    alone = [model(images[i : i + 1]) for i in range(6)]
    np.testing.assert_array_equal(together["box"], tf.concat([one["box"] for one in alone], 0))
    np.testing.assert_allclose(
        together["logits"], tf.concat([one["logits"] for one in alone], 0), atol=1e-5
    )
    assert len(np.unique(together["box"], axis=0)) > 1


def test_the_head_is_linear_as_in_the_paper_or_not(images):
    layers = attention(head="linear").get_layer("attention_branch").layers
    kinds = [layer.activation.__name__ for layer in layers if isinstance(layer, keras.layers.Dense)]
    assert kinds == ["linear"] * 3


def test_the_saved_model_takes_an_image_and_gives_logits(images, tmp_path):
    model = logits_alone(attention())
    save_model(model, tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    assert loaded.input_shape == (None, *SHAPE) and loaded.output_shape == (None, 5)
    np.testing.assert_array_equal(loaded(images), model(images))


@pytest.mark.slow
def test_without_our_layer_the_error_names_it(tmp_path):
    save_model(logits_alone(attention()), tmp_path / "m.keras")
    program = "import sys, keras; keras.models.load_model(sys.argv[1])"
    command = [sys.executable, "-c", program, str(tmp_path / "m.keras")]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "HeatMapCrop" in failed.stderr and "bginv.methods.attention.model" in failed.stderr


def test_the_saved_model_can_be_exported(images, tmp_path):
    model = logits_alone(attention())
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(images), model(images), atol=1e-6)


def blocky(seed: int, shape: tuple[int, ...], block: int = 16, noise: float = 0.3) -> np.ndarray:
    count, channels, height, width = shape
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((count, channels, -(-height // block), -(-width // block)))
    pixels = np.repeat(np.repeat(coarse, block, axis=2), block, axis=3)[:, :, :height, :width]
    return (pixels + noise * rng.standard_normal(shape)).astype(np.float32)


def assert_close(found, expected, relative: float = 1e-4) -> None:
    np.testing.assert_allclose(found, expected, atol=relative * np.abs(expected).max(), rtol=0)


def test_the_global_branch_agrees_with_the_paper(reference_ag_cnn, golden_agcnn):
    images = blocky(5101, (2, 3, 224, 224)).transpose(0, 2, 3, 1)
    found = reference_ag_cnn.get_layer("global_branch")(images)
    assert_close(tf.sigmoid(found["logits"]), golden_agcnn["global_probs"])
    assert_close(found["pooled"], golden_agcnn["global_pool"])
    features = np.transpose(found["features"], (0, 3, 1, 2))
    assert_close(features.sum(1), golden_agcnn["global_features_sum"])
    assert_close(features[:, :16], golden_agcnn["global_features_slice"])


def test_the_fusion_agrees_with_the_paper(reference_ag_cnn, golden_agcnn):
    pooled = [
        np.abs(np.random.default_rng(seed).standard_normal((3, 1024)).astype(np.float32))
        for seed in (5102, 5152)
    ]
    found = reference_ag_cnn.get_layer("fusion_branch")(np.concatenate(pooled, 1))
    assert_close(tf.sigmoid(found), golden_agcnn["fusion_probs"])


def reference_images() -> np.ndarray:
    rng = np.random.default_rng(5110)
    coarse = rng.random((2, 3, 28, 28)).repeat(8, 2).repeat(8, 3)
    return (0.9 * coarse + 0.09 * rng.random((2, 3, 224, 224))).astype(np.float32)


def with_slips(image: np.ndarray) -> np.ndarray:
    """What the published code cuts its box from: reshaped, the central third, 8 bits of 256."""
    third = image.reshape(224, 224, 3)[74:149, 74:149]
    return np.floor(cv2.resize(third, (224, 224)) * 256) / np.float32(255)


def test_boxes_and_crops_agree_with_the_paper(golden_agcnn):
    features = np.maximum(blocky(5111, (2, 1024, 7, 7), block=3), 0).transpose(0, 2, 3, 1)
    images = np.stack([with_slips(image) for image in reference_images()])
    box = HeatMapCrop("sum", "otsu")([images, features])["box"]
    inclusive = np.round(box * 224) - [0, 0, 1, 1]
    np.testing.assert_array_equal(inclusive, golden_agcnn["patch_box"])
    # it leaves out the last row and column of its box
    crops = crop_and_resize(images, box - [0, 0, 1 / 224, 1 / 224], (224, 224), AG_CNN_MARGIN)
    patches = np.transpose((crops - IMAGENET_MEAN) / IMAGENET_DEVIATION, (0, 3, 1, 2))
    np.testing.assert_allclose(patches[:, :, ::7, ::7], golden_agcnn["patch_slice"], atol=0.03)


def test_the_whole_agrees_with_the_paper(reference_ag_cnn, golden_agcnn):
    images = reference_images()
    whole = reference_ag_cnn.get_layer("global_branch")(images.transpose(0, 2, 3, 1))
    assert_close(tf.sigmoid(whole["logits"]), golden_agcnn["full_global"])
    mixed = np.stack([with_slips(image) for image in images])
    box = reference_ag_cnn.get_layer("heat_map_crop")([mixed, whole["features"]])["box"]
    assert np.abs(np.round(box * 224) - [0, 0, 1, 1] - golden_agcnn["full_box"]).max() <= 1
    crops = crop_and_resize(mixed, box - [0, 0, 1 / 224, 1 / 224], (224, 224), AG_CNN_MARGIN)
    part = reference_ag_cnn.get_layer("local_branch")((crops - IMAGENET_MEAN) / IMAGENET_DEVIATION)
    pooled = tf.concat([whole["pooled"], part["pooled"]], 1)
    fused = reference_ag_cnn.get_layer("fusion_branch")(pooled)
    # the crops agree within the rounding of 8 bits
    for found, name in ((part["logits"], "full_local"), (fused, "full_fusion")):
        np.testing.assert_allclose(tf.sigmoid(found), golden_agcnn[name], atol=5e-3)


def test_losses_of_all_branches_agree_with_the_paper(golden_agcnn):
    targets = golden_agcnn["full_targets"]
    losses = []
    for name in ("global", "local", "fusion"):
        probabilities = golden_agcnn[f"full_{name}"].astype(np.float64)
        logits = np.log(probabilities / (1 - probabilities)).astype(np.float32)
        losses.append(float(binary_cross_entropy(targets, logits)))
    losses.append(0.8 * losses[0] + 0.1 * losses[1] + 0.1 * losses[2])
    np.testing.assert_allclose(losses, golden_agcnn["full_losses"], rtol=1e-4)
