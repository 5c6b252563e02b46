import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.data.sources import Dataset
from bginv.engine.loop import RANDOM_STATE, train
from bginv.engine.optimizers import AveragedWeights
from bginv.engine.settings import resolve
from bginv.methods.background_invariance.classifier_training import (
    ClassifierTraining,
    smoothed_cross_entropy,
)
from bginv.methods.background_invariance.settings import ClassifierSettings
from bginv.nn.paper_networks import build_classifier

SHAPE = (16, 16, 1)
TECHNIQUES = [{"background_mixing": 0.5}, {"label_smoothing": 0.1}]


def made(dataset: Dataset, **given) -> ClassifierTraining:
    """Phase 1 of a small classifier."""
    given = {"dataset": "squares", "batchsize": 8, "steps": 10, "seed": 1, **given}
    own = resolve(ClassifierSettings, given, "tuned")
    return ClassifierTraining(build_classifier(SHAPE, dataset.num_classes, own.seed), own)


def trained(dataset: Dataset, **given) -> keras.Model:
    """Its classifier after the training."""
    method = made(dataset, **given)
    train(method, dataset.train, method.settings)
    return method.classifier


def test_training_learns_two_classes_and_repeats_bit_for_bit(squares):
    def run() -> tuple[float, list]:
        settings = resolve(ClassifierSettings, {"dataset": "squares", "steps": 30}, "tuned")
        classifier = build_classifier((16, 16, 1), 2, seed=1)
        train(ClassifierTraining(classifier, settings), squares.train, settings)
        records = squares.train.gather(tf.range(24, dtype=tf.int64))
        hits = tf.argmax(classifier(records["image"]), 1, tf.int32) == records["label"]
        return float(tf.reduce_mean(tf.cast(hits, tf.float32))), classifier.get_weights()

    (accuracy, weights), (_, again) = run(), run()
    assert accuracy > 0.9
    assert all((a == b).all() for a, b in zip(weights, again, strict=True))


def test_recipes_differ_in_flips():
    classifier = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten()])
    for recipe, flip in (("paper", True), ("tuned", False)):
        settings = resolve(ClassifierSettings, {"dataset": "squares"}, recipe)
        assert ClassifierTraining(classifier, settings).augmentation.flip is flip


@pytest.mark.parametrize("technique", TECHNIQUES, ids=str)
def test_every_technique_learns_two_classes(squares, technique):
    classifier = trained(squares, steps=60, **technique)
    records = squares.train.gather(tf.range(24, dtype=tf.int64))
    hits = tf.argmax(classifier(records["image"]), 1, tf.int32) == records["label"]
    assert float(tf.reduce_mean(tf.cast(hits, tf.float32))) > 0.9


def test_smoothed_labels_by_hand():
    logits = tf.random.stateless_normal([4, 3], [1, 2])
    targets = np.eye(3)[[0, 1, 2, 0]] * 0.7 + 0.1
    expected = -(targets * tf.nn.log_softmax(logits).numpy()).sum(1).mean()
    found = smoothed_cross_entropy(0.3)(tf.constant([0, 1, 2, 0]), logits)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_backgrounds_are_mixed_after_the_augmentation(squares):
    batch = next(iter(squares.train.batches(8)))
    plain, mixed = made(squares), made(squares, background_mixing=1.0)
    seed = tf.constant([1, 2])
    one, other = (method.augment_batch(batch, seed) for method in (plain, mixed))
    np.testing.assert_array_equal(one["mask"], other["mask"])
    inside = one["mask"].numpy()[..., 0] == 1
    np.testing.assert_allclose(one["image"][inside], other["image"][inside], atol=1e-6)
    assert np.abs(one["image"] - other["image"]).max() > 0.01


def test_weights_that_are_no_floats_have_no_average():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Normalization()])
    model.layers[-1].adapt(np.arange(12.0).reshape(3, 4))
    assert any("int" in weight.dtype for weight in model.weights)
    average = AveragedWeights(model, 0.5)
    average.update()
    average.take_over()
    assert np.isfinite(model(np.ones((1, 4)))).all()


