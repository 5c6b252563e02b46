import numpy as np
import pytest
import tensorflow as tf

from bginv.config import resolve
from bginv.methods.attention.settings import AttentionSettings
from bginv.models.classifier import build_classifier
from bginv.models.ensembles import build_ensemble, members_of
from bginv.ops.losses import cross_entropy, soft_cross_entropy
from bginv.recipes import ClassifierSettings
from bginv.training.objective import Objective

SEED = tf.constant([1, 2])
SHAPE = (16, 16, 1)


@pytest.fixture
def batch():
    return tf.random.stateless_uniform([8, *SHAPE], [3, 4]), tf.constant([0, 1, 2, 0, 1, 2, 0, 1])


def objective(classifier=None, **given) -> Objective:
    settings = resolve(ClassifierSettings, {"dataset": "", "batchsize": 8, **given}, "paper")
    return Objective(classifier or build_classifier(SHAPE, 3, 1), settings, 8)


def recorded(own: Objective) -> list:
    """What its classifier is given from now on."""
    seen, network = [], own.classifier

    class Recorder:
        output_shape = network.output_shape

        def __call__(self, images, training):
            seen.append(images)
            return network(images, training=training)

    own.classifier = Recorder()
    return seen


def test_without_techniques_it_is_the_cross_entropy(batch):
    own = objective()
    images, labels = batch
    assert float(own.loss(images, labels, SEED)) == float(
        cross_entropy(labels, own.classifier(images))
    )
    plain = resolve(AttentionSettings, {"dataset": ""}, "paper")
    same = Objective(own.classifier, plain, 8)
    assert float(same.loss(images, labels, SEED)) == float(own.loss(images, labels, SEED))


def test_label_smoothing_and_the_focal_loss_by_hand(batch):
    images, labels = batch
    own = objective(label_smoothing=0.3)
    shares = tf.nn.softmax(own.classifier(images)).numpy()
    targets = np.eye(3)[labels] * 0.7 + 0.1
    expected = -(targets * np.log(shares)).sum(1).mean()
    assert float(own.loss(images, labels, SEED)) == pytest.approx(expected, rel=1e-5)
    own = objective(own.classifier, focal=2.0)
    right = shares[np.arange(8), labels]
    expected = -((1 - right) ** 2 * np.log(right)).mean()
    assert float(own.loss(images, labels, SEED)) == pytest.approx(expected, rel=1e-5)


def test_the_focal_loss_moves_images_that_are_wrong_with_certainty():
    logits = tf.Variable([[0.0, 40.0], [40.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = soft_cross_entropy(tf.constant([[1.0, 0.0], [1.0, 0.0]]), logits, gamma=2.0)
    assert float(loss) == pytest.approx(20)
    np.testing.assert_allclose(tape.gradient(loss, logits), [[-0.5, 0.5], [0.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_of_sure_images_are_finite(gamma):
    logits = tf.Variable([[200.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = soft_cross_entropy(tf.constant([[1.0, 0.0, 0.0]]), logits, 0.1, gamma)
    assert np.isfinite(tape.gradient(loss, logits)).all()


@pytest.mark.parametrize(
    # XLA draws other orders
    ("kind", "tolerance"),
    [("mimo", 0.1), ("batch_ensemble", 1e-4)],
)
def test_an_ensembles_loss_compiles_with_xla_and_is_the_same(batch, kind, tolerance):
    own = objective(build_ensemble(kind, SHAPE, 3, 4, seed=1), label_smoothing=0.1, focal=2.0)
    plain, compiled = (
        tf.function(own.loss, jit_compile=xla)(*batch, SEED) for xla in (False, True)
    )
    assert float(compiled) == pytest.approx(float(plain), rel=tolerance)


def test_mixup_gives_shares_of_two_images(batch):
    own = objective(mixup=1.0)
    images = tf.reshape(tf.range(8.0), [8, 1, 1, 1]) * tf.ones([8, *SHAPE])
    targets = tf.one_hot(tf.range(8), 8)
    mixed, shares = own._mix(images, targets, SEED)
    # an image's value is its number, so shares tell the mean of the pixels
    np.testing.assert_allclose(mixed[:, 0, 0, 0], tf.linalg.matvec(shares, tf.range(8.0)), 1e-4)
    np.testing.assert_allclose(tf.reduce_sum(shares, 1), 1, atol=1e-5)
    assert len(np.unique(np.round(shares, 3))) > 6  # another share for each image
    assert not own.static_shapes


def test_cutmix_pastes_boxes_and_counts_their_area(batch):
    own = objective(cutmix=1.0)
    images = tf.reshape(tf.range(8.0), [8, 1, 1, 1]) * tf.ones([8, *SHAPE])
    mixed, shares = own._mix(images, tf.one_hot(tf.range(8), 8), SEED)
    for number in range(8):
        kept = np.mean(mixed[number] == number)
        # boxes have borders between pixels
        assert float(shares[number, number]) == pytest.approx(kept, abs=0.13)
        assert len(np.unique(mixed[number])) <= 2


@pytest.mark.parametrize("technique", ["mixup", "cutmix"])
def test_mixing_is_a_function_of_the_seed(batch, technique):
    own = objective(**{technique: 0.8})
    seen = recorded(own)
    losses = [float(own.loss(*batch, tf.constant(seed))) for seed in ([1, 2], [1, 2], [1, 3])]
    assert losses[0] == losses[1] != losses[2]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert np.abs(seen[0] - seen[2]).max() > 0.01


def test_mimo_members_see_all_images_in_orders_of_their_own(batch):
    images, labels = batch
    own = objective(build_ensemble("mimo", SHAPE, 3, 3, seed=1))
    order = own._order(8, SEED).numpy()
    assert all(sorted(column) == list(range(8)) for column in order.T)
    assert not np.array_equal(order[:, 0], order[:, 1])
    seed = tf.random.split(SEED, 2)[1]
    order = own._order(8, seed).numpy()
    logits = members_of(own.classifier)(tf.gather(images, order))
    expected = cross_entropy(
        tf.reshape(tf.gather(labels, order), [-1]), tf.reshape(logits, [-1, 3])
    )
    assert float(own.loss(images, labels, SEED)) == pytest.approx(float(expected), rel=1e-5)


def test_members_of_a_batch_ensemble_share_a_batch(batch):
    own = objective(build_ensemble("batch_ensemble", SHAPE, 3, 4, seed=1))
    np.testing.assert_array_equal(own._order(8, SEED), [[0, 1, 2, 3], [4, 5, 6, 7]])
    assert np.isfinite(float(own.loss(*batch, SEED)))
    with pytest.raises(ValueError, match="8 images a device, which 3 members .* multiple of 3"):
        objective(build_ensemble("batch_ensemble", SHAPE, 3, 3, seed=1))


def test_mixup_and_cutmix_exclude_each_other():
    with pytest.raises(ValueError, match="--mixup and --cutmix exclude each other"):
        objective(mixup=0.2, cutmix=1.0)
