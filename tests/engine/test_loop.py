import json
import signal

import numpy as np
import pytest
import tensorflow as tf

from bginv.engine.interrupts import Interrupted
from bginv.engine.loop import _with_xla, steps_per_epoch, total_steps, train
from bginv.engine.method import Method
from bginv.methods.background_invariance.settings import ClassifierSettings
from bginv.nn.paper_networks import build_classifier
from bginv.ops.augment import Augmentation


class Counting(Method):
    """Counts its steps and remembers what it was given."""

    name = "counting"
    augmentation = Augmentation(0, 0, 0, False, 0)

    def __init__(self, diverges_at: int | None = None, event_every: int | None = None):
        super().__init__(settings())
        self.steps = tf.Variable(0)
        self.seen = tf.Variable(tf.zeros([24], tf.int32))
        self.diverges_at, self.event_every = diverges_at, event_every
        self.events, self.seeds, self.finished = [], [], False

    @property
    def models(self):
        return []

    def state(self):
        return {"steps": self.steps, "seen": self.seen}

    def train_step(self, batch, seed):
        self.steps.assign_add(1)
        self.seen.scatter_add(
            tf.IndexedSlices(tf.ones_like(batch["index"], tf.int32), batch["index"])
        )
        loss = tf.cast(self.steps, tf.float32)
        if self.diverges_at is not None:
            loss = tf.where(self.steps == self.diverges_at, float("nan"), loss)
        return {"loss": loss}

    def next_event(self, step):
        return (
            None if self.event_every is None else (step // self.event_every + 1) * self.event_every
        )

    def before_step(self, step):
        self.events.append((step, int(self.steps)))

    def finish(self):
        self.finished = True


def settings(**given) -> ClassifierSettings:
    return ClassifierSettings(**{"dataset": "squares", "batchsize": 5, **given})


def test_length_of_an_epoch_counts_the_batch_that_is_not_full():
    assert steps_per_epoch(24, 5) == 5
    assert total_steps(settings(epochs=3), 24) == 15
    assert total_steps(settings(epochs=None, steps=7), 24) == 7


def test_epochs_show_every_record(squares):
    method = Counting()
    train(method, squares.train, settings(epochs=2, batchsize=8))
    assert int(method.steps) == 6
    assert method.seen.numpy().tolist() == [2] * 24
    assert method.finished


@pytest.mark.parametrize("steps_per_call", [1, 3, 100])
def test_events_and_epochs_come_between_the_right_steps(squares, steps_per_call):
    method, epochs = Counting(event_every=4), []
    train(
        method,
        squares.train,
        settings(epochs=2, steps_per_call=steps_per_call),
        on_epoch_end=lambda epoch: epochs.append((epoch, int(method.steps))),
    )
    assert method.events == [(4, 4), (8, 8)]
    assert epochs == [(1, 5), (2, 10)]


def test_an_event_after_the_last_step_does_not_happen(squares):
    method = Counting(event_every=5)
    train(method, squares.train, settings(epochs=2))
    assert method.events == [(5, 5)]


def test_metrics_are_means_over_the_steps_of_a_call(squares, tmp_path):
    train(
        Counting(),
        squares.train,
        settings(epochs=None, steps=7, steps_per_call=3),
        metrics_file=tmp_path / "metrics.jsonl",
    )
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(r["step"], r["epoch"], r["loss"]) for r in records] == [
        (3, 1, 2),
        (6, 2, 5),
        (7, 2, 7),
    ]
    assert all(r["phase"] == "counting" and r["images_per_second"] > 0 for r in records)


def test_a_loss_that_is_not_finite_stops_the_training(squares):
    method = Counting(diverges_at=4)
    with pytest.raises(
        FloatingPointError, match="counting: loss is nan at step 4 of 45; no checkpoint.*begin"
    ):
        train(method, squares.train, settings(epochs=9, steps_per_call=3))
    assert not method.finished


def test_seeds_differ_between_steps_and_repeat_between_runs(squares):
    class Seeing(Counting):
        def train_step(self, batch, seed):
            return {"draw": tf.random.stateless_uniform([], seed)}

    def draws(seed, path):
        train(Seeing(), squares.train, settings(epochs=1, steps_per_call=1, seed=seed), path)
        return [json.loads(line)["draw"] for line in path.read_text().splitlines()]

    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        once, again, other = (
            draws(seed, pathlib.Path(folder) / name)
            for seed, name in ((1, "a"), (1, "b"), (2, "c"))
        )
    assert once == again
    assert len(set(once)) == len(once)
    assert not set(once) & set(other)


