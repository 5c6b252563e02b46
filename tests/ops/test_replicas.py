import tensorflow as tf

from bginv.ops.replicas import mean_over_replicas, own_rows


def test_outside_of_replicas_everything_is_ones_own():
    drawn = own_rows(lambda count: tf.range(count), 4)
    assert drawn.numpy().tolist() == [0, 1, 2, 3]
    assert float(mean_over_replicas(tf.constant(3.0))) == 3


def test_a_replica_takes_its_rows(monkeypatch):
    class Second:
        num_replicas_in_sync = 3
        replica_id_in_sync_group = 1

    monkeypatch.setattr("tensorflow.distribute.get_replica_context", Second)
    assert own_rows(lambda count: tf.range(count), 2).numpy().tolist() == [1, 4]
    columns = own_rows(lambda count: tf.reshape(tf.range(2 * count), [2, count]), 2, axis=1)
    assert columns.numpy().tolist() == [[1, 4], [7, 10]]
