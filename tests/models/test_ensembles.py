import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.interop.model_files import load_logits, save_model
from bginv.models.classifier import build_classifier
from bginv.models.ensembles import MemberScale, build_ensemble, members_of
from bginv.nn.fine_tuning import is_deep
from bginv.nn.precision import computing_in

KINDS = ("mimo", "batch_ensemble")
SHAPE = (16, 16, 3)


@pytest.fixture
def images():
    return tf.random.stateless_uniform([4, *SHAPE], [1, 2])


@pytest.mark.parametrize("kind", KINDS)
def test_the_probability_is_the_mean_of_the_members(kind, images):
    model = build_ensemble(kind, SHAPE, 5, 3, seed=1)
    logits = members_of(model)(tf.stack([images] * 3, 1))
    assert logits.shape == (4, 3, 5)
    mean = tf.reduce_mean(tf.nn.softmax(logits), 1)
    np.testing.assert_allclose(tf.exp(model(images)), mean, atol=1e-6)
    assert np.abs(logits[:, 0] - logits[:, 1]).max() > 1e-3


def test_members_of_a_batch_ensemble_see_their_own_images_alone(images):
    joint = members_of(build_ensemble("batch_ensemble", SHAPE, 5, 3, seed=1))
    copies = tf.stack([images] * 3, 1)
    changed = tf.concat([copies[:, :1] * 0.5, copies[:, 1:]], 1)
    difference = np.abs(joint(changed) - joint(copies)).max((0, 2))
    assert difference[0] > 1e-3
    np.testing.assert_allclose(difference[1:], 0, atol=1e-6)


def test_a_member_of_a_batch_ensemble_is_a_network_with_scaled_kernels(images):
    # equation 2: its kernel is the shared one times the outer product of its factors
    joint = members_of(build_ensemble("batch_ensemble", SHAPE, 5, 2, seed=1))
    alone = build_classifier(SHAPE, 5, seed=0)
    scales = [layer for layer in joint.layers if isinstance(layer, MemberScale)]
    for scale in scales[1::2]:
        scale.bias.assign(tf.random.stateless_normal(scale.bias.shape, [3, 4]))
        scale.scale.assign(tf.random.stateless_normal(scale.scale.shape, [5, 6]))
    kernels = [layer for layer in joint.layers if hasattr(layer, "kernel")]
    own = [layer for layer in alone.layers if hasattr(layer, "kernel")]
    assert len(kernels) == len(own) == len(scales) / 2
    for place, (shared, layer) in enumerate(zip(kernels, own, strict=True)):
        taken, given = scales[2 * place], scales[2 * place + 1]
        outer = np.outer(taken.scale[1], given.scale[1])
        if place == 2:  # behind Flatten: the factors are those of the flat features
            assert outer.shape == shared.kernel.shape
        layer.kernel.assign(shared.kernel * outer)
        layer.bias.assign(given.bias[1])
    found = joint(tf.stack([images * 0, images], 1))[:, 1]
    np.testing.assert_allclose(found, alone(images), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_ensembles_are_small_networks_not_backbones(kind):
    assert not is_deep(build_ensemble(kind, SHAPE, 5, 3))
    assert members_of(build_classifier(SHAPE, 5)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_ensemble_still_has_its_members(kind, tmp_path):
    save_model(build_ensemble(kind, SHAPE, 5, 3), tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    assert members_of(loaded).name == kind


@pytest.mark.parametrize("kind", KINDS)
def test_ensembles_are_exported_like_any_other(kind, tmp_path, images):
    model = build_ensemble(kind, SHAPE, 5, 3, seed=1)
    model.export(tmp_path / "saved", verbose=False)
    exported = load_logits(str(tmp_path / "saved"))
    assert exported.num_classes == 5
    np.testing.assert_allclose(exported.call(images), model(images), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_stay_in_32_bits(kind, images):
    model = build_ensemble(kind, SHAPE, 5, 3, seed=1)
    exact = model(images)
    with computing_in("bfloat16", [model]):
        found = model(images)
        assert members_of(model)(tf.stack([images] * 3, 1)).dtype == found.dtype == tf.float32
    assert 0 < np.abs(found - exact).max() < 0.1


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="mimo, batch_ensemble; received packed"):
        build_ensemble("packed", SHAPE, 5, 3)