def test_masks_are_augmented_with_the_image_only_where_aligned(squares):
    batch = squares.train.gather(tf.range(24, dtype=tf.int64))
    method = Counting()
    method.augmentation = Augmentation(brightness=0)
    moved = method.augment_batch(batch, tf.constant([1, 2]))
    assert np.abs(moved["mask"] - batch["mask"]).max() > 0.5
    inside = moved["mask"].numpy() > 0.99
    assert moved["image"].numpy()[inside].min() > 0.7
    method.align_masks = False
    still = method.augment_batch(batch, tf.constant([1, 2]))
    np.testing.assert_array_equal(still["mask"], batch["mask"])


def counted(method: Counting) -> tuple[int, list[int]]:
    return int(method.steps), method.seen.numpy().tolist()


@pytest.mark.slow
@pytest.mark.parametrize("crash_at", [3, 5, 8, 10])
def test_a_training_goes_on_in_the_middle_of_an_epoch(squares, tmp_path, crash_at):
    whole, epochs = Counting(event_every=4), []
    train(whole, squares.train, settings(epochs=2), on_epoch_end=epochs.append)
    crashed = Counting(diverges_at=crash_at + 1, event_every=4)
    given = {"epochs": 2, "checkpoint_steps": 1, "checkpoint_minutes": 0.0}
    arguments = (squares.train, settings(**given), None, lambda epoch: None, tmp_path)
    if crash_at < 10:
        with pytest.raises(FloatingPointError, match=f"step {crash_at + 1} .*step-{crash_at},"):
            train(crashed, *arguments)
    else:
        train(crashed, *arguments)
    resumed = Counting(event_every=4)
    train(resumed, *arguments)
    assert counted(resumed) == counted(whole)
    assert resumed.finished
    assert resumed.events == [(step, step) for step in (4, 8) if step > crash_at]


def test_a_signal_in_the_last_evaluation_is_not_lost(squares, tmp_path):
    arguments = (squares.train, settings(epochs=1), None)
    method = Counting()
    with pytest.raises(Interrupted, match="after step 5 of 5; the same command goes on"):
        train(method, *arguments, lambda epoch: signal.raise_signal(signal.SIGINT), tmp_path)
    assert not method.finished
    epochs = []
    train(Counting(), *arguments, epochs.append, tmp_path)
    assert epochs == []


def test_weights_that_are_not_finite_are_not_saved(squares, tmp_path):
    class Broken(Counting):
        weights = build_classifier((16, 16, 1), 2, 1)

        @property
        def models(self):
            return [self.weights]

        def before_step(self, step):
            if step == 4:
                self.weights.trainable_variables[0].assign_add([[[[float("nan")] * 32]]] * 3)

    with pytest.raises(FloatingPointError, match="kernel is not finite at step 4 .*step-2, and"):
        train(
            Broken(event_every=2),
            squares.train,
            settings(epochs=9, checkpoint_steps=2),
            checkpoints=tmp_path,
        )


def test_an_epoch_ends_once_when_a_training_goes_on(squares, tmp_path):
    epochs = []

    def stop_in_the_second(epoch: int) -> None:
        epochs.append(epoch)
        if epoch == 2:
            raise KeyboardInterrupt

    arguments = (squares.train, settings(epochs=3, checkpoint_steps=1), None)
    with pytest.raises(KeyboardInterrupt):
        train(Counting(), *arguments, stop_in_the_second, tmp_path)
    train(Counting(), *arguments, epochs.append, tmp_path)
    assert epochs == [1, 2, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_training_after_the_step(squares, tmp_path, number):
    class Signalled(Counting):
        def before_step(self, step):
            signal.raise_signal(number)

    method = Signalled(event_every=7)
    with pytest.raises(
        Interrupted, match="after step 8 of 25; the same command goes on"
    ) as stopped:
        train(method, squares.train, settings(epochs=5), checkpoints=tmp_path)
    assert stopped.value.signal_number == number
    assert int(method.steps) == 8
    resumed = Counting()
    train(resumed, squares.train, settings(epochs=5), checkpoints=tmp_path)
    assert int(resumed.steps) == 25


def test_without_a_place_for_checkpoints_a_signal_says_so(squares):
    class Signalled(Counting):
        def before_step(self, step):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted, match="nothing is kept: only a command with --run-dir or"):
        train(Signalled(event_every=3), squares.train, settings(epochs=5))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_xla_is_for_gpus_unless_asked_for(monkeypatch):
    strategy = tf.distribute.get_strategy()
    assert not _with_xla(settings(), strategy)
    assert _with_xla(settings(xla="on"), strategy)
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["one"])
    assert _with_xla(settings(), strategy)
    assert not _with_xla(settings(xla="off"), strategy)
