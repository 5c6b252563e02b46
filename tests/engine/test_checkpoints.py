import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.engine.checkpoints import Checkpoints
from tests.limits import largest_file


def make(folder, value=0.0, steps=0, minutes=0.0, size=4) -> tuple[Checkpoints, tf.Variable]:
    weights = tf.Variable(tf.fill([size], value))
    return Checkpoints(folder, {"weights": weights}, steps, minutes), weights


def save_steps(folder, *steps, **given) -> None:
    checkpoints, weights = make(folder, **given)
    for step in steps:
        weights.assign(tf.fill(weights.shape, float(step)))
        checkpoints.save(step)


def test_nothing_to_restore_is_step_0(tmp_path):
    assert make(tmp_path)[0].restore() == 0
    nowhere, _ = make(None)
    nowhere.save(3)
    assert (nowhere.restore(), nowhere.is_due(3)) == (0, False)


def test_the_latest_is_restored_and_two_are_kept(tmp_path):
    save_steps(tmp_path, 5, 10, 20)
    checkpoints, weights = make(tmp_path)
    assert checkpoints.restore() == 20
    np.testing.assert_array_equal(weights, [20] * 4)
    assert {path.name for path in tmp_path.glob("*.index")} == {"step-10.index", "step-20.index"}
    assert "step-20" in checkpoints.last()


@pytest.mark.parametrize("damage", ["cut", "flipped", "no data", "no index", "empty index"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path, caplog, damage):
    save_steps(tmp_path, 10, 20)
    data, index = tmp_path / "step-20.data-00000-of-00001", tmp_path / "step-20.index"
    match damage:
        case "cut":
            data.write_bytes(data.read_bytes()[:5])
        case "flipped":
            contents = bytearray(data.read_bytes())
            contents[3] ^= 0x40
            data.write_bytes(contents)
        case "no data":
            data.unlink()
        case "no index":
            index.unlink()
        case "empty index":
            index.write_bytes(b"")
    checkpoints, weights = make(tmp_path)
    assert checkpoints.restore() == 10
    np.testing.assert_array_equal(weights, [10] * 4)
    assert damage == "no index" or "step-20 cannot be read and is passed over" in caplog.text


def test_damaged_checkpoints_do_not_take_the_place_of_good_ones(tmp_path):
    save_steps(tmp_path, 10, 20, 30)
    (tmp_path / "step-30.index").write_bytes(b"")
    checkpoints, _ = make(tmp_path)
    assert checkpoints.restore() == 20
    checkpoints.save(25)
    assert {path.name for path in tmp_path.glob("*.index")} == {"step-20.index", "step-25.index"}


def test_a_damaged_list_of_checkpoints_does_not_matter(tmp_path):
    save_steps(tmp_path, 10, 20)
    (tmp_path / "checkpoint").write_bytes(b"\0nonsense")
    assert make(tmp_path)[0].restore() == 20


def test_no_readable_checkpoint_is_an_error(tmp_path):
    save_steps(tmp_path, 10)
    (tmp_path / "step-10.index").write_bytes(b"")
    with pytest.raises(ValueError, match="none of the checkpoints in .* begins again"):
        make(tmp_path)[0].restore()


def test_another_model_is_an_error(tmp_path):
    save_steps(tmp_path, 10)
    other = Checkpoints(tmp_path, {"other": tf.Variable(1.0)}, 0, 0)
    with pytest.raises(ValueError, match="step-10 does not fit the models of this command"):
        other.restore()


def test_it_is_due_by_steps_and_by_minutes(tmp_path, monkeypatch):
    by_steps, _ = make(tmp_path, steps=4)
    assert [step for step in range(1, 9) if by_steps.is_due(step)] == [4, 8]
    assert [by_steps.next_step(step) for step in (0, 3, 4)] == [4, 4, 8]
    now = 1000.0
    monkeypatch.setattr("bginv.engine.checkpoints.time.monotonic", lambda: now)
    by_minutes, _ = make(tmp_path, minutes=2.0)
    assert by_minutes.next_step(1) is None and not by_minutes.is_due(1)
    now = 1119.0
    assert not by_minutes.is_due(2)
    now = 1121.0
    assert by_minutes.is_due(3)
    by_minutes.save(3)
    assert not by_minutes.is_due(4)


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    """A limit on the size of files stands for the full disk."""
    save_steps(tmp_path, 10, size=20_000)
    checkpoints, weights = make(tmp_path, size=20_000)
    checkpoints.restore()
    told = "20 cannot be written: file too large; the last good checkpoint is .*step-10; mend"
    with largest_file(20_000), pytest.raises(OSError, match=told):
        checkpoints.save(20)
    again, weights = make(tmp_path, size=20_000)
    assert again.restore() == 10
    np.testing.assert_array_equal(weights, [10] * 20_000)
    assert not list(tmp_path.glob("*temp*"))


class Listed(keras.Model):
    """A model whose layers stand in a list."""

    def __init__(self):
        super().__init__()
        self.parts = [keras.layers.Dense(3), keras.layers.Dense(2)]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


def test_layers_in_lists_are_saved_too(tmp_path):
    def inside() -> keras.Model:
        inputs = keras.Input((4,))
        return keras.Model(inputs, Listed()(inputs))

    model, other = inside(), inside()
    Checkpoints(tmp_path, {"model": model}, 1, 0).save(1)
    assert Checkpoints(tmp_path, {"model": other}, 1, 0).restore() == 1
    for expected, found in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
