"""Each rival against values computed by hand."""

import math
import pathlib
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.data.composites import WithEmptied, emptied
from bginv.data.sources import Dataset
from bginv.methods.rivals.afr import badly_told, move_last_layer
from bginv.methods.rivals.balanced import equally_often
from bginv.methods.rivals.contrast import ContrastTraining, contrastive_loss
from bginv.methods.rivals.copy_paste import CopyPasteTraining, scaled_and_moved
from bginv.methods.rivals.dfr import balanced_rows, reweighted, split_each_group
from bginv.methods.rivals.erm import ErmTraining
from bginv.methods.rivals.gradient_penalty import GradientPenaltyTraining, RightReasonsTraining
from bginv.methods.rivals.group_dro import GroupDroTraining
from bginv.methods.rivals.settings import NAMES, RIVALS, rival_of
from bginv.methods.rivals.swap import SwapTraining
from bginv.ops.augment import warp
from tests.methods.rival_toys import SIDE, network, settings, toy_trap, trainer

SEED = tf.constant([1, 2])


@pytest.fixture
def dataset() -> Dataset:
    return toy_trap()


def linear(kernel: np.ndarray) -> keras.Model:
    """Images [2, 2, 1] to two logits, by a kernel [4, 2]."""
    image = keras.Input((2, 2, 1))
    layer = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(image, layer(keras.layers.Flatten()(image)))
    layer.set_weights([kernel.astype(np.float32)])
    return model


class Logits(ErmTraining):
    """Whose logits are the first two numbers of an image."""

    def logits(self, images):
        return tf.reshape(images, [-1, 4])[:, :2]


def test_group_dro_weighs_groups_as_by_hand():
    class Known(Logits, GroupDroTraining):
        pass

    groups = np.array([4, 4, 7, 9])
    method = Known(
        linear(np.zeros((4, 2))), settings("group-dro", group_rate=0.5, group_adjustment=2.0),
        "group-dro", None, groups,
    )  # fmt: skip
    # differences of logits, in favour of the label: losses log(1 + exp(-d))
    images = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [-2, 0, 0, 0]], np.float32)
    batch = {
        "image": tf.reshape(tf.constant(images), [3, 2, 2, 1]),
        "label": tf.constant([0, 0, 0]),
        "index": tf.constant([0, 1, 2], tf.int64),
    }
    found = method.loss(batch)
    first = (math.log1p(math.exp(-1)) + math.log(2)) / 2
    second = math.log1p(math.exp(2))
    told = [first + 2 / math.sqrt(2), second + 2.0, 0.0 + 2.0]
    weights = np.exp(0.5 * np.array(told))
    weights /= weights.sum()
    np.testing.assert_allclose(method.weights, weights, rtol=1e-5)
    assert float(found["loss"]) == pytest.approx(weights[0] * first + weights[1] * second, rel=1e-5)


def test_each_group_comes_as_often(dataset, tmp_path):
    own = trainer(dataset, tmp_path, "group-balanced")
    source = equally_often(own, own.groups(own.train))
    (batch,) = source.batches(96, shuffle=True).take(1)
    groups = own.groups(own.train)[batch["index"]]
    assert np.bincount(groups).tolist() == [24, 24, 24, 24]
    assert np.bincount(own.groups(own.train)).tolist() == [44, 4, 4, 44]


def test_dfr_takes_as_many_of_each_group_and_takes_the_scale_out():
    groups = np.array([0] * 20 + [1] * 3 + [3] * 9)
    rows = balanced_rows(groups, np.random.default_rng(0))
    assert np.bincount(groups[rows]).tolist() == [3, 3, 0, 3] and len(set(rows)) == 9
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    places = np.where(rng.random(200) < 0.9, labels, 1 - labels)
    features = np.stack([labels + 0.2 * rng.normal(size=200), places * 3.0 + 7], 1)
    scale = (features.mean(0), features.std(0))
    kernel, bias = reweighted(
        features, labels, labels * 2 + places, 2, (1.0, 0.1), 5, np.random.default_rng(1), scale
    )
    difference = kernel[:, 1] - kernel[:, 0]
    assert abs(difference[1] * 3) < 0.2 * abs(difference[0]), "the place counts next to nothing"
    right = (features @ kernel + bias).argmax(-1) == labels
    assert right.mean() > 0.97


