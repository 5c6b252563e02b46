import dataclasses

import keras
import numpy as np
import pytest

from bginv.engine.results import on_evaluated_epochs
from bginv.engine.run_folder import RunFolder
from bginv.engine.settings import resolve
from bginv.methods.acol.settings import AcolSettings
from bginv.methods.background_invariance import stages
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.settings import PHASES
from bginv.methods.background_invariance.stages import (
    AdversarialStage,
    ClassifierStage,
    fit_new_head,
)


@pytest.mark.parametrize(("every", "expected"), [(0, [5]), (1, [1, 2, 3, 4, 5]), (2, [2, 4, 5])])
def test_the_last_epoch_is_always_evaluated(every, expected):
    given = {"dataset": "shapes", "batchsize": 4, "epochs": 5, "evaluate_every": every}
    settings = resolve(AcolSettings, given, "paper")
    steps = dataclasses.replace(settings, epochs=None, steps=13)  # the last epoch is a part of one
    for own in (settings, steps):
        called: list[int] = []
        after_epoch = on_evaluated_epochs(called.append, every, own, 12)
        for epoch in range(1, 6):
            after_epoch(epoch)
        assert called == expected


@pytest.mark.parametrize(
    ("value", "told"), [(0.0, "masks cover 0.0 %"), (1.0, "masks cover 100.0 %"), (None, "")]
)
def test_masks_that_show_nothing_or_everything_are_told(squares, caplog, value, told):
    image = keras.Input((16, 16, 1))
    zeros = image * 0
    unet = keras.Model(image, zeros + value) if value is not None else None
    given = {"dataset": "squares", "model": "", "unet_model": "", "binarize": "0.5", "steps": 1}
    settings = resolve(PHASES["adversarial"], given, "tuned")
    folder = RunFolder(None, None, False, {"adversarial": settings})
    classifier = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)))
    method = AdversarialTraining(classifier, (16, 16, 1), settings, 1)
    AdversarialStage(method, squares, settings, folder, unet).begin()
    assert told in caplog.text and bool(caplog.records) is bool(told)


def deep_network(trained: bool) -> keras.Model:
    rng = np.random.default_rng(0)
    image = x = keras.Input((16, 16, 1))
    for layer in range(12):
        x = keras.layers.Conv2D(4, 1 + 2 * (layer == 0), activation="relu", padding="same")(x)
    x = keras.layers.Dense(2)(keras.layers.GlobalMaxPooling2D()(x))
    model = keras.Model(image, x)
    if trained:
        for layer in model.layers[1:-2]:
            layer.bias.assign(rng.uniform(0.1, 0.5, 4))
    return model


@pytest.mark.parametrize(
    ("recipe", "trained", "expected"),
    [("tuned", True, True), ("tuned", False, False), ("paper", True, False)],
)
def test_phase_1_begins_with_the_head_of_a_trained_network(
    squares, monkeypatch, recipe, trained, expected
):
    settings = resolve(PHASES["classifier"], {"dataset": "squares", "steps": 1}, recipe)
    folder = RunFolder(None, None, False, {"classifier": settings})
    method = ClassifierTraining(deep_network(trained), settings)
    called = []
    monkeypatch.setattr(stages, "fit_new_head", lambda *_: called.append(1))
    ClassifierStage(method, squares, settings, folder).begin()
    assert bool(called) is expected


def test_a_new_head_is_trained_alone(squares, tmp_path):
    settings = resolve(PHASES["classifier"], {"dataset": "squares"}, "tuned")
    folder = RunFolder(str(tmp_path / "run"), None, False, {"classifier": settings})
    model = deep_network(True)
    before = model.get_weights()
    with folder.opened():
        fit_new_head(model, squares.train, folder, 0)
    moved = [not np.array_equal(*own) for own in zip(before, model.get_weights(), strict=True)]
    assert moved == [False] * 24 + [True, True]
    (features,) = folder.features.glob("images_*.npy")
    assert len(np.load(features)) == len(squares.train)
    headless = keras.Model(model.inputs, keras.layers.ReLU()(model.output))
    fit_new_head(headless, squares.train, folder, 0)  # has no layer to train
    for old, new in zip(model.get_weights(), headless.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
