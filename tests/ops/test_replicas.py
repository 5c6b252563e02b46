"""Replicas see what one device would see."""

import subprocess
import sys

import pytest
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


SHARES = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from bginv.ops.losses import segmentation_cross_entropy
from bginv.methods.erasing.training import _mean_over_pairs

rng = np.random.default_rng(0)
labels = rng.integers(0, 3, (4, 5, 5)).astype(np.int32)
labels[1, :4], labels[3] = 255, 255  # the second replica, rows 1 and 3, has few labels
logits = rng.normal(size=(4, 5, 5, 3)).astype(np.float32)
values = rng.normal(size=5).astype(np.float32)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def of_replica(make):
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(make(context.replica_id_in_sync_group))
    )


@tf.function
def mean(function, *arguments):
    return strategy.reduce("MEAN", strategy.run(function, arguments), axis=None)


own = [of_replica(lambda i, all_rows=rows: all_rows[i::2]) for rows in (labels, logits)]
found = mean(segmentation_cross_entropy, *own)
np.testing.assert_allclose(found, segmentation_cross_entropy(labels, logits), rtol=1e-5)
pairs = mean(_mean_over_pairs, of_replica(lambda i: values[:4] if i == 0 else values[4:]))
np.testing.assert_allclose(pairs, values.mean(), rtol=1e-5)
"""


@pytest.mark.slow
def test_means_weigh_what_replicas_have_however_it_spreads():
    ended = subprocess.run(
        [sys.executable, "-c", SHARES], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