def with_regularizers() -> keras.Model:
    """A classifier whose layers have losses of their own, of each kind."""
    layers = keras.layers
    decay = keras.regularizers.L2(0.5)
    stack = [layers.Flatten(), layers.ActivityRegularization(l1=0.01)]
    return keras.Sequential([keras.Input(SHAPE), *stack, layers.Dense(2, kernel_regularizer=decay)])


def test_losses_of_the_models_own_layers_count(squares):
    settings = resolve(ClassifierSettings, {"dataset": "squares", "learning_rate": 1e-2}, "tuned")
    model = with_regularizers()
    method = ClassifierTraining(model, settings)
    records = squares.train.gather(tf.range(24, dtype=tf.int64))
    logits = model(records["image"], training=True)
    own = [float(term) for term in model.losses]
    assert len(own) == 2 and min(own) > 0.05
    cross_entropy = float(method.loss(records["label"], logits))
    step = tf.function(method.train_step, autograph=False)
    before = np.square(model.weights[0]).sum()
    found = float(step(records, tf.constant([0, 0]))["loss"])
    assert found == pytest.approx(cross_entropy + sum(own), rel=1e-5)
    for number in range(60):
        step(records, tf.constant([0, number]))
    assert np.square(model.weights[0]).sum() < 0.2 * before


def test_a_nested_models_losses_count_too(squares):
    settings = resolve(ClassifierSettings, {"dataset": "squares"}, "tuned")
    image = keras.Input(SHAPE)
    inner = with_regularizers()
    method = ClassifierTraining(keras.Model(image, inner(image)), settings)
    records = squares.train.gather(tf.range(8, dtype=tf.int64))
    plain = float(method.loss(records["label"], inner(records["image"], training=True)))
    own = sum(float(term) for term in inner.losses)
    assert float(method.train_step(records, tf.constant([0, 0]))["loss"]) == pytest.approx(
        plain + own, rel=1e-5
    )


def with_random_layers() -> keras.Model:
    """A classifier that draws at random, from states that differ each time it is made."""
    layers = keras.layers
    stack = [layers.RandomFlip(), layers.Flatten(), layers.Dropout(0.5)]
    head = layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    return keras.Sequential([keras.Input(SHAPE), *stack, head])


def test_random_layers_follow_the_runs_seed_also_after_a_stop(squares, tmp_path):
    def weights(seed: int, folder: str, stop: int | None = None) -> np.ndarray:
        given = {"dataset": "squares", "steps": 6, "batchsize": 8, "seed": seed}
        settings = resolve(ClassifierSettings, {**given, "checkpoint_steps": 1}, "tuned")
        model = with_random_layers()

        def end(epoch: int) -> None:
            if epoch == stop:
                raise InterruptedError

        method = ClassifierTraining(model, settings)
        train(method, squares.train, settings, None, end, tmp_path / folder)
        return model.get_weights()[0]

    whole = weights(1, "whole")
    np.testing.assert_array_equal(whole, weights(1, "again"))
    assert not np.array_equal(whole, weights(2, "other"))
    with pytest.raises(InterruptedError):
        weights(1, "stopped", stop=1)
    np.testing.assert_array_equal(whole, weights(1, "stopped"))


def test_workers_get_the_states_of_random_layers_that_a_checkpoint_holds(
    squares, tmp_path, monkeypatch
):
    settings = resolve(ClassifierSettings, {"dataset": "squares", "steps": 1}, "tuned")
    model, sent = with_random_layers(), []

    def send(strategy, step: int, variables: list) -> int:
        sent.extend(id(variable) for variable in variables)
        return step

    monkeypatch.setattr("bginv.engine.loop.send_from_chief", send)
    method = ClassifierTraining(model, settings)
    train(method, squares.train, settings, None, None, tmp_path / "run")
    states = [own.value for own in model.variables if own.name == RANDOM_STATE]
    assert len(states) == 2 and {id(state) for state in states} <= set(sent)
