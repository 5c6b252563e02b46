"""Saliency networks: TensorFlow computes what ONNX Runtime does, and bad files are told."""

import shutil
import time

import cv2
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from onnx import helper

from bginv.masks.saliency import SaliencyMasks, find_network, installed_network
from bginv.masks.source import Picture
from bginv.nn.onnx_graph import OnnxGraph
from tests.conftest import SHARED, _needed
from tests.masks.onnx_files import brightness, save, tiny_unet


@pytest.fixture
def u2netp():
    return _needed(SHARED / "data" / "models" / "u2netp.onnx")


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("U2NET_HOME", str(home))
    return home


def picture(side=32, name="a/b.png"):
    pixels = np.zeros((side, side + 8, 3), np.uint8)
    pixels[8:24, 8:24] = 255
    return Picture(pixels, name)


def runtime(path, images):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images.transpose(0, 3, 1, 2)})


def test_tensorflow_computes_what_onnx_runtime_does(tmp_path):
    path = tiny_unet(tmp_path / "net.onnx")
    images = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype(np.float32)
    wanted = runtime(path, images)[0].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(OnnxGraph(path)(tf.constant(images))[0], wanted, atol=1e-5)
    mixed = OnnxGraph(path, "bfloat16")(tf.constant(images))[0]
    assert mixed.dtype == tf.float32
    assert 1e-5 < np.abs(mixed - wanted).max() < 0.03


def test_batches_and_other_sizes_of_a_file_made_for_one_image(tmp_path):
    network = OnnxGraph(tiny_unet(tmp_path / "net.onnx"))
    images = np.random.default_rng(0).normal(size=(2, 48, 64, 3)).astype(np.float32)
    both = network(tf.constant(images))[0]
    assert network.any_size and both.shape == (2, 48, 64, 1)
    np.testing.assert_allclose(both[1:], network(tf.constant(images[1:]))[0], atol=1e-5)


def test_iou_with_true_masks(u2netp):
    folder = _needed(SHARED / "data" / "horses")
    source = SaliencyMasks(str(u2netp))
    ious = []
    for file in sorted((folder / "images").iterdir())[5:200:20]:
        true = cv2.imread(str(folder / "masks" / f"{file.stem}.png"), cv2.IMREAD_GRAYSCALE) > 127
        mask = source.masks([Picture(cv2.imread(str(file))[..., ::-1], file.name)])[0]
        assert mask.failure is None and mask.soft.shape == true.shape
        ious.append((true & (mask.soft >= 0.5)).sum() / (true | (mask.soft >= 0.5)).sum())
    assert np.mean(ious) >= 0.88


def test_masks_are_scaled_to_their_own_range_and_to_the_picture(tmp_path):
    source = SaliencyMasks(str(brightness(tmp_path / "net.onnx")), precision="float32")
    mask = source.masks([picture()])[0]
    assert mask.soft.shape == (32, 40) and mask.soft.dtype == np.float32
    assert mask.soft.min() == 0 and mask.soft.max() == 1
    np.testing.assert_array_equal(mask.soft[10:22, 10:22], 1)


def test_a_network_that_sees_nothing_is_a_failure(tmp_path):
    source = SaliencyMasks(str(brightness(tmp_path / "net.onnx")))
    grey = Picture(np.full((32, 32, 3), 128, np.uint8), "grey")
    mask = source.masks([grey])[0]
    assert "no object" in mask.failure and mask.soft.min() == 1 and mask.confidence == 0


def test_onnx_runtime_computes_what_tensorflow_is_not_taught(tmp_path):
    path = tiny_unet(tmp_path / "net.onnx", extra="Tanh")
    with pytest.raises(NotImplementedError, match="Tanh"):
        OnnxGraph(path)
    source = SaliencyMasks(str(path))
    assert source.batch_size == 1 and source.masks([picture()])[0].soft.shape == (32, 40)


def test_what_a_classifier_is_tested_on_is_cut_out_in_float32(tmp_path):
    path = str(tiny_unet(tmp_path / "net.onnx"))
    exact, quick = (SaliencyMasks(path, 64, own) for own in ("float32", "bfloat16"))
    assert exact.exact is exact and quick.exact is not quick
    assert quick.exact.fingerprint == exact.fingerprint != quick.fingerprint


def test_the_time_of_a_picture_is_measured_once(tmp_path, monkeypatch):
    source = SaliencyMasks(str(brightness(tmp_path / "net.onnx")))
    run, calls = source._run, []

    def slow(images):
        calls.append(len(images))
        time.sleep(0.02 * len(images))
        return run(images)

    monkeypatch.setattr(source, "_run", slow)
    first = source.seconds
    assert 0.02 <= first < 1 and source.seconds == first
    assert calls == [source.batch_size] * 2


def test_fingerprints_tell_networks_sizes_and_precisions_apart(tmp_path):
    path, other = str(tiny_unet(tmp_path / "a.onnx")), str(brightness(tmp_path / "b.onnx"))
    sources = [
        SaliencyMasks(path, precision="float32"),
        SaliencyMasks(path, precision="bfloat16"),
        SaliencyMasks(path, 64, "float32"),
        SaliencyMasks(other, precision="float32"),
    ]
    assert len({source.fingerprint for source in sources}) == 4


def test_names_are_looked_up_where_rembg_puts_them(empty_home, u2netp):
    assert installed_network() is None
    shutil.copy(u2netp, empty_home)
    assert installed_network() == find_network() == find_network("u2netp")
    (empty_home / "u2net.onnx").write_bytes(b"")
    assert installed_network().name == "u2net.onnx"


def test_a_network_is_fetched_with_its_checksum(empty_home, u2netp, tmp_path, monkeypatch, capsys):
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(u2netp, served)
    monkeypatch.setattr("bginv.masks.saliency.URL", f"file://{served}/{{}}.onnx")
    assert find_network() == empty_home / "u2netp.onnx"
    assert (empty_home / "u2netp.onnx").read_bytes() == u2netp.read_bytes()
    (empty_home / "u2netp.onnx").unlink()
    (served / "u2netp.onnx").write_bytes(b"something else")
    with pytest.raises(ValueError, match="cannot be fetched.*U2NET_HOME"):
        find_network()
    assert not (empty_home / "u2netp.onnx").exists()
    assert capsys.readouterr().out == ""


def test_bad_files_are_told_in_one_line(empty_home, tmp_path):
    (empty_home / "u2netp.onnx").write_bytes(b"half of it")
    (tmp_path / "damaged.onnx").write_bytes(b"\x08\x01garbage" * 9)
    flat = brightness(tmp_path / "flat.onnx", channels=2)
    shape = [1, 3, 32, 32]
    add = helper.make_node("Add", ["image", "other"], ["sum"])
    ends = [("image", shape), ("other", shape)]
    inputs = save(tmp_path / "inputs.onnx", [add], {}, ends, [("sum", shape)])
    cases = {
        "u2netp": "MD5.*remove it",
        "u2nett": "u2netp, .*'u2nett'",
        str(tmp_path / "none.onnx"): "there is no ONNX file",
        str(tmp_path / "damaged.onnx"): "damaged",
        str(inputs): r"inputs of shape \[1, 3, 32, 32\], \[1",
        str(flat): "a map of 32x32 is needed|a map of 256x256 is needed",
    }
    for name, said in cases.items():
        with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
            SaliencyMasks(name)
        assert "\n" not in str(caught.value)
