"""Keras' callbacks, histories and what a model was compiled with, in `robustify`."""

import contextlib
import os
import signal
import sys
import types

import keras
import numpy as np
import pytest

from bginv.engine.callbacks import Watch, check_callbacks
from bginv.library.models import loss_of
from bginv.library.robustify import robustify
from bginv.library.watching import tell_compiled, with_compiled
from tests.toys import write_toys

layers = keras.layers
SHORT = {"masks": "given", "batchsize": 8, "epochs": 3, "decay": "none", "seed": 1}


def small(outputs: int = 2) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [layers.Input((16, 16, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(outputs)]
    )


class Diary(keras.callbacks.Callback):
    """Writes down what it is told, as those of W&B send it."""

    def __init__(self, break_at: tuple[str, int] | None = None):
        super().__init__()
        self.told, self.logs, self.break_at = [], [], break_at
        self.steps = 0

    def on_train_begin(self, logs=None):
        self.told.append(f"begin {self.params['phase']}")

    def on_train_batch_end(self, batch, logs=None):
        assert np.isfinite(logs["loss"]) and batch < self.params["steps"]
        self.steps += 1

    def on_epoch_begin(self, epoch, logs=None):
        self.told.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(logs)
        if self.break_at == (self.params["phase"], epoch):
            raise InterruptedError

    def on_train_end(self, logs=None):
        self.told.append("end")


def test_callbacks_are_called_as_in_fit(squares, tmp_path):
    model, diary = small(), Diary()
    model.compile("rmsprop", keras.losses.SparseCategoricalCrossentropy(True), metrics=["accuracy"])
    optimizer = model.optimizer
    seen = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((look.model, look.model.optimizer))
    )
    slow = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    others = [
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv"), append=True),
        keras.callbacks.TensorBoard(str(tmp_path / "board")),
        keras.callbacks.ReduceLROnPlateau("val_accuracy", patience=1),
        keras.callbacks.ModelCheckpoint(
            str(tmp_path / "{epoch}.weights.h5"), save_weights_only=True
        ),
    ]
    result = robustify(
        model, squares, train_first=True, callbacks=[diary, look, slow, *others], **SHORT
    )
    epochs = ["epoch 0", "epoch 1", "epoch 2"]
    assert diary.told == ["begin classifier", *epochs, "end", "begin adversarial", *epochs, "end"]
    assert diary.steps >= 6
    assert all({"loss", "val_loss", "val_accuracy"} <= logs.keys() for logs in diary.logs)
    assert all(own is model and used is not optimizer for own, used in seen)
    assert float(seen[0][1].learning_rate) < 1e-3 / 7
    assert model.optimizer is optimizer and int(optimizer.iterations) == 0
    phases = result.history.phases
    assert phases["adversarial"]["val_loss"] == pytest.approx(
        [logs["val_loss"] for logs in diary.logs[3:]]
    )
    assert phases["classifier"]["loss"] == pytest.approx([logs["loss"] for logs in diary.logs[:3]])
    assert result.history.history == phases["adversarial"] and result.history.epoch == [0, 1, 2]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 7
    assert (tmp_path / "3.weights.h5").is_file() and any((tmp_path / "board").rglob("*tfevents*"))


@pytest.mark.slow
def test_early_stopping_ends_a_phase_with_its_best_weights(squares):
    model, kept = small(), {}
    stop = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=1, restore_best_weights=True, start_from_epoch=0
    )
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.update({epoch: model.get_weights()})
    )
    callbacks = {"adversarial": [keep, stop]}
    given = {**SHORT, "epochs": 9, "classifier_epochs": 60}
    result = robustify(model, squares, train_first=True, callbacks=callbacks, **given)
    assert list(kept) == list(range(stop.stopped_epoch + 1)) and stop.stopped_epoch < 8
    best = kept[stop.best_epoch]
    assert all(np.array_equal(a, b) for a, b in zip(best, model.get_weights(), strict=True))
    assert len(result.history.phases["adversarial"]["loss"]) == len(kept)
    assert result.history.epoch == sorted(kept)


