"""EADER: parity with the reference, turns, and which weights move."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.engine.settings import resolve
from bginv.methods.erasing.model import attention_maps, build_network
from bginv.methods.erasing.settings import ErasingSettings
from bginv.methods.erasing.training import ErasingTraining, pairs_of
from bginv.nn.backbones import IMAGENET_DEVIATION, IMAGENET_MEAN
from bginv.ops.cams import enlarge_maps, soft_masks
from bginv.ops.compositing import erase
from tests.golden_weights import blocky, fill_named


def settings(**given) -> ErasingSettings:
    given = {"dataset": "any", "batchsize": 8, **given}
    return resolve(ErasingSettings, given, "paper")


def in_unit_range(images: np.ndarray) -> np.ndarray:
    """What a model with ImageNet's preprocessing turns into these images."""
    return (images * IMAGENET_DEVIATION + IMAGENET_MEAN).astype(np.float32)


def normalized(images: np.ndarray) -> np.ndarray:
    return (np.asarray(images) - IMAGENET_MEAN) / IMAGENET_DEVIATION


CASES = {
    ("eader_resnet18", "gcam"): ("fc", "conv1"),
    ("eader_resnet18", "cam"): ("fc", "conv1"),
    ("eader_deeplab_largefov", "gcam"): ("classifier", "features.0"),
}


WITH_ADVERSARY = [case for case in CASES if case[0] == "eader_resnet18"]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def case(request, golden_arrays, golden_json):
    """A method with the reference's weights, its images and targets, and the numbers."""
    file, attention = request.param
    facts, reference = golden_json(file), golden_arrays(file)
    _, channels, height, width = facts["input_shape"]
    shape = (height, width, channels)
    last_norm = facts["residual_bn"]
    localizer = build_network(facts["arch"], shape, facts["classes"])
    fill_named(localizer, last_norm=last_norm)
    adversary = None
    if facts["adversarial"]:
        adversary = build_network(facts["adversarial"], shape, facts["classes"])
        fill_named(adversary, facts["adversarial_prefix"], last_norm)
    method = ErasingTraining(localizer, adversary, settings(attention_type=attention))
    images = in_unit_range(blocky(facts["input_seed"], tuple(facts["input_shape"])))
    own = {
        name.removeprefix(f"{attention}__"): value
        for name, value in reference.items()
        if "__" not in name or name.startswith(f"{attention}__")
    }
    # the reference lists the pairs of Grad-CAM round by round, we row by row
    rows, classes = (part.numpy() for part in pairs_of(tf.constant(own["targets"])))
    listed = list(zip(own["image_index"], own["new_targets"], strict=True))
    order = [list(zip(rows, classes, strict=True)).index(pair) for pair in listed]
    return method, images, own, (rows[order], classes[order]), CASES[request.param]


def close(value, expected, tolerance):
    assert np.shape(value) == np.shape(expected)
    assert np.abs(value - expected).max() <= tolerance * np.abs(expected).max()


def test_maps_and_erased_images(case):
    method, images, reference, (rows, classes), _ = case
    outputs = method.localizer(images, training=False)
    features, probabilities = outputs["features"], tf.sigmoid(outputs["logits"])
    close(probabilities, reference["probs"], 1e-4)
    first = np.moveaxis(features.numpy()[..., :16], -1, 1)
    close(first, reference["features_slice"], 1e-4)
    maps = attention_maps(
        method.localizer.get_layer("head"),
        tf.gather(features, rows),
        classes,
        method.settings.attention_type,
    )
    maps = enlarge_maps(maps, images.shape[1:3])
    np.testing.assert_allclose(maps[:, None], reference["maps"], atol=1e-3)
    masks = soft_masks(maps)
    np.testing.assert_allclose(masks[:, None, ::4, ::4], reference["masks_slice"], atol=1e-2)
    if method.adversary:
        colour = tf.constant(IMAGENET_MEAN, tf.float32)
        erased = erase(tf.gather(images, rows), masks[..., None], colour)
        small = np.moveaxis(normalized(erased), -1, 1)[:, :, ::8, ::8]
        np.testing.assert_allclose(small, reference["erased_slice"], atol=2e-2)
        found = tf.sigmoid(method.adversary(erased, training=False)["logits"])
        np.testing.assert_allclose(found, reference["adv_probs"], atol=1e-3)


