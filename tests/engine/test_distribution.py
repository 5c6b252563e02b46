import json

import pytest
import tensorflow as tf

from bginv.engine.distribution import (
    check_replicas,
    check_tf_config,
    is_chief,
    make_strategy,
    num_workers,
    send_from_chief,
)
from bginv.methods.background_invariance.settings import ClassifierSettings
from tests.programs import finish, start_program_of_workers

WORKERS = ["host0:2222", "host1:2222"]


def tf_config(cluster=None, kind="worker", index=0) -> str:
    return json.dumps(
        {"cluster": cluster or {"worker": WORKERS}, "task": {"type": kind, "index": index}}
    )


@pytest.mark.parametrize(
    "text", [tf_config(), tf_config(index=1), tf_config({"chief": ["a:1"], "worker": WORKERS})]
)
def test_workers_and_a_chief_are_accepted(text):
    check_tf_config(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "needs the environment variable TF_CONFIG, such as {"),
        ("", "needs the environment variable TF_CONFIG"),
        ("{", "received {"),
        ("[]", "such as .* received \\[\\]"),
        (tf_config(index="x"), "such as .* received"),
        (tf_config(kind="ps"), "such as .* received"),
        (tf_config(index=2), "names 2 of type worker; this is number 2"),
        (tf_config({"worker": WORKERS, "ps": ["c:1"]}), "a chief and workers; received ps"),
    ],
)
def test_a_wrong_tf_config_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        check_tf_config(text)


def test_one_device_is_its_own_chief():
    strategy = make_strategy("none")
    assert (num_workers(strategy), is_chief(strategy)) == (1, True)
    assert send_from_chief(strategy, 7, []) == 7
    mirrored = make_strategy("mirrored")
    assert isinstance(mirrored, tf.distribute.MirroredStrategy)
    assert (mirrored.num_replicas_in_sync, is_chief(mirrored)) == (1, True)


def test_a_batch_that_cannot_be_shared_and_xla_are_refused():
    class Three:
        num_replicas_in_sync = 3

    check_replicas(ClassifierSettings(dataset="digits", batchsize=9), Three())
    with pytest.raises(ValueError, match="--batchsize 8 cannot be shared equally by 3 devices"):
        check_replicas(ClassifierSettings(dataset="digits", batchsize=8), Three())
    with pytest.raises(ValueError, match="--xla on is for one device; this command runs on 3"):
        check_replicas(ClassifierSettings(dataset="digits", batchsize=9, xla="on"), Three())


WORKER = """
import keras
import tensorflow as tf
from bginv.engine.distribution import send_from_chief

strategy = tf.distribute.MultiWorkerMirroredStrategy()
number = strategy.cluster_resolver.task_id
with strategy.scope():
    weight, layer = tf.Variable([0.0]), keras.layers.Dropout(0.5)
state = layer.seed_generator.state.value
weight.assign([0.5 + number])
state.assign([2**32 - 1 - number, 7 + number])
print(send_from_chief(strategy, 30 + number, [weight, state]))
print(weight.numpy().tolist(), state.numpy().tolist())
"""


@pytest.mark.slow
def test_every_worker_gets_the_chiefs_step_weights_and_states_of_random_layers(tmp_path):
    for told in map(finish, start_program_of_workers(tmp_path, WORKER)):
        assert told.splitlines()[:2] == ["30", "[0.5] [4294967295, 7]"]
