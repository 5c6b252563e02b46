"""Trainings of rivals: each goes on, ends the same when stopped, and says early what it lacks."""

import dataclasses
import pkgutil

import numpy as np
import pytest

from bginv.data.sources import ArraySource, Dataset
from bginv.engine.loop import _Training
from bginv.engine.optimizers import BestWeights
from bginv.methods.rivals.erm import ErmTraining
from bginv.methods.rivals.settings import NAMES, RIVALS, check_rival
from bginv.report.metrics import training_records
from tests.methods.rival_toys import SIDE, settings, toy_trap, trainer


@pytest.fixture
def dataset() -> Dataset:
    return toy_trap()


WAYS = [(name, frozen) for name in NAMES for frozen in (True, False)]


@pytest.mark.parametrize(
    "method, freeze", [own for own in WAYS if RIVALS[own[0]].on_features or not own[1]]
)
def test_every_rival_trains_and_goes_on(dataset, tmp_path, method, freeze):
    given = {"epochs": 2, "learning_rate": 0.01, "freeze": freeze}
    if method == "jtt":
        given |= {"first_epochs": 1, "upweight": 2}
    train = pkgutil.resolve_name(RIVALS[method].train_path)
    own = trainer(dataset, tmp_path / "run", method, **given)
    before = own.model.get_weights()
    with own._folder.opened():
        train(own)
    after = own.model.get_weights()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    again = trainer(dataset, tmp_path / "run", method, **given)
    train(again)  # from the checkpoints
    for one, other in zip(after, again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("labels, places", [([0] * 4, [0, 1, 0, 1]), ([0, 1, 0], [0, 1, 1])])
def test_dfr_refuses_too_few_held_out_images_before_it_trains(dataset, tmp_path, labels, places):
    own = trainer(dataset, tmp_path, "dfr")
    images = np.zeros((len(labels), SIDE, SIDE, 3), np.uint8)
    own.validation = ArraySource(images, np.array(labels)).with_places(np.array(places))
    own.fit = None  # it would be called
    with pytest.raises(ValueError, match=f"dfr needs .* there are {len(labels)}, of "):
        pkgutil.resolve_name(RIVALS["dfr"].train_path)(own)


@pytest.mark.parametrize(
    "method, message", [("dfr", "held-out images, and there are none"), ("afr", "and 1 have none")]
)
def test_too_few_images_are_refused_before_training(dataset, tmp_path, method, message):
    single = dataclasses.replace(dataset, train=dataset.train.first(1))
    own = trainer(single, tmp_path, method)
    own.validation, own.fit = None, None
    with pytest.raises(ValueError, match=message):
        pkgutil.resolve_name(RIVALS[method].train_path)(own)


@pytest.mark.parametrize("method", ["dfr", "afr"])
def test_a_last_layer_that_cannot_be_told_is_refused_before_training(dataset, tmp_path, method):
    own = trainer(dataset, tmp_path, method)
    own._head, own.fit = None, None
    with pytest.raises(ValueError, match=f"{method} needs a classifier that ends in a Dense layer"):
        pkgutil.resolve_name(RIVALS[method].train_path)(own)


@pytest.mark.parametrize(
    "method, given, message",
    [
        ("dfr", {"inverse_penalties": ()}, "--inverse-penalties needs one number at least"),
        ("contrast", {"freeze": True}, "contrast trains the whole network: leave --freeze away"),
        ("copy-paste", {"paste_scales": (0.5,)}, "paste-scales takes two numbers.*received 0.5"),
        ("copy-paste", {"paste_scales": (2.0, 0.5)}, "received 2.0,0.5"),
        ("background-swap", {"paste_scales": (0.5, 1.0)}, "--paste-scales is of copy-paste alone"),
        ("erm", {"freeze": True, "validation": 0.2}, "--validation 0.2 would choose an epoch"),
        ("afr", {"validation": 0.2}, "afr holds out a part of its own"),
        ("background-swap", {"copies": 3}, "--copies has an effect with --freeze alone"),
        ("copy-paste", {"freeze": True, "changed_share": 0.3}, "--changed-share has no effect"),
    ],
)
def test_settings_that_would_change_nothing_are_refused(method, given, message):
    with pytest.raises(ValueError, match=message):
        check_rival(settings(method, **given))


def test_first_epochs_are_epochs_where_steps_are_asked_for(dataset, tmp_path):
    own = trainer(dataset, tmp_path / "run", "jtt", first_epochs=2, upweight=2, steps=3)
    with own._folder.opened():
        pkgutil.resolve_name(RIVALS["jtt"].train_path)(own)
    steps = {
        record["phase"]: record["step"] for record in training_records(own._folder.metrics_file)
    }
    assert steps == {"jtt_first": 12, "jtt": 3}


@pytest.mark.parametrize("choose", [True, False])
def test_the_epoch_that_does_best_on_held_out_images_is_kept(
    dataset, tmp_path, monkeypatch, choose
):
    own = trainer(dataset, tmp_path / "run", "erm", epochs=3, learning_rate=0.05)
    weights, offer, scores = [], BestWeights.offer, [0.3, 0.2, 0.1]

    def scripted(self, score):
        assert 0 <= score <= 1.01
        weights.append(own.model.get_weights())
        return offer(self, scores.pop(0))

    monkeypatch.setattr(BestWeights, "offer", scripted)
    own.fit(ErmTraining, dataset.train.without_masks(), choose=choose)
    same = [np.array_equal(own.model.get_weights()[0], one[0]) for one in weights]
    assert same == ([True, False, False] if choose else [])
    assert own.chosen_by == ("worst group" if choose else "")


def test_held_out_images_judge_by_the_worst_group(dataset, tmp_path, monkeypatch):
    own = trainer(dataset, tmp_path, "erm")
    right = own.validation.places == 0  # all of one place, none of the other
    labels = np.where(right, own.validation.labels, 1 - own.validation.labels)
    monkeypatch.setattr(own, "logits", lambda source: np.eye(2)[labels])
    offered = []
    monkeypatch.setattr(BestWeights, "offer", lambda self, score: offered.append(score))
    own._offer(BestWeights([own.model]), 1)
    own.validation = own.validation.with_places(None)
    own._offer(BestWeights([own.model]), 2)
    np.testing.assert_allclose(offered, [0.01 * right.mean(), 1.01 * right.mean()])


class Stopped(Exception):
    """In place of a signal."""


@pytest.mark.parametrize("method", ["group-dro", "jtt", "afr"])
@pytest.mark.parametrize("freeze", [True, False])
def test_a_rival_that_is_stopped_ends_with_the_same_weights(
    dataset, tmp_path, monkeypatch, method, freeze
):
    given = {"epochs": 2, "learning_rate": 0.05, "freeze": freeze, "checkpoint_steps": 2}
    given |= {"steps_per_call": 1}
    if method == "jtt":
        given |= {"first_epochs": 1, "upweight": 2}
    train = pkgutil.resolve_name(RIVALS[method].train_path)
    calm = trainer(dataset, tmp_path / "calm", method, **given)
    with calm._folder.opened():
        train(calm)
    original, calls = _Training._call, []

    def stop(self, *rest):
        if self.method.name == method:
            calls.append(self.step)
            if len(calls) == 6:
                raise Stopped
        return original(self, *rest)

    stopped = trainer(dataset, tmp_path / "stopped", method, **given)
    with monkeypatch.context() as patched, stopped._folder.opened():
        patched.setattr(_Training, "_call", stop)
        with pytest.raises(Stopped):
            train(stopped)
    assert calls == [0, 1, 2, 3, 4, 5]
    again = trainer(dataset, tmp_path / "stopped", method, **given)
    with again._folder.opened():
        train(again)
    for one, other in zip(calm.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
