import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.config import resolve
from bginv.data.sources import Dataset
from bginv.models.classifier import build_classifier
from bginv.models.ensembles import build_ensemble
from bginv.recipes import ClassifierSettings
from bginv.training.averaged_weights import AveragedWeights
from bginv.training.checkpoints import Checkpoints
from bginv.training.classifier import ClassifierTraining
from bginv.training.loop import train

SHAPE = (16, 16, 1)
TECHNIQUES = [
    {"mixup": 0.2},
    {"cutmix": 1.0},
    {"background_mixing": 0.5},
    {"label_smoothing": 0.1},
    {"focal": 2.0},
    {"swa": 0.25},
    {"ensemble": "mimo", "members": 2},
    {"ensemble": "batch-ensemble", "members": 2},
]


def made(dataset: Dataset, **given) -> ClassifierTraining:
    """Phase 1 of a small classifier or ensemble."""
    given = {"dataset": "squares", "batchsize": 8, "steps": 10, "seed": 1, **given}
    own = resolve(ClassifierSettings, given, "tuned")
    num_classes = dataset.num_classes
    if own.ensemble == "none":
        classifier = build_classifier(SHAPE, num_classes, own.seed)
    else:
        kind = own.ensemble.replace("-", "_")
        classifier = build_ensemble(kind, SHAPE, num_classes, own.members, own.seed)
    return ClassifierTraining(classifier, own, own.steps)


def trained(dataset: Dataset, **given) -> keras.Model:
    """Its classifier after the training."""
    method = made(dataset, **given)
    train(method, dataset.train, method.settings)
    return method.classifier


def test_training_learns_two_classes_and_repeats_bit_for_bit(squares):
    def run() -> tuple[float, list]:
        settings = resolve(ClassifierSettings, {"dataset": "squares", "steps": 30}, "tuned")
        classifier = build_classifier((16, 16, 1), 2, seed=1)
        train(ClassifierTraining(classifier, settings, 30), squares.train, settings)
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
        assert ClassifierTraining(classifier, settings, 30).augmentation.flip is flip


@pytest.mark.parametrize("technique", TECHNIQUES, ids=str)
def test_every_technique_learns_two_classes(squares, technique):
    classifier = trained(squares, steps=60, **technique)
    records = squares.train.gather(tf.range(24, dtype=tf.int64))
    hits = tf.argmax(classifier(records["image"]), 1, tf.int32) == records["label"]
    assert float(tf.reduce_mean(tf.cast(hits, tf.float32))) > 0.9


def test_stochastic_weight_averaging_takes_the_mean_of_the_last_steps(squares):
    # at its k-th step the network of k steps is what the average takes in
    ends = [trained(squares, steps=steps).get_weights() for steps in (7, 8, 9, 10)]
    averaged = trained(squares, steps=10, swa=0.4)
    for mean, *parts in zip(averaged.get_weights(), *ends, strict=True):
        np.testing.assert_allclose(mean, np.mean(parts, 0), atol=1e-6)


def test_a_checkpoint_holds_the_average(squares, tmp_path):
    batch = next(iter(squares.train.without_masks().batches(8)))
    trained, restored = (made(squares, seed=seed, steps=4, swa=1.0) for seed in (1, 2))
    for step in range(3):
        trained.step_at(step)(batch, tf.constant([step, 0]))
    Checkpoints(tmp_path, trained.checkpointed(), 0, 0.0).save(3)
    assert Checkpoints(tmp_path, restored.checkpointed(), 0, 0.0).restore() == 3
    for method in (trained, restored):
        method.step_at(3)(batch, tf.constant([3, 0]))
        method.finish()
    weights = [method.classifier.get_weights() for method in (trained, restored)]
    for array, same in zip(*weights, strict=True):
        np.testing.assert_array_equal(array, same)


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
    average = AveragedWeights(model, None)
    average.update()
    average.take_over()
    assert np.isfinite(model(np.ones((1, 4)))).all()
