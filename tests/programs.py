"""Our scripts as programs of their own, for tests that stop them."""

import fnmatch
import json
import multiprocessing
import os
import pathlib
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from unittest import mock

import keras
import numpy as np

from bginv import cli
from bginv.interop.model_files import save_model
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from bginv.subcommands import COMMANDS
from tests.masks.onnx_files import brightness
from tests.toys import write_toy_places, write_toys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHAPE = (32, 32, 1)
LONGEST = 300
COMPARED = (".JPEG", ".csv", ".jpg", ".npy", ".png")
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    sorted({own.maker_path.split(":")[0] for own in COMMANDS.values() if own.maker_path})
)


class Program:
    """A program in a process of its own, used as a `subprocess.Popen` is.

    It is forked off a process that has imported what our commands import, and done nothing else,
    which halves the time of a short one.

    Args:
        folder: it runs there.
        work: what it does, with `arguments`.
        variables: of its environment, besides ours.
    """

    def __init__(self, folder: pathlib.Path, work: Callable, *arguments, **variables) -> None:
        self._outputs = tempfile.TemporaryDirectory()
        environment = os.environ | {name: str(value) for name, value in variables.items()}
        place = (folder, environment, pathlib.Path(self._outputs.name))
        self._process = PROCESSES.Process(
            target=_work_in, args=(*place, work, arguments), daemon=True
        )
        with mock.patch.dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3"):
            self._process.start()

    @property
    def returncode(self) -> int | None:
        """Its exit code; None while it runs; below 0 where a signal killed it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float = LONGEST) -> tuple[str, str]:
        """Wait for its end, and give what it printed."""
        self._process.join(timeout)
        folder = pathlib.Path(self._outputs.name)
        told = tuple((folder / name).read_text() for name in ("out", "err"))
        if self._process.is_alive():
            self.kill()
            raise TimeoutError(f"the program runs on after {timeout} s: {told}")
        return told


def _work_in(folder, environment, outputs, work, arguments) -> None:
    """What a forked process does."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, name in ((1, "out"), (2, "err")):
        file = os.open(outputs / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    work(*arguments)


def _run_script(script: str | None, arguments: tuple[str, ...], device_count: int = 1) -> None:
    if device_count > 1:
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        devices = [tf.config.LogicalDeviceConfiguration()] * device_count
        tf.config.set_logical_device_configuration(cpu, devices)
    sys.argv = ["bginv" if script is None else f"{script}.py", *arguments]
    cli.main(script)


def _run_text(program: str) -> None:
    exec(program, {"__name__": "__main__"})


def start(folder: pathlib.Path, script: str, *arguments: str, **variables) -> Program:
    """Start `SCRIPT.py ARGUMENTS` in a folder."""
    return Program(folder, _run_script, script, arguments, **variables)


def start_bginv(folder: pathlib.Path, *arguments: str, **variables) -> Program:
    """Start `bginv ARGUMENTS` in a folder."""
    return Program(folder, _run_script, None, arguments, **variables)


def start_on_devices(folder: pathlib.Path, count: int, script: str, *arguments: str) -> Program:
    """Start a script with several logical CPU devices."""
    return Program(folder, _run_script, script, arguments, count)


def start_workers(folder: pathlib.Path, script: str, *arguments: str) -> list[Program]:
    """Start a script as two workers of one training."""
    flags = ("--distribute", "multiworker")
    return [
        start(folder, script, *arguments, *flags, TF_CONFIG=task)
        for task in _tasks_of_two_workers()
    ]


def start_program(folder: pathlib.Path, program: str) -> Program:
    """Start a program, as text."""
    return Program(folder, _run_text, program)


def start_program_of_workers(folder: pathlib.Path, program: str) -> list[Program]:
    """Start a program, as text, as two workers."""
    return [Program(folder, _run_text, program, TF_CONFIG=task) for task in _tasks_of_two_workers()]


def _tasks_of_two_workers() -> list[str]:
    """What `TF_CONFIG` is for each."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    return [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        for index in range(2)
    ]


def free_ports(count: int) -> list[int]:
    """Ports that no program listens on now."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def finish(process: Program) -> str:
    """What a program that succeeds tells."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out + err


def wait_for_file(folder: pathlib.Path, process: Program, pattern: str) -> None:
    """Wait until a program has written a file whose name fits."""

    def written() -> bool:
        # unlike a glob, this passes over TensorFlow's temporary folders, which vanish
        names = (name for *_, files in os.walk(folder) for name in files)
        return any(fnmatch.fnmatch(name, pattern) for name in names)

    while process.poll() is None and not written():
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]


def wait_for_checkpoint(folder: pathlib.Path, process: Program) -> None:
    """Wait until a program has written its first checkpoint."""
    wait_for_file(folder, process, "step-*.index")


def write_models(folder: pathlib.Path) -> None:
    """What phases 2 and 3 start from: m1.keras and u1.keras."""
    save_model(build_classifier(SHAPE, 10, 1), folder / "m1.keras")
    save_model(build_mask_unet(SHAPE, 1), folder / "u1.keras")


def written_weights(folder: pathlib.Path) -> dict[str, list[np.ndarray]]:
    """Weights of the models that a script wrote with `--output m.keras`."""
    return {
        path.name: keras.models.load_model(path).get_weights()
        for path in sorted(folder.glob("m*.keras"))
        if path.is_file() and path.name != "m1.keras"
    }


def assert_identical(found, expected) -> None:
    """Compare `written_weights` bit for bit."""
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        for array, other in zip(arrays, found[name], strict=True):
            np.testing.assert_array_equal(array, other, err_msg=name)


def left_in(folder: pathlib.Path) -> dict[str, bytes | None]:
    """Weights of models and contents of pictures by name; of other files the name alone."""
    left: dict[str, bytes | None] = {}
    for path in filter(pathlib.Path.is_file, folder.rglob("*")):
        content = None
        if path.suffix == ".keras":
            content = b"".join(map(np.ndarray.tobytes, keras.models.load_model(path).get_weights()))
        elif path.suffix in COMPARED:
            content = path.read_bytes()
        left[path.relative_to(folder).as_posix()] = content
    return left


def write_inputs(folder: pathlib.Path) -> None:
    """What commands start from: models of the phases, photographs, and a network of masks."""
    write_models(folder)
    write_toys(folder / "toys")
    write_toy_places(folder / "places")
    brightness(folder / "net.onnx")