@pytest.mark.slow
def test_callbacks_end_a_phase_even_if_a_signal_comes_then(squares, tmp_path):
    model, diaries = small(), [Diary(), Diary()]

    def stop(epoch, logs):
        model.stop_training = True
        os.kill(os.getpid(), signal.SIGINT)

    ends = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    given = {**SHORT, "run_dir": tmp_path, "train_first": False}
    with pytest.raises(KeyboardInterrupt):
        robustify(model, squares, callbacks=[diaries[0], ends], **given)
    assert diaries[0].told == ["begin adversarial", "epoch 0", "end"]
    robustify(small(), squares, callbacks=[diaries[1]], **given)
    assert diaries[1].told == []


def test_an_epoch_begins_for_the_callbacks_of_a_run_that_goes_on():
    diary = Diary()
    method = types.SimpleNamespace(
        name="classifier", optimizer=None, evaluated_weights=contextlib.nullcontext
    )
    with Watch(small(), [diary]).training(method, 3, 4) as watched:
        watched.begin_steps(6)
        watched.end_steps(7, 1, {"loss": 1.0})
        watched.begin_steps(7)
        watched.end_steps(8, 1, {"loss": 0.0})
        watched.end_epoch(2)
        watched.begin_steps(8)
    assert diary.told == ["begin classifier", "epoch 1", "epoch 2"]
    assert diary.logs == [{"loss": 0.5}]


@pytest.mark.parametrize(("figure", "best"), [("mixed_rand", 0.5), ("mean_absolute_error", 0.1)])
def test_keras_need_not_ask_which_figures_are_better(figure, best):
    stop = keras.callbacks.EarlyStopping(f"val_{figure}")
    check_callbacks(stop)
    stop.set_model(small())
    stop.on_train_begin()
    for epoch, value in enumerate((0.1, 0.5, 0.3)):
        stop.on_epoch_end(epoch, {f"val_{figure}": value})
    assert stop.best == best


@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was(squares, tmp_path):
    def run(name, break_at=None):
        model, diary = small(), Diary(break_at)
        stop = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: setattr(
                model, "stop_training", diary.params["phase"] == "classifier" and epoch == 1
            )
        )
        given = {**SHORT, "checkpoint_steps": 1, "run_dir": tmp_path / name, "train_first": True}
        try:
            robustify(model, squares, callbacks=[stop, diary], **given)
        except InterruptedError:
            assert break_at
        return model.get_weights(), diary.told

    weights, told = run("whole")
    assert told == [
        *("begin classifier", "epoch 0", "epoch 1", "end"),
        *("begin adversarial", "epoch 0", "epoch 1", "epoch 2", "end"),
    ]
    run("cut", ("adversarial", 1))
    again, told = run("cut")
    assert told == ["begin adversarial", "epoch 1", "epoch 2", "end"]
    assert all(np.array_equal(a, b) for a, b in zip(weights, again, strict=True))


@pytest.mark.slow
def test_what_the_model_was_compiled_with_is_measured(squares, caplog):
    model = small(1)
    model.add(layers.Activation("sigmoid"))
    model.compile("sgd", keras.losses.BinaryFocalCrossentropy(), metrics=[keras.metrics.AUC()])
    diary = Diary()
    robustify(model, squares, callbacks=diary, train_first=True, **{**SHORT, "epochs": 1})
    assert 0 <= diary.logs[0]["val_auc"] <= 1 and diary.logs[0]["val_loss"] < 0.7
    assert "compiled with the loss binary_focal_crossentropy, and classes are" in caplog.text