def in_evaluation(method):
    """Let the models of a method run as in evaluation, whatever its step asks for."""
    for model in method.models:
        for layer in model._flatten_layers(include_self=False):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False


def gradients_of(method, images, targets, loss, weights):
    with tf.GradientTape() as tape:
        losses = method.losses(tf.constant(images), tf.constant(targets))
    found = tape.gradient(losses[loss], [weight.value for weight in weights])
    return losses, [gradient.numpy() for gradient in found]


def kernels(model: keras.Model, *names: str):
    layers = {layer.name: layer for layer in model._flatten_layers()}
    return [layers[name].kernel for name in names]


def test_losses_and_gradients(case):
    method, images, reference, _, names = case
    in_evaluation(method)
    weights = kernels(method.localizer, *names)
    losses, (dense, conv) = gradients_of(method, images, reference["targets"], "loss", weights)
    expected = {"cross_entropy": "bce", "map_mean": "reg_loss", "loss": "total_loss"}
    if method.adversary:
        expected |= {"mining": "am_loss", "adversary": "adversarial_bce"}
    for own, theirs in expected.items():
        assert float(losses[own]) == pytest.approx(float(reference[theirs]), rel=2e-4), own
    close(dense.T, reference["grad_fc"], 5e-3)
    close(conv.transpose(3, 2, 0, 1), reference["grad_conv"], 5e-3)
    norms = [np.linalg.norm(gradient) for gradient in (dense, conv)]
    np.testing.assert_allclose(norms, reference["grad_l2"], rtol=1e-3)
    if method.adversary:
        weights = kernels(method.adversary, *names)
        _, found = gradients_of(method, images, reference["targets"], "adversary", weights)
        norms = [np.linalg.norm(gradient) for gradient in found]
        np.testing.assert_allclose(norms, reference["grad_adv_l2"], rtol=1e-3)


@pytest.mark.parametrize("case", WITH_ADVERSARY, indirect=True, ids="-".join)
def test_losses_and_gradients_in_training(case):
    method, images, reference, _, names = case
    weights = kernels(method.localizer, *names)
    losses, found = gradients_of(method, images, reference["targets"], "loss", weights)
    expected = {"cross_entropy": "bce", "map_mean": "reg_loss", "loss": "total_loss"}
    expected |= {"mining": "am_loss", "adversary": "adversarial_bce"}
    for own, theirs in expected.items():
        assert float(losses[own]) == pytest.approx(float(reference[f"train_{theirs}"]), rel=1e-3)
    norms = [np.linalg.norm(gradient) for gradient in found]
    np.testing.assert_allclose(norms, reference["train_grad_l2"], rtol=1e-2)


def small(adversary: bool = True, labels: str = "single", **given) -> tuple[ErasingTraining, dict]:
    """A method on small networks, and a batch."""
    networks = [build_network("resnet18", (64, 64, 3), 3, seed=seed) for seed in (0, 1)]
    method = ErasingTraining(networks[0], networks[1] if adversary else None, settings(**given))
    images = tf.random.stateless_uniform([4, 64, 64, 3], [1, 2])
    rows = tf.constant([[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]])
    return method, {
        "image": images,
        "label": tf.argmax(rows, 1, tf.int32) if labels == "single" else rows,
    }


def weights_of(*models):
    return [weight.numpy() for model in models if model for weight in model.trainable_variables]


def moved(before, after) -> list[bool]:
    return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["single", "several"])
def test_each_turn_moves_its_own_player_alone(labels):
    method, batch = small(labels=labels)
    seed = tf.constant([0, 0])
    localizer, adversary = weights_of(method.localizer), weights_of(method.adversary)
    method.train_step(batch, seed)
    assert all(moved(localizer, weights_of(method.localizer)))
    assert not any(moved(adversary, weights_of(method.adversary)))
    localizer = weights_of(method.localizer)
    method.adversary_step(batch, seed)
    assert not any(moved(localizer, weights_of(method.localizer)))
    assert all(moved(adversary, weights_of(method.adversary)))


