import numpy as np
import pytest
import tensorflow as tf

from bginv.config import resolve
from bginv.interop.paper_h5 import load_background_generator_h5, load_classifier_h5
from bginv.models.background_generator import backgrounds_from_noise
from bginv.models.classifier import build_classifier
from bginv.recipes import AdversarialSettings
from bginv.training.adversarial import AdversarialTraining, Adversary
from bginv.training.loop import train
from tests.training.players import moved, snapshot

SHAPE = (16, 16, 1)
SEED = tf.constant([1, 2])


def settings(recipe="paper", **given) -> AdversarialSettings:
    base = {"dataset": "squares", "model": "m1.keras", "unet_model": "heuristic"}
    return resolve(AdversarialSettings, {**base, **given}, recipe)


def make(recipe="paper", **given) -> AdversarialTraining:
    return AdversarialTraining(build_classifier(SHAPE, 2, 3), SHAPE, settings(recipe, **given), 10)


@pytest.fixture
def batch(squares):
    return next(iter(squares.train.batches(8)))


def test_both_players_move_and_nothing_else(batch):
    method = make(tiles=(1, 2), generator_learning_rate=1e-3)
    players = [method.classifier, *(adversary.generator for adversary in method.adversaries)]
    before = snapshot(*players)
    method.train_step(batch, SEED)
    for old, player in zip(before, players, strict=True):
        assert all(moved(old, player.get_weights()))


@pytest.mark.parametrize("back", ["black", "noise", "real"])
def test_without_a_generator_the_classifier_alone_moves(batch, back):
    method = make(back=back)
    before = method.classifier.get_weights()
    method.train_step({**batch, "background": tf.zeros_like(batch["image"])}, SEED)
    assert method.adversaries == []
    assert all(moved(before, method.classifier.get_weights()))


def test_the_generators_step_raises_the_loss_that_the_classifiers_lowers(batch):
    # in colour, where the generator pays no brightness penalty
    shape = (16, 16, 3)
    colour = {**batch, "image": tf.repeat(batch["image"], 3, -1)}

    def change(**learning_rates) -> float:
        method = AdversarialTraining(
            build_classifier(shape, 2, 3), shape, settings(**learning_rates), 10
        )

        def cross_entropy() -> float:
            backgrounds = method.draw_backgrounds(8, SEED)
            return float(
                method.losses(colour["image"], batch["label"], batch["mask"], backgrounds)["loss"]
            )

        before = cross_entropy()
        method.train_step(colour, SEED)
        return cross_entropy() - before

    assert change(learning_rate=1e-3, generator_learning_rate=0.0) < -1e-4
    assert change(learning_rate=0.0, generator_learning_rate=1e-3) > 1e-6
    assert change(learning_rate=0.0, generator_learning_rate=0.0) == 0


