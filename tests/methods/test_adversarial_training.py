import numpy as np
import pytest
import tensorflow as tf

from bginv.data.sources import ArraySource
from bginv.engine.loop import train
from bginv.engine.settings import resolve
from bginv.evaluation.accuracy import count_correct
from bginv.interop.paper_h5 import load_background_generator_h5, load_classifier_h5
from bginv.methods.background_invariance import mask_training as masks
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining, Adversary
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.settings import AdversarialSettings, ClassifierSettings
from bginv.nn.background_generator import backgrounds_from_noise
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from tests.methods.players import moved, snapshot

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


@pytest.mark.parametrize(
    ("rates", "classifier_moves", "generators_move"),
    [
        ({"learning_rate": 1e-3, "generator_learning_rate": 1e-3}, True, True),
        ({"learning_rate": 1e-3, "generator_learning_rate": 0.0}, True, False),
        ({"learning_rate": 0.0, "generator_learning_rate": 1e-3}, False, True),
    ],
)
def test_each_player_moves_by_its_own_optimizer(batch, rates, classifier_moves, generators_move):
    method = make(tiles=(1, 2), **rates)
    generators = [adversary.generator for adversary in method.adversaries]
    before = snapshot(method.classifier, *generators)
    method.train_step(batch, SEED)
    after = snapshot(method.classifier, *generators)
    expected = [classifier_moves, generators_move, generators_move]
    for old, new, moves in zip(before, after, expected, strict=True):
        assert set(moved(old, new)) == {moves}


def test_masks_come_from_a_frozen_generator_once(squares, monkeypatch):
    unet, calls = build_mask_unet(SHAPE, 1), []
    monkeypatch.setattr(
        masks, "soft_and_binary_masks", _counting(masks.soft_and_binary_masks, calls)
    )
    before = unet.get_weights()
    source = masks.with_generated_masks(squares.train, unet, "otsu", 0.2)
    method = make(batchsize=8, epochs=3)
    train(method, source, method.settings)
    assert len(calls) == 1
    assert not any(moved(before, unet.get_weights()))


def _counting(function, calls: list):
    def count(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return count


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
            losses = method.losses(colour["image"], batch["label"], batch["mask"], backgrounds)
            return float(losses["loss"])

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
        # at one half at most, so that no generator pays the brightness penalty
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
    assert all(np.abs(gradient).max() > 1e-5 for gradient in expected)
    for a, b in zip(together, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


class Recorder:
    """A classifier that keeps the images that it is given."""

    losses = ()

    def __init__(self, seen: list, network=None):
        self.seen, self.network = seen, network

    def __call__(self, images, training):
        self.seen.append(images)
        return self.network(images, training=training) if self.network else tf.zeros([8, 2])


@pytest.mark.parametrize("tiles", [(1,), (1, 2, 4)])
@pytest.mark.parametrize("back", ["adv", "noise", "real"])
def test_the_first_images_of_a_batch_stay_clean(batch, back, tiles):
    method = make(clean_fraction=0.25, back=back, tiles=tiles, noise="uniform")
    seen = []
    method.classifier = Recorder(seen)
    batch = {**batch, "background": tf.random.stateless_uniform([8, *SHAPE], SEED)}
    backgrounds = method._backgrounds(batch, SEED)
    method.losses(batch["image"], batch["label"], tf.zeros([8, 16, 16, 1]), backgrounds)
    np.testing.assert_array_equal(seen[0][:2], batch["image"][:2])
    np.testing.assert_array_equal(seen[0][2:], tf.concat(backgrounds, 0))


def test_a_batch_may_stay_clean_as_a_whole(batch):
    method = make(clean_fraction=1.0, back="noise")
    assert method._backgrounds(batch, SEED) == []
    losses = method.losses(batch["image"], batch["label"], batch["mask"] * 0, [])
    expected = method.classifier(batch["image"])
    assert float(losses["loss"]) == pytest.approx(
        float(
            tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], expected))
        )
    )


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


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (6, [(2, 2), (4, 4), (1, 6), (2, 8), (4, 10), (1, 12)]),
        (5, [(2, 1), (4, 3), (1, 5), (2, 6), (4, 8), (1, 10), (2, 11)]),
    ],
)
def test_generators_restart_in_turn(monkeypatch, every, expected):
    method, restarted, step = make("tuned", restart_every=every), [], 0
    monkeypatch.setattr(
        Adversary, "restart", lambda self, step: restarted.append((self.tiles, step))
    )
    while (step := method.next_event(step)) <= 12:
        method.before_step(step)
    assert restarted == expected


def test_generators_of_the_paper_never_restart():
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


