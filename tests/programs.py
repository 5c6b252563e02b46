"""Our scripts as programs of their own, for tests that stop them."""

import fnmatch
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np

from bginv.interop.model_files import save_model
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from tests.masks.onnx_files import brightness
from tests.toys import write_toy_places, write_toys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHAPE = (32, 32, 1)
LONGEST = 300
COMPARED = (".JPEG", ".csv", ".jpg", ".npy", ".png")


def start(folder: pathlib.Path, script: str, *arguments: str, **variables) -> subprocess.Popen:
    """Start `SCRIPT.py ARGUMENTS` in a folder."""
    return _start([str(ROOT / f"{script}.py"), *arguments], folder, **variables)


def start_bginv(folder: pathlib.Path, *arguments: str, **variables) -> subprocess.Popen:
    """Start `bginv ARGUMENTS` in a folder."""
    return _start(["-m", "bginv", *arguments], folder, PYTHONPATH=ROOT, **variables)


def start_on_devices(
    folder: pathlib.Path, count: int, script: str, *arguments: str
) -> subprocess.Popen:
    """Start a script with several logical CPU devices."""
    return _start(["-m", "tests.devices", str(count), script, *arguments], folder, PYTHONPATH=ROOT)


def start_workers(folder: pathlib.Path, script: str, *arguments: str) -> list[subprocess.Popen]:
    """Start a script as two workers of one training."""
    flags = ("--distribute", "multiworker")
    return [
        start(folder, script, *arguments, *flags, TF_CONFIG=task)
        for task in _tasks_of_two_workers()
    ]


def start_program(folder: pathlib.Path, program: str) -> subprocess.Popen:
    """Start a program, as text."""
    return _start(["-c", program], folder, PYTHONPATH=ROOT)


def start_program_of_workers(folder: pathlib.Path, program: str) -> list[subprocess.Popen]:
    """Start a program, as text, as two workers."""
    return [
        _start(["-c", program], folder, PYTHONPATH=ROOT, TF_CONFIG=task)
        for task in _tasks_of_two_workers()
    ]


def _tasks_of_two_workers() -> list[str]:
    """What `TF_CONFIG` is for each."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    return [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        for index in range(2)
    ]


def _start(command: list[str], folder: pathlib.Path, **variables) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **{name: str(value) for name, value in variables.items()},
        },
    )


def free_ports(count: int) -> list[int]:
    """Ports that no program listens on now."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def finish(process: subprocess.Popen) -> str:
    """What a program that succeeds tells."""
    out, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, err
    return out + err


def wait_for_file(folder: pathlib.Path, process: subprocess.Popen, pattern: str) -> None:
    """Wait until a program has written a file whose name fits."""

    def written() -> bool:
        # unlike a glob, this passes over TensorFlow's temporary folders, which vanish
        names = (name for *_, files in os.walk(folder) for name in files)
        return any(fnmatch.fnmatch(name, pattern) for name in names)

    while process.poll() is None and not written():
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]


def wait_for_checkpoint(folder: pathlib.Path, process: subprocess.Popen) -> None:
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
