"""Models that somebody has prepared: the commands refuse them in one line, and run nothing."""

import io
import pathlib
import pickle
import zipfile
from collections.abc import Callable

import h5py
import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bginv.interop import archives
from tests.interop.test_model_files import Trap
from tests.masks.onnx_files import brightness
from tests.toys import write_toys

SHAPE = (32, 32, 1)
KERNEL = "layers/dense/vars/0"


def dense() -> keras.Model:
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs)))


def with_code(path: pathlib.Path) -> None:
    inputs = keras.Input(SHAPE)
    outputs = keras.layers.Lambda(lambda x: x[:, 0, :10, 0])(inputs)
    keras.Model(inputs, outputs).save(path)


def with_pickle(path: pathlib.Path) -> None:
    path.write_bytes(pickle.dumps(Trap(path.parent / "trapped")))


def with_member(name: str, content: bytes = b"x") -> Callable[[pathlib.Path], None]:
    def write(path: pathlib.Path) -> None:
        dense().save(path)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)

    return write


def with_weights(change: Callable[[h5py.File], None]) -> Callable[[pathlib.Path], None]:
    def write(path: pathlib.Path) -> None:
        dense().save(path.with_name("honest.keras"))
        with (
            zipfile.ZipFile(path.with_name("honest.keras")) as honest,
            zipfile.ZipFile(path, "w") as archive,
        ):
            for name in honest.namelist():
                content = io.BytesIO(honest.read(name))
                if name.endswith(".h5"):
                    with h5py.File(content, "r+") as weights:
                        del weights[KERNEL]
                        change(weights)
                archive.writestr(name, content.getvalue())

    return write


def of_another_file(weights: h5py.File) -> None:
    weights[KERNEL] = h5py.ExternalLink("/etc/passwd", "kernel")


def of_raw_bytes(weights: h5py.File) -> None:
    stored = [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    weights.create_dataset(KERNEL, (1024, 10), np.float32, external=stored)


def of_any_size(weights: h5py.File) -> None:
    weights.create_dataset(
        KERNEL, (200_000, 100_000), np.float32, chunks=(1000, 1000), compression="gzip"
    )


def with_os_system(path: pathlib.Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr(
            "config.json",
            '{"module": "os", "class_name": "system", "config": "touch trapped", '
            '"registered_name": null}',
        )


def outside(tensor: TensorProto) -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"
    return tensor


def with_outside_weights(path: pathlib.Path) -> None:
    model = onnx.load(str(brightness(path)))
    outside(model.graph.initializer[0])
    path.write_bytes(model.SerializeToString())


def with_outside_constant(path: pathlib.Path) -> None:
    model = onnx.load(str(brightness(path)))
    value = outside(numpy_helper.from_array(np.zeros(1, np.float32)))
    model.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=value))
    path.write_bytes(model.SerializeToString())


def no_onnx(path: pathlib.Path) -> None:
    path.write_bytes(b"\x08\x07 no network")


def without_inputs(path: pathlib.Path) -> None:
    model = onnx.load(str(brightness(path)))
    del model.graph.input[:]
    path.write_bytes(model.SerializeToString())


def saved_model(path: pathlib.Path) -> None:
    dense().export(path, verbose=False)


EVALUATE = ("evaluate", "digits", "{}", "--limit", "8")
EXPORT = ("export", "{}", "--output", "out")
MASKS = ("masks", "folder:toys", "--source", "model:{}", "--output", "out")
SALIENCY = ("masks", "folder:toys", "--source", "saliency:{}", "--output", "out")
BOMB = with_member("assets/zeros", bytes(10**7))
FILES = {
    "a Lambda layer": ("m.keras", with_code, EVALUATE, "holds Python code"),
    "a pickle": ("m.keras", with_pickle, EVALUATE, "cannot be loaded"),
    "a class of Python's": ("m.keras", with_os_system, EVALUATE, "cannot be loaded"),
    "a path upwards": ("m.keras", with_member("assets/../../x"), EXPORT, "leads out of it"),
    "a path from the root": ("m.keras", with_member("/tmp/x"), EVALUATE, "leads out of it"),
    "a path of Windows": ("m.keras", with_member("C:\\x"), MASKS, "leads out of it"),
    "a zip bomb": ("m.keras", BOMB, MASKS, "would become"),
    "a link in HDF5": ("m.keras", with_weights(of_another_file), EXPORT, "ExternalLink"),
    "bytes of another file": ("m.keras", with_weights(of_raw_bytes), EXPORT, "external Dataset"),
    "a bomb in HDF5": ("m.keras", with_weights(of_any_size), EVALUATE, "declares 74.51 GB"),
    "a SavedModel to evaluate": ("saved.keras", saved_model, EVALUATE, "is a folder"),
    "a SavedModel to export": ("saved", saved_model, EXPORT, "is a folder"),
    "a SavedModel for masks": ("saved", saved_model, MASKS, "is a folder"),
    "ONNX weights elsewhere": ("m.onnx", with_outside_weights, MASKS, "weights in other files"),
    "an ONNX constant elsewhere": ("m.onnx", with_outside_constant, SALIENCY, "in other files"),
    "no ONNX": ("m.onnx", no_onnx, MASKS, "is not an ONNX file"),
    "no ONNX for saliency": ("m.onnx", no_onnx, SALIENCY, "is not an ONNX file"),
    "ONNX without inputs": ("m.onnx", without_inputs, SALIENCY, "is not an ONNX file"),
}
"""The file, what writes it, the command, and what it says."""


@pytest.mark.parametrize("kind", FILES)
def test_a_prepared_file_is_refused_in_one_line(command, tmp_path, monkeypatch, kind):
    name, write, arguments, told = FILES[kind]
    monkeypatch.setattr(archives, "SMALL", 10**6)
    monkeypatch.setenv("BGINV_CACHE", str(tmp_path / "cache"))
    write_toys(tmp_path / "toys")
    write(tmp_path / name)
    before = {*tmp_path.rglob("*")}
    code, out, err = command(None, *(argument.format(name) for argument in arguments))
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert name in line and told in line
    assert {*tmp_path.rglob("*")} == before