def test_averaged_weights_are_the_moving_average_of_each_step(batch):
    method = make("tuned", batchsize=8, average=0.5, steps=4)
    expected = None
    for step in range(4):
        method.train_step(batch, tf.constant([step, 0]))
        weights = method.classifier.get_weights()
        expected = (
            weights
            if expected is None
            else [0.5 * old + 0.5 * new for old, new in zip(expected, weights, strict=True)]
        )
    with method.evaluated_weights():
        judged = method.classifier.get_weights()
    for one, other in zip(method.classifier.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)
    method.finish()
    found = zip(method.classifier.get_weights(), judged, expected, strict=True)
    for averaged, seen, own in found:
        np.testing.assert_allclose(averaged, own, atol=1e-6)
        np.testing.assert_array_equal(averaged, seen)


def test_the_learning_rate_falls_to_zero_at_the_last_step(batch):
    method = make("tuned", batchsize=8, average=0.0)
    rates = []
    for step in range(11):
        rates.append(float(method.optimizer.learning_rate))
        method.train_step(batch, tf.constant([step, 0]))
    assert rates[0] == pytest.approx(1e-3)
    assert rates[5] == pytest.approx(5e-4)
    assert rates[10] == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_an_interrupted_training_with_techniques_ends_with_the_same_weights(squares, tmp_path):
    own = settings(
        "tuned", batchsize=8, steps=9, label_smoothing=0.1, background_mixing=1.0,
        clean_fraction=0.5, tiles=(1, 2), checkpoint_steps=1,
    )  # fmt: skip

    def run(folder: str, on_epoch_end=lambda epoch: None) -> list[np.ndarray]:
        method = AdversarialTraining(build_classifier(SHAPE, 2, 3), SHAPE, own, 9)
        train(method, squares.train, own, None, on_epoch_end, tmp_path / folder)
        return method.classifier.get_weights()

    def fail(epoch: int) -> None:
        if epoch == 2:
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        run("a", fail)
    for array, same in zip(run("a"), run("b"), strict=True):
        np.testing.assert_array_equal(array, same)


def test_clean_images_get_the_backgrounds_of_others(batch):
    given = {"batchsize": 8, "clean_fraction": 0.5, "back": "noise", "mask_growth": 0}
    bright = {**batch, "image": batch["image"] + 0.02 * tf.range(8.0)[:, None, None, None]}
    seen = {}
    for share in (0.0, 1.0):
        method = make("tuned", background_mixing=share, **given)
        network, seen[share] = method.classifier, []

        method.classifier = Recorder(seen[share], network)
        moved_batch = method.augment_batch(bright, SEED)
        backgrounds = method._backgrounds(moved_batch, SEED)
        method.losses(moved_batch["image"], batch["label"], moved_batch["mask"], backgrounds)
    (plain,), (mixed,) = seen[0.0], seen[1.0]
    # soft borders of an object show a little of what was behind it
    behind = method.augment_batch(bright, SEED)["mask"] == 0
    different = tf.reduce_any(behind & (plain != mixed), [1, 2, 3]).numpy()
    assert different.tolist() == [True] * 4 + [False] * 4


def test_mixing_of_backgrounds_needs_clean_images_in_step_with_their_masks():
    with pytest.raises(ValueError, match="give that, and --align-masks"):
        make("tuned", background_mixing=0.5, clean_fraction=0.0)
    with pytest.raises(ValueError, match="give that, and --align-masks"):
        make("tuned", background_mixing=0.5, align_masks=False)


def test_training_on_backgrounds_makes_a_classifier_ignore_them(squares):
    rng = np.random.default_rng(0)
    noisy = np.where(
        squares.train.images > 0, squares.train.images, rng.integers(0, 256, (24, 16, 16, 1))
    )
    test = ArraySource(noisy.astype(np.uint8), squares.train.labels)
    classifier = build_classifier(SHAPE, 2, 3)
    phase1 = resolve(ClassifierSettings, {"dataset": "squares", "steps": 40}, "tuned")
    train(ClassifierTraining(classifier, phase1), squares.train, phase1)
    (before,) = count_correct(classifier, [test])
    phase3 = settings("tuned", back="noise", steps=60, batchsize=32, average=0.9)
    train(AdversarialTraining(classifier, SHAPE, phase3, 60), squares.train, phase3)
    (after,) = count_correct(classifier, [test])
    assert before <= 18
    assert after >= 22


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
    assert float(losses["objective"]) == pytest.approx(
        float(golden["adversarial_step/loss"]), rel=1e-5
    )
    adversary_loss = losses["brightness_penalty"] - losses["objective"]
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
