import keras
import tensorflow as tf

from bginv.config import resolve
from bginv.models.classifier import build_classifier
from bginv.recipes import ClassifierSettings
from bginv.training.classifier import ClassifierTraining
from bginv.training.loop import train


def test_training_learns_two_classes_and_repeats_bit_for_bit(squares):
    def trained() -> tuple[float, list]:
        settings = resolve(ClassifierSettings, {"dataset": "squares", "steps": 30}, "tuned")
        classifier = build_classifier((16, 16, 1), 2, seed=1)
        train(ClassifierTraining(classifier, settings), squares.train, settings)
        records = squares.train.gather(tf.range(24, dtype=tf.int64))
        hits = tf.argmax(classifier(records["image"]), 1, tf.int32) == records["label"]
        return float(tf.reduce_mean(tf.cast(hits, tf.float32))), classifier.get_weights()

    (accuracy, weights), (_, again) = trained(), trained()
    assert accuracy > 0.9
    assert all((a == b).all() for a, b in zip(weights, again, strict=True))


def test_recipes_differ_in_flips():
    classifier = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten()])
    for recipe, flip in (("paper", True), ("tuned", False)):
        settings = resolve(ClassifierSettings, {"dataset": "squares"}, recipe)
        assert ClassifierTraining(classifier, settings).augmentation.flip is flip