@pytest.mark.slow
def test_statistics_of_both_move_in_either_turn():
    method, batch = small()
    for step in (method.train_step, method.adversary_step):
        norms = [
            layer.moving_mean
            for model in method.models
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        before = [norm.numpy() for norm in norms]
        step(batch, tf.constant([0, 0]))
        assert all(moved(before, [norm.numpy() for norm in norms]))


@pytest.mark.slow
def test_the_localizer_pays_for_what_its_adversary_finds():
    method, batch = small(alpha=10.0)
    losses = method.losses(batch["image"], batch["label"])
    terms = float(losses["cross_entropy"]) + 1e-5 * float(losses["map_mean"])
    assert float(losses["loss"]) == pytest.approx(terms + 10 * float(losses["mining"]), rel=1e-5)
    weight = method.localizer.get_layer("features").trainable_variables[0]
    with tf.GradientTape() as tape:
        mining = method.losses(batch["image"], batch["label"])["mining"]
    assert float(tf.norm(tape.gradient(mining, weight.value))) > 0


def test_without_an_adversary_nothing_is_erased():
    method, batch = small(adversary=False)
    assert method.losses(batch["image"], batch["label"]).keys() == {
        "loss", "cross_entropy", "map_mean"
    }  # fmt: skip
    assert method.next_event(7) is None


def test_shared_weights_take_logits():
    method, batch = small(adversary=False, share_weights=True, alpha=1.0)
    found = method.losses(batch["image"], batch["label"])
    assert "adversary" not in found
    method.train_step(batch, tf.constant([0, 0]))


def test_turns_are_those_of_the_reference(golden_json):
    facts = golden_json("eader_schedule")
    own, other = facts["steps_localizer_adversarial"]
    method, _ = small(train_steps_localizer=own, train_steps_adversarial=other)
    steps = facts["batches_per_epoch"] * facts["epochs"]
    turns = "".join(
        "L" if method.step_at(step) == method.train_step else "A" for step in range(steps)
    )
    assert turns == facts["phases"]
    events, step = [], 0
    while step < steps:
        step = method.next_event(step)
        events.append(step)
    changes = [step for step in range(1, steps) if turns[step] != turns[step - 1]]
    assert events[: len(changes)] == changes


def test_every_label_makes_a_pair():
    rows, classes = pairs_of(tf.constant([[1, 0, 1], [0, 0, 0], [0, 1, 0]]))
    assert list(zip(rows.numpy(), classes.numpy(), strict=True)) == [(0, 0), (0, 2), (2, 1)]
    rows, classes = pairs_of(tf.constant([2, 0]))
    assert list(zip(rows.numpy(), classes.numpy(), strict=True)) == [(0, 2), (1, 0)]


@pytest.mark.slow
def test_terms_are_weighted_as_asked():
    images = np.random.default_rng(0).random((4, 64, 64, 3), np.float32)
    labels = tf.constant([0, 1, 0, 1])

    def losses(**given) -> dict[str, float]:
        networks = [build_network("resnet18", (64, 64, 3), 2, seed=i) for i in range(2)]
        found = ErasingTraining(*networks, settings(**given)).losses(tf.constant(images), labels)
        return {name: float(value) for name, value in found.items()}

    for alpha, beta in ((0.3, 0.0), (0.0, 0.7)):
        found = losses(alpha=alpha, beta=beta)
        weighted = alpha * found["mining"] + beta * found["map_mean"]
        assert found["loss"] == pytest.approx(found["cross_entropy"] + weighted, rel=1e-5)
    # what is erased depends on both
    usual = losses()["mining"]
    assert losses(sigma=0.9)["mining"] != pytest.approx(usual, rel=1e-4)
    assert losses(omega=1.0)["mining"] != pytest.approx(usual, rel=1e-4)