@pytest.mark.slow
def test_class_weights_are_those_of_keras(squares):
    given = {**SHORT, "epochs": 20, "train_first": True, "label_smoothing": 0.0}
    given["background_mixing"] = 0.0
    model = small()
    robustify(model, squares, class_weight={"left": 0.0, 1: 1.0}, **given)
    answers = model.predict(squares.train.images / np.float32(255), verbose=0).argmax(-1)
    assert (answers == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("verbose, lines", [(0, 0), (2, 1)])
def test_verbose_tells_nothing_or_a_line_an_epoch(squares, capfd, verbose, lines):
    robustify(small(), squares, train_first=False, verbose=verbose, **{**SHORT, "epochs": 1})
    err = capfd.readouterr().err
    assert err.count(": epoch ") == lines
    if not verbose:
        assert not [own for own in err.splitlines() if "step" in own]


@pytest.mark.slow
def test_photographs_are_watched_too(tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((128, 128, 3))
    x = layers.Conv2D(4, 9, 8, activation="relu")(image)
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    diary = Diary()
    ends = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1)
    )
    given = {"recipe": "photographs", "masks": "given", "epochs": 5, "batchsize": 4}
    data = str(write_toys(tmp_path / "toys"))
    result = robustify(model, data, callbacks=[diary, ends], train_first=True, copies=1, **given)
    assert diary.told == ["begin adversarial", "epoch 0", "epoch 1", "end"]
    assert {"loss", "val_loss", "val_accuracy", "val_mixed_rand"} <= diary.logs[0].keys()
    phases = result.history.phases
    assert len(phases["adversarial"]["val_accuracy"]) == 2
    assert len(phases.get("adversarial_on_all", {"loss": [0, 0]})["loss"]) == 2
    rate = keras.callbacks.ReduceLROnPlateau()
    with pytest.raises(ValueError, match="ReduceLROnPlateau sets the learning rate, which follows"):
        robustify(model, data, callbacks=[rate], **given)
    with pytest.raises(ValueError, match="class_weight is for the three phases.*balance='classes'"):
        robustify(model, data, class_weight={0: 2.0}, **given)


def test_another_recipe_for_class_weights_is_told(squares, caplog, monkeypatch):
    monkeypatch.setattr(sys.modules[robustify.__module__], "fits", lambda *given: True)
    rate = keras.callbacks.ReduceLROnPlateau()  # ends the call before anything is trained
    with pytest.raises(ValueError, match="ReduceLROnPlateau"):
        robustify(
            small(), squares, callbacks=rate, class_weight={0: 2.0}, **{**SHORT, "decay": "cosine"}
        )
    assert "recipe 'tuned' is taken, and not 'photographs'" in caplog.text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"callbacks": [print]}, "callbacks must be keras.callbacks.Callback; received print"),
        ({"callbacks": keras.callbacks.History}, "received History, a class: make one of it"),
        ({"callbacks": {"last": []}}, "there is no phase 'last'; there are classifier, masks, adv"),
        (
            {"callbacks": keras.callbacks.BackupAndRestore("x")},
            "BackupAndRestore has no place here",
        ),
        (
            {"callbacks": keras.callbacks.ReduceLROnPlateau(), "decay": "cosine"},
            "ReduceLROnPlateau sets the .* phase 'adversarial': leave it out, or give decay='none'",
        ),
        ({"verbose": 3}, "verbose must be 0, 1 or 2; received 3"),
        ({"class_weight": [1, 2]}, "class_weight must map classes to weights, .* received list"),
        ({"class_weight": {5: 1.0}}, "5: 1.0 is no class with a weight .* classes are left, right"),
        ({"class_weight": {0: -1.0}}, "0: -1.0 is no class with a weight of 0 or above"),
        ({"class_weight": {0: float("inf")}}, "0: inf is no class with a weight"),
    ],
)
def test_wrong_arguments_are_told(squares, given, told):
    with pytest.raises(ValueError, match=told):
        robustify(small(), squares, **{**SHORT, **given})


@pytest.mark.parametrize("form", [lambda own: [own], lambda own: {"output": own}])
def test_a_loss_may_be_compiled_in_a_list(squares, caplog, form):
    model = small()
    model.compile("sgd", form("sparse_categorical_crossentropy"))
    tell_compiled(model, None)
    assert "was compiled with the loss" not in caplog.text
    model.compile("sgd", [keras.losses.SparseCategoricalCrossentropy(True)], metrics=["accuracy"])
    found = with_compiled(None, model, squares.train, (0.0, 1.0))()
    assert found.keys() == {"val_loss", "val_accuracy"} and np.isfinite(found["val_loss"])
    assert callable(loss_of(model, squares, model.loss))
