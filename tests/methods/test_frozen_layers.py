"""What a user has frozen stays as it is, and statistics of batches are those of images too."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.engine.loop import train
from bginv.engine.run_folder import RunFolder
from bginv.engine.settings import resolve
from bginv.library.robustify import robustify
from bginv.library.three_phases import _rate
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.settings import AdversarialSettings, ClassifierSettings
from bginv.methods.background_invariance.stages import fit_new_head
from bginv.methods.photographs.settings import PhotographSettings
from bginv.methods.photographs.training import FineTuning
from bginv.nn.fine_tuning import fine_tuned_part, train_head
from bginv.nn.layers import BatchNormalization
from tests.library.test_own_pipeline import LABELS

layers = keras.layers
SHAPE = (16, 16, 1)
GIVEN = {"dataset": "squares", "batchsize": 8, "steps": 6, "learning_rate": 1e-2}


def normalized(kind=layers.BatchNormalization) -> keras.Sequential:
    return keras.Sequential([keras.Input((14, 14, 4)), layers.Conv2D(4, 3), kind()])


def classifier(kind=layers.BatchNormalization) -> tuple[keras.Model, keras.Model, keras.Model]:
    """A classifier of two models inside a model, whose first one is frozen; and these two."""
    image = keras.Input(SHAPE)
    frozen, free = normalized(kind), keras.Sequential([layers.Conv2D(4, 3), kind()])
    inside = keras.Sequential([keras.Input((14, 14, 4)), frozen])
    x = layers.GlobalAveragePooling2D()(free(inside(layers.Conv2D(4, 3)(image))))
    inside.trainable = False
    return keras.Model(image, layers.Dense(2)(x)), frozen, free


def phase_1(model: keras.Model) -> ClassifierTraining:
    return ClassifierTraining(model, resolve(ClassifierSettings, GIVEN, "tuned"))


def phase_3(model: keras.Model) -> AdversarialTraining:
    given = {**GIVEN, "model": "", "unet_model": "", "back": "noise"}
    own = resolve(AdversarialSettings, given, "tuned")
    return AdversarialTraining(model, SHAPE, own, 6)


def fine_tuning(model: keras.Model) -> FineTuning:
    own = resolve(PhotographSettings, GIVEN, "photographs")
    return FineTuning(model, own, 6, "classifier", 0.0)


PHASES = {"classifier": phase_1, "adversarial": phase_3, "fine-tuning": fine_tuning}


@pytest.mark.parametrize("kind", [layers.BatchNormalization, BatchNormalization])
@pytest.mark.parametrize("phase", PHASES)
def test_frozen_statistics_do_not_move_and_others_do(squares, phase, kind):
    model, frozen, free = classifier(kind)
    before = [own.get_weights() for own in (frozen, free)]
    method = PHASES[phase](model)
    train(method, squares.train, method.settings)
    after = [own.get_weights() for own in (frozen, free)]
    assert all(np.array_equal(*pair) for pair in zip(before[0], after[0], strict=True))
    assert not any(np.array_equal(*pair) for pair in zip(before[1], after[1], strict=True))
    assert not frozen.trainable and free.trainable


def test_robustify_leaves_what_is_frozen_in_both_phases(squares):
    model, frozen, free = classifier()
    before = [own.get_weights() for own in (frozen, free)]
    steps = {"classifier_steps": 3, "adversarial_steps": 3, "batchsize": 8}
    robustify(model, squares, masks="given", backgrounds="black", train_first=True, **steps)
    assert all(np.array_equal(*pair) for pair in zip(before[0], frozen.get_weights(), strict=True))
    assert not any(
        np.array_equal(*pair) for pair in zip(before[1], free.get_weights(), strict=True)
    )


def test_freezing_all_but_the_last_layer_holds_statistics_too(squares):
    model, frozen, free = classifier()
    before = [own.get_weights() for own in (frozen, free)]
    with fine_tuned_part(model, 1.0, fixed_batch_norm=False):
        method = fine_tuning(model)
        train(method, squares.train, method.settings)
    for own, kept in zip((frozen, free), before, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(kept, own.get_weights(), strict=True))
    assert free.layers[-1].trainable and not frozen.layers[-1].trainable


def test_a_last_layer_that_is_frozen_is_not_trained_anew(squares):
    model, *_ = classifier()
    model.layers[-1].trainable = False
    before = model.get_weights()
    fit_new_head(model, squares.train, RunFolder(None, None, False, {}), 0)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_a_last_layer_without_a_bias_is_trained_anew():
    head = layers.Dense(3, use_bias=False)
    head.build((None, 3))
    features = np.eye(3, dtype=np.float32)[LABELS]
    train_head(head, [features], [LABELS], 0)
    assert (head(features).numpy().argmax(1) == LABELS).all()


@pytest.mark.parametrize("recipe", ["tuned", "paper"])
def test_statistics_are_not_those_of_composites_alone(squares, recipe):
    """Composites are on white here, and images on black."""
    means = []

    class Watching(layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            if training and isinstance(inputs, tf.Tensor):
                tf.py_function(lambda x: means.append(x.numpy().mean((1, 2, 3))), [inputs], [])
            return super().call(inputs, training=training, mask=mask)

    model = keras.Sequential([keras.Input(SHAPE), Watching(), layers.Flatten(), layers.Dense(2)])
    given = {"adversarial_steps": 2, "batchsize": 8, "train_first": False, "recipe": recipe}
    white = np.full((2, 20, 20, 1), 255, np.uint8)
    robustify(model, squares, masks="given", backgrounds=white, augment=False, **given)
    assert means and all(np.sum(own < 0.5) == 2 and np.sum(own > 0.5) == 6 for own in means)


def test_rates_follow_depth_and_knowledge_not_size():
    large = keras.Sequential([keras.Input((160, 160, 3)), layers.Flatten(), layers.Dense(2)])
    deep = keras.Sequential(
        [keras.Input((16, 16, 3)), *(layers.Conv2D(2, 1) for _ in range(13)), layers.Flatten()]
        + [layers.Dense(3)]
    )
    cases = ((large, False, 1e-3), (deep, False, 1e-5), (deep, True, 1e-3))
    assert all(_rate(model, train_first) == rate for model, train_first, rate in cases)