def test_the_penalty_of_dfr_leaves_most_weights_at_zero():
    """L1; L2 leaves none there. Releases of scikit-learn take it by different names."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    features = np.concatenate([labels[:, None] - 0.5, rng.normal(size=(80, 40))], 1)
    kernel, _ = reweighted(
        features, labels, labels, 2, (0.05,), 1, rng, (np.zeros(41), np.ones(41))
    )
    assert (kernel[:, 1] != kernel[:, 0]).sum() < 10


def test_dfr_tells_several_classes():
    labels = np.arange(90) % 3
    features = np.eye(3)[labels] + 0.05 * np.random.default_rng(0).normal(size=(90, 3))
    kernel, bias = reweighted(
        features, labels, labels, 3, (1.0,), 3, np.random.default_rng(0), (np.zeros(3), np.ones(3))
    )
    assert ((features @ kernel + bias).argmax(-1) == labels).all()


def test_afr_weighs_records_as_by_hand():
    """Probabilities of the label 1/2, 3/4, 1/4; two records of class 0, one of class 1."""
    logits = np.log([[1.0, 1.0], [3.0, 1.0], [3.0, 1.0]])
    found = badly_told(logits, np.array([0, 0, 1]), 2, 4.0)
    wanted = np.array([math.exp(-2) / 2, math.exp(-3) / 2, math.exp(-1)])
    np.testing.assert_allclose(found, wanted / wanted.sum(), rtol=1e-6)


def test_afr_moves_the_last_layer_as_by_hand():
    """One step on one record: the gradient of its loss is x (p - y), and no way was gone yet."""
    kernel, bias = move_last_layer(
        np.array([[0.5, 0.0]]), np.array([1]), np.array([1.0]), (np.zeros((2, 2)), np.zeros(2)),
        (3.0, 0.1, 1),
    )  # fmt: skip
    np.testing.assert_allclose(kernel, [[-0.025, 0.025], [0, 0]], atol=1e-7)
    np.testing.assert_allclose(bias, [-0.05, 0.05], atol=1e-7)
    far = [
        move_last_layer(
            np.array([[0.5, 0.0]]), np.array([1]), np.array([1.0]),
            (np.zeros((2, 2)), np.zeros(2)), (penalty, 0.1, 50),
        )[0][0, 1]
        for penalty in (0.0, 3.0)
    ]  # fmt: skip
    assert far[0] > 5 * far[1] > 0


@pytest.mark.parametrize("kind", [GradientPenaltyTraining, RightReasonsTraining])
def test_gradients_on_the_background_as_by_hand(kind):
    """d log p_y / dx = w_y - sum_k p_k w_k; of all classes, sum_k w_k - K sum_k p_k w_k."""
    kernel = np.array([[1.0, -1], [0.5, 2], [0, 0], [3, 1]])
    method = kind(linear(kernel), settings("right-reasons", gradient_weight=10.0), "x", None)
    images = np.array([[0.2, 0.4, 0.1, 0.3]], np.float32)
    mask = np.array([[1.0, 0.5, 0.0, 0.0]], np.float32)
    found = method.loss(
        {
            "image": tf.reshape(tf.constant(images), [1, 2, 2, 1]),
            "mask": tf.reshape(tf.constant(mask), [1, 2, 2, 1]),
            "label": tf.constant([1]),
        }
    )
    shares = np.exp(images[0] @ kernel)
    shares /= shares.sum()
    gradient = kernel[:, 1] - kernel @ shares
    if kind is RightReasonsTraining:
        gradient = kernel.sum(1) - 2 * (kernel @ shares)
    penalty = (((1 - mask[0]) * gradient) ** 2).sum()
    assert float(found["gradient"]) == pytest.approx(penalty, rel=1e-4)
    assert float(found["loss"]) == pytest.approx(-math.log(shares[1]) + 10 * penalty, rel=1e-4)


def test_contrast_as_by_hand():
    """Image 0 has composite 2 against it: another object, on a background of its class."""
    features = tf.constant([[1.0, 0], [0, 1], [1, 1]])
    composites = tf.constant([[1.0, 0], [0, 2], [0, 1]])
    labels, donors = tf.constant([0, 1, 1]), tf.constant([1, 1, 0])
    found = contrastive_loss(features, composites, labels, donors, 0.5)
    own = np.array([1.0, 1.0, 1 / math.sqrt(2)]) / 0.5
    against = [[0.0], [0.0], [1 / math.sqrt(2) / 0.5]]  # composites 2, 0 and 0
    terms = [
        math.log(math.exp(a) + sum(map(math.exp, b))) - a for a, b in zip(own, against, strict=True)
    ]
    assert float(found) == pytest.approx(np.mean(terms), rel=1e-5)


def test_contrast_knows_whose_background_it_took(dataset):
    source = dataset.train
    whole = WithEmptied(source, emptied(source, pathlib.Path()))
    method = ContrastTraining(network(), settings("contrast", smallest_crop=1.0), "x", whole)
    batch = whole.gather(tf.range(16, dtype=tf.int64))
    seen = method.views(batch, SEED)
    # the first four records of each class are on the other's colour
    colours = np.where(np.arange(16) < 8, 1 - batch["label"], batch["label"])
    donors = [
        abs(seen["composite"][:, None, :4] - batch["background"][None, :, :4]).numpy()
        .max((2, 3, 4))[row].argmin() for row in range(16)
    ]  # fmt: skip
    np.testing.assert_array_equal(seen["donor_label"], batch["label"].numpy()[donors])
    assert (colours[donors] != colours).any()
    assert set(method.loss(seen)) == {"loss", "cross_entropy", "contrast"}


def test_swap_keeps_objects_and_changes_backgrounds(dataset):
    source = dataset.train
    whole = WithEmptied(source, emptied(source, pathlib.Path()))
    batch = whole.gather(tf.range(16, dtype=tf.int64))
    method = SwapTraining(network(), settings("background-swap"), "x", whole)
    found, images = method.changed(batch, SEED).numpy(), batch["image"].numpy()
    np.testing.assert_allclose(found[:, 5:11, 5:11], images[:, 5:11, 5:11], atol=1e-6)
    outside = abs(found[:, :4] - images[:, :4]).max((1, 2, 3))
    assert (outside > 0.01).all(), "nobody keeps a background"


def test_copy_paste_puts_the_object_into_another_whole_image(dataset):
    source = dataset.train
    whole = WithEmptied(source, emptied(source, pathlib.Path()))
    batch = whole.gather(tf.range(16, dtype=tf.int64))
    method = CopyPasteTraining(
        network(), settings("copy-paste", paste_scales=(0.5, 0.5)), "x", whole
    )
    found, images = method.changed(batch, SEED).numpy(), batch["image"].numpy()
    near = abs(found[:, None] - images[None]).reshape(16, 16, -1)
    host = (near < 1e-6).mean(-1).argmax(1)
    assert (host != np.arange(16)).all()
    changed = abs(found - images[host]).max(-1) > 1e-3
    # half the side of an object of 6 pixels, with what interpolation blurs
    assert (changed.sum((1, 2)) >= 4).all() and (changed.sum((1, 2)) <= 25).all()


def test_scaled_objects_stay_inside():
    masks = np.zeros((4, SIDE, SIDE, 1), np.float32)
    masks[:, 1:5, 9:15] = 1
    transforms = scaled_and_moved(tf.constant(masks), (1.0, 1.0), SEED)
    moved = warp(tf.constant(masks), transforms, "constant").numpy()
    np.testing.assert_allclose(moved.sum((1, 2, 3)), 24, rtol=0.05)
    assert len({tuple(np.round(own[..., 0].sum(0), 3)) for own in moved}) > 1


def test_mistakes_of_the_first_training_come_so_often(dataset, tmp_path, monkeypatch):
    own = trainer(dataset, tmp_path, "jtt", upweight=7, first_epochs=1, epochs=1)
    wrong = np.arange(96) % 10 == 3
    shown = np.where(wrong, 1 - dataset.train.labels, dataset.train.labels)
    monkeypatch.setattr(own, "logits", lambda source: np.eye(2)[shown])
    trained = []
    monkeypatch.setattr(own, "fit", lambda method, source, *rest, **more: trained.append(source))
    pkgutil.resolve_name(RIVALS["jtt"].train_path)(own)
    first, second = trained
    counts = np.bincount(second.labels, minlength=2)
    assert len(first) == 96 and len(second) == 96 + 6 * wrong.sum() == counts.sum()


def test_an_unknown_rival_is_named_with_its_nearest():
    with pytest.raises(ValueError, match="unknown --method 'group_dro'; did you mean 'group-dro'"):
        rival_of("group_dro")


def test_the_table_and_the_names_are_the_same():
    assert tuple(RIVALS) == NAMES


def test_halves_have_each_group():
    groups = np.array([0] * 7 + [2] * 2 + [5])
    first, second = split_each_group(groups, np.random.default_rng(0))
    assert np.bincount(groups[first]).tolist() == [4, 0, 1, 0, 0, 1]
    assert np.bincount(groups[second]).tolist() == [3, 0, 1]
    assert sorted([*first, *second]) == list(range(10))


@pytest.mark.parametrize("kind", [SwapTraining, CopyPasteTraining, GradientPenaltyTraining])
def test_an_image_whose_mask_shows_nothing_stays_an_image_of_its_object(dataset, kind):
    source = dataset.train
    whole = WithEmptied(source, emptied(source, pathlib.Path()))
    batch = whole.gather(tf.range(16, dtype=tf.int64))
    shown = tf.cast(tf.range(16) != 3, tf.float32)[:, None, None, None]
    method = kind(
        network(),
        settings("copy-paste", paste_scales=(1.0, 1.0), smallest_crop=1.0, flip=False),
        "x",
        whole,
    )
    spoiled = {**batch, "mask": batch["mask"] * shown}
    if kind is GradientPenaltyTraining:
        assert tf.reduce_min(method.views(spoiled, SEED)["mask"][3]) == 1, (
            "no gradient is penalized"
        )
        return
    found = method.changed(spoiled, SEED)[3].numpy()
    same = abs(found - batch["image"][3].numpy()).max(-1) < 1e-6
    if kind is SwapTraining:
        assert same.all()
    else:
        host = abs(found[None] - batch["image"].numpy()).max(-1) < 1e-6
        assert host.mean((1, 2)).max() < 0.9, "a part of it, moved, is there"


@pytest.mark.parametrize("freeze", [True, False])
def test_the_scale_is_that_of_the_training_features(dataset, tmp_path, freeze):
    own = trainer(dataset, tmp_path, "dfr", freeze=freeze)
    features = own.features(own.train)
    mean, deviation = own.scale()
    np.testing.assert_allclose(mean, features.mean(0), rtol=1e-4)
    np.testing.assert_allclose(deviation, features.std(0), rtol=1e-3, atol=1e-6)