def test_each_generator_sees_the_mean_over_its_own_composites(batch):
    method = make(tiles=(1, 2, 4), clean_fraction=0.25)
    generator = method.adversaries[1].generator
    with tf.GradientTape(persistent=True) as tape:
        drawn = method.draw_backgrounds(6, SEED)
        # no penalty here, as sigmoids of small weights are below one half on average or near it
        drawn = [tf.minimum(background, 0.5) for background in drawn]
        losses = method.losses(batch["image"], batch["label"], batch["mask"], drawn)
        own = slice(4, 6)  # after two clean images and the two of the first generator
        logits = method.classifier(
            batch["image"][own] * batch["mask"][own] + drawn[1] * (1 - batch["mask"][own])
        )
        alone = -tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"][own], logits)
        )
    together = tape.gradient(losses["loss"], generator.trainable_variables)
    expected = tape.gradient(alone, generator.trainable_variables)
    for a, b in zip(together, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_clean_images_keep_their_background(batch):
    method = make(clean_fraction=1.0, back="noise")
    seen = []
    method.classifier = lambda images, training: seen.append(images) or tf.zeros([8, 2])
    method.losses(batch["image"], batch["label"], batch["mask"] * 0, [])
    np.testing.assert_array_equal(seen[0], batch["image"])


def test_paper_masks_stay_behind_when_the_image_moves(batch):
    for recipe, aligned in (("paper", False), ("tuned", True)):
        still = make(recipe, mask_growth=0).augment_batch(batch, SEED)["mask"]
        assert bool(tf.reduce_all(still == batch["mask"])) is not aligned


def test_grown_masks_cover_the_old_ones(batch):
    method = make("paper", mask_growth=2)
    grown = method.augment_batch(batch, SEED)["mask"]
    assert bool(tf.reduce_all(grown >= batch["mask"]))
    assert float(tf.reduce_sum(grown)) > float(tf.reduce_sum(batch["mask"]))


def test_colour_images_pay_no_brightness_penalty():
    method = AdversarialTraining(
        build_classifier((16, 16, 3), 2, 3), (16, 16, 3), settings(batchsize=2), 10
    )
    losses = method.losses(
        tf.zeros([2, 16, 16, 3]),
        tf.zeros([2], tf.int32),
        tf.zeros([2, 16, 16, 1]),
        [tf.ones([2, 16, 16, 3])],
    )
    assert "brightness_penalty" not in losses


@pytest.mark.parametrize(
    ("noise", "smallest", "largest"), [("normal", -5, -1), ("uniform", 0, 0.1)]
)
def test_noise_is_normal_in_the_paper_and_uniform_in_ours(noise, smallest, largest):
    (drawn,) = make(back="noise", noise=noise).draw_backgrounds(8, SEED)
    assert smallest <= drawn.numpy().min() < largest


def test_generators_restart_in_turn(monkeypatch):
    method = make("tuned", restart_every=6)
    assert [method.next_event(step) for step in (0, 1, 2, 5)] == [2, 2, 4, 6]
    restarted = []
    monkeypatch.setattr(
        Adversary, "restart", lambda self, step: restarted.append((self.tiles, step))
    )
    for step in (2, 4, 6, 8):
        method.before_step(step)
    assert restarted == [(2, 2), (4, 4), (1, 6), (2, 8)]
    assert make("paper").next_event(0) is None


def test_a_restart_forgets_weights_and_optimizer(batch):
    method = make(tiles=(2,), generator_learning_rate=1e-3)
    (adversary,) = method.adversaries
    method.train_step(batch, SEED)
    before = adversary.generator.get_weights()
    adversary.restart(5)
    assert int(adversary.optimizer.iterations) == 0
    assert float(adversary.optimizer.learning_rate) == pytest.approx(1e-3)
    assert all(moved(before, adversary.generator.get_weights()))
    first = adversary.generator.get_weights()
    adversary.restart(5)
    assert not any(moved(first, adversary.generator.get_weights()))


def test_too_few_images_for_the_generators_are_refused():
    with pytest.raises(ValueError, match="leaves 2 images for 3 generators; raise"):
        make(tiles=(1, 2, 4), batchsize=4, clean_fraction=0.5)


def test_averaged_weights_are_those_of_the_last_steps(squares):
    method = make("tuned", batchsize=8, average=0.9, steps=6)
    train(method, squares.train, method.settings)
    averaged = method.classifier.get_weights()
    plain = make("tuned", batchsize=8, average=0.0, steps=6)
    train(plain, squares.train, plain.settings)
    assert all(moved(plain.classifier.get_weights(), averaged))


def test_parity_of_the_step_with_the_paper(golden, golden_dir):
    classifier = load_classifier_h5(golden_dir / "m3.h5")
    shape = (32, 32, 1)
    method = AdversarialTraining(classifier, shape, settings(batchsize=16), 10)
    (adversary,) = method.adversaries
    lent = load_background_generator_h5(golden_dir / "m3-back.h5", shape)
    adversary.generator.set_weights(lent.get_weights())
    generator = adversary.generator
    with tf.GradientTape() as tape:
        background = backgrounds_from_noise(generator, tf.constant(golden["generator/noise"]), 2)
        losses = method.losses(
            tf.constant(golden["x"]),
            tf.constant(golden["y"]),
            tf.constant(golden["binarize/otsu"]),
            [background],
        )
    np.testing.assert_allclose(background, golden["generator/background"], atol=1e-4)
    assert float(losses["cross_entropy"]) == pytest.approx(
        float(golden["adversarial_step/loss"]), rel=1e-5
    )
    adversary_loss = losses["brightness_penalty"] - losses["cross_entropy"]
    assert float(adversary_loss) == pytest.approx(
        float(golden["adversarial_step/adversary_loss"]), rel=1e-5
    )
    gradients = tape.gradient(
        losses["loss"], [classifier.trainable_variables, generator.trainable_variables]
    )
    for player, of_player in zip(("classifier", "generator"), gradients, strict=True):
        for i, gradient in enumerate(of_player):
            expected = float(golden[f"adversarial_step/{player}_grad_l2/{i:02}"])
            assert float(tf.norm(gradient)) == pytest.approx(expected, rel=1e-3)
