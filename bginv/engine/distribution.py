"""Several devices, several machines: the strategy, and who writes."""

import json
import os
from collections.abc import Sequence

import keras
import tensorflow as tf

from bginv.engine.common_settings import PhaseSettings
from bginv.errors import UserError


def make_strategy(distribute: str) -> tf.distribute.Strategy:
    """The strategy of a command; for "multiworker" before anything else of TensorFlow's runs.

    Args:
        distribute: "none" (one device), "mirrored" (all GPUs of this machine, or all logical CPU
            devices where it has none) or "multiworker" (the machines of `TF_CONFIG`).

    Raises:
        UserError: `TF_CONFIG` that is missing or wrong.
    """
    if distribute == "none":
        return tf.distribute.get_strategy()
    if distribute == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    check_tf_config(os.environ.get("TF_CONFIG"))
    return tf.distribute.MultiWorkerMirroredStrategy()


def strategy_of(model: keras.Model) -> tf.distribute.Strategy:
    """The strategy that a model was made under."""
    found = [own.value for own in model.weights if hasattr(own.value, "distribute_strategy")]
    return found[0].distribute_strategy if found else tf.distribute.get_strategy()


def check_tf_config(text: str | None) -> None:
    """Raise unless `TF_CONFIG` names the workers and this one among them.

    Raises:
        UserError: it says what is wrong and shows what is needed.
    """
    example = (
        '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    needed = f"--distribute multiworker needs the environment variable TF_CONFIG, such as {example}"
    if not text:
        raise UserError(needed)
    try:
        config = json.loads(text)
        kind, index = config["task"]["type"], int(config["task"]["index"])
        addresses = config["cluster"][kind]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{needed}; received {text}") from error
    unknown = sorted(set(config["cluster"]) - {"chief", "worker"})
    if unknown:
        raise UserError(f"TF_CONFIG may name a chief and workers; received {', '.join(unknown)}")
    if not 0 <= index < len(addresses):
        raise UserError(f"TF_CONFIG names {len(addresses)} of type {kind}; this is number {index}")


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together."""
    return sum(map(len, _cluster(strategy).values())) or 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes."""
    cluster = _cluster(strategy)
    if not cluster:
        return True
    resolver = strategy.cluster_resolver
    return resolver.task_id == 0 and (resolver.task_type == "chief" or "chief" not in cluster)


def check_replicas(settings: PhaseSettings, strategy: tf.distribute.Strategy) -> None:
    """Raise unless the replicas can train a phase together.

    Raises:
        UserError: a batch that they cannot share equally, or XLA on several of them.
    """
    replicas = strategy.num_replicas_in_sync
    if settings.batchsize % replicas:
        raise UserError(
            f"--batchsize {settings.batchsize} cannot be shared equally by {replicas} devices; "
            f"it must be a multiple of {replicas}"
        )
    if replicas > 1 and settings.xla == "on":
        raise UserError(f"--xla on is for one device; this command runs on {replicas}")


def check_same_command(strategy: tf.distribute.Strategy, number: int) -> None:
    """Raise on a worker whose settings or inputs are not the chief's: they would wait for ever.

    Args:
        strategy: the workers.
        number: it stands for settings and inputs.

    Raises:
        UserError: it says so.
    """
    if send_from_chief(strategy, number, []) != number:
        raise UserError(
            "this worker has other settings, data or models than the first one: start every worker "
            "with the same command and the same files"
        )


def send_from_chief(
    strategy: tf.distribute.Strategy, number: int, variables: Sequence[tf.Variable]
) -> int:
    """Give every worker the chief's number and weights, so that it alone reads checkpoints."""
    if num_workers(strategy) == 1:
        return number

    @tf.function(autograph=False)
    def send(values: list[tf.Tensor]) -> list[tf.Tensor]:
        def own() -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            first = tf.equal(context.replica_id_in_sync_group, 0)
            return [tf.where(first, value, tf.zeros_like(value)) for value in values]

        return [strategy.reduce("SUM", value, axis=None) for value in strategy.run(own)]

    own_values = [tf.convert_to_tensor(variable) for variable in variables]
    number, *values = send([tf.constant(number, tf.int64), *own_values])
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return int(number)


def _cluster(strategy: tf.distribute.Strategy) -> dict[str, list[str]]:
    """Addresses by kind of worker; empty where this process is alone."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return {}
    return strategy.cluster_resolver.cluster_spec().as_dict()
