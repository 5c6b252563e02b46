"""ACoL: parity with the PyTorch port, and what its erasing does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.methods.acol.model import build_acol, build_classifiers, classify_in_turn
from bginv.nn.torchvision_networks import RESNETS, build_resnet
from bginv.ops.losses import cross_entropy, rest_cross_entropy
from tests.golden_weights import blocky, fill_named

LOSSES = {"p": cross_entropy, "n": rest_cross_entropy}


@pytest.fixture(scope="module")
def backbone():
    model = build_resnet(RESNETS["resnet50"], (197, 197, 3))
    fill_named(model, last_norm="bn3")
    return model


@pytest.mark.slow
@pytest.mark.parametrize("tag", ["p", "pp_d60", "pp_d90", "pn_d60", "pn_d90"])
def test_parity(backbone, golden_arrays, golden_json, tag):
    reference, run = golden_arrays("acol_resnet50"), golden_json("acol_resnet50")["runs"][tag]
    images, labels = blocky(1115, (2, 3, 197, 197)), reference["labels"]
    classifiers = build_classifiers((7, 7, 2048), 4, run["recipe"])
    for classifier in classifiers:
        fill_named(classifier)
    watched = [backbone.get_layer(name).kernel for name in ("conv1", "layer4.2.conv3")]
    heads = [weight for model in classifiers for weight in model.trainable_variables]
    with tf.GradientTape() as tape:
        features = backbone(images, training=False)
        logits, cams = classify_in_turn(classifiers, features, labels, run["deltas"])
        terms = [LOSSES[kind](labels, own) for kind, own in zip(run["recipe"], logits, strict=True)]
        loss = tf.add_n(terms)
    gradients = tape.gradient(loss, [weight.value for weight in watched + heads])
    norms = [float(tf.norm(gradient)) for gradient in gradients]

    def close(name, value, tolerance):
        expected = reference[f"{tag}__{name}"]
        assert np.shape(value) == expected.shape
        assert np.abs(value - expected).max() <= tolerance * np.abs(expected).max()

    np.testing.assert_allclose(
        np.moveaxis(features.numpy()[..., :16], -1, 1), reference["feature_slice"], atol=1e-3
    )
    close("logits", np.stack(logits), 1e-4)
    np.testing.assert_allclose(np.stack(cams), reference[f"{tag}__cams"], atol=1e-3)
    close("loss_terms", np.array(terms), 1e-4)
    close("total_loss", np.array(loss), 1e-4)
    close("grad_backbone_l2", np.array(norms[:2]), 1e-3)
    close("grad_cls_l2", np.array(norms[2::2]), 1e-3)
    for place in range(len(classifiers)):
        kernel, bias = (np.array(part) for part in gradients[2 + 2 * place : 4 + 2 * place])
        close(f"grad_cls{place}", kernel[0, 0].T, 5e-3)
        close(f"grad_cls{place}_bias", bias, 5e-3)


def test_losses_of_the_port(golden_arrays):
    reference = golden_arrays("acol_resnet50")
    logits, labels = tf.constant(reference["loss_logits"]), reference["loss_targets"]
    for name, loss_of in (("ce", cross_entropy), ("rest", rest_cross_entropy)):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = loss_of(labels, logits)
        assert float(loss) == pytest.approx(float(reference[f"loss_{name}"]), rel=1e-5)
        gradient = tape.gradient(loss, logits)
        np.testing.assert_allclose(gradient, reference[f"loss_{name}_grad"], atol=1e-6)


def two_by_two():
    """Classifiers whose maps are the features' channels, on 2x2 features of 2 channels."""
    classifiers = build_classifiers((2, 2, 2), 2, "pp")
    for classifier in classifiers:
        classifier.set_weights([np.eye(2, dtype=np.float32)[None, None], np.zeros(2, np.float32)])
    features = np.zeros((1, 2, 2, 2), np.float32)
    features[0, ..., 0] = [[4, 2], [1, 0]]
    features[0, ..., 1] = [[0, 1], [2, 3]]
    return classifiers, features


def test_what_is_above_delta_is_erased_for_those_that_follow():
    classifiers, features = two_by_two()
    logits, cams = classify_in_turn(classifiers, features, np.array([0]), [0.5])
    np.testing.assert_allclose(cams[0][0], [[1, 0.5], [0.25, 0]])
    # 0.5 is not above 0.5, so only the first place goes
    np.testing.assert_allclose(cams[1][0], [[0, 1], [0.5, 0]])
    np.testing.assert_allclose(logits[0][0], [7 / 4, 6 / 4])
    np.testing.assert_allclose(logits[1][0], [3 / 4, 6 / 4])


def test_erasing_accumulates_and_a_flat_map_erases_nothing():
    classifiers, features = two_by_two()
    classifiers.append(classifiers[0])
    _, cams = classify_in_turn(classifiers, features, np.array([0]), [0.5, 0.5])
    np.testing.assert_allclose(cams[2][0], [[0, 0], [1, 0]])
    logits, cams = classify_in_turn(classifiers, np.ones_like(features), np.array([0]), [0.5, 0.5])
    assert not np.any(cams)
    np.testing.assert_allclose(logits[2], logits[0])


def test_the_model_to_ship_fuses_the_maps_of_each_class():
    classifiers, features = two_by_two()
    image = keras.layers.Input((2, 2, 2))
    model = build_acol(keras.Model(image, keras.layers.Identity()(image)), classifiers, [0.5])
    found = model(features)
    np.testing.assert_allclose(found["logits"][0], [7 / 4, 6 / 4])
    np.testing.assert_allclose(found["maps"][0, ..., 0], [[1, 1], [0.5, 0]])
    _, cams = classify_in_turn(classifiers, features, np.array([1]), [0.5])
    np.testing.assert_allclose(found["maps"][0, ..., 1], np.max(cams, 0)[0])
