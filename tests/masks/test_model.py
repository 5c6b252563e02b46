"""Masks by a user's network."""

import keras
import numpy as np
import pytest
from onnx import helper

from bginv.masks.model import ModelMasks
from bginv.masks.source import Picture
from tests.masks.onnx_files import brightness, save


def keras_brightness(path, shape=(32, 32, 3), activation="sigmoid", filters=1, twice=False):
    image = keras.Input(shape)
    layer = keras.layers.Conv2D(filters, 1, activation=activation)
    found = layer(image)
    layer.set_weights([np.full((1, 1, shape[-1], filters), 10 / shape[-1]), np.full(filters, -5.0)])
    keras.Model(image, [found, found] if twice else found).save(path)
    return str(path)


def picture():
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:, 32:] = 255
    return Picture(pixels, "a/b.png")


@pytest.mark.parametrize("shape", [(32, 32, 3), (None, None, 3), (32, 64, 1)])
def test_keras(tmp_path, shape):
    source = ModelMasks(keras_brightness(tmp_path / "net.keras", shape))
    check(source)


@pytest.mark.parametrize(
    "shape", [(1, 3, 32, 32), (4, 3, 32, 32), ("b", 3, 32, 64), ("b", 3, "h", "w")]
)
@pytest.mark.parametrize("outputs", [1, 2])
def test_onnx(tmp_path, shape, outputs):
    check(ModelMasks(str(brightness(tmp_path / "net.onnx", shape, outputs))))


def check(source):
    first, second = (
        source.masks([picture()] * 2)
        if source.batch_size > 1
        else [source.masks([picture()])[0] for _ in range(2)]
    )
    np.testing.assert_array_equal(first.soft, second.soft)
    assert first.soft.shape == (40, 64) and first.failure is None
    assert first.soft[:, :30].max() < 0.02 and first.soft[:, 34:].min() > 0.98
    assert first.confidence > 0.9


def test_values_outside_the_range_are_a_failure(tmp_path):
    source = ModelMasks(keras_brightness(tmp_path / "net.keras", activation="linear"))
    mask = source.masks([picture()])[0]
    assert "from -5 to 5" in mask.failure and "sigmoid" in mask.failure


def test_bad_models_are_told_in_one_line(tmp_path):
    (tmp_path / "damaged.onnx").write_bytes(b"\x08\x01garbage" * 9)
    (tmp_path / "damaged.keras").write_bytes(b"garbage")
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    dense.save(tmp_path / "dense.keras")
    shape = [1, 3, 32, 32]
    add = helper.make_node("Add", ["image", "other"], ["sum"])
    ends = [("image", shape), ("other", shape)]
    cases = {
        str(
            save(tmp_path / "inputs.onnx", [add], {}, ends, [("sum", shape)])
        ): "one input of float",
        keras_brightness(tmp_path / "two.keras", twice=True): "2 outputs; a model with one",
        keras_brightness(tmp_path / "wide.keras", filters=2): r"\(None, 32, 32, 2\); a mask \[B",
        keras_brightness(tmp_path / "five.keras", (32, 32, 5)): "channels last",
        str(brightness(tmp_path / "five.onnx", (1, 5, 32, 32))): "cannot be run|is needed",
        str(brightness(tmp_path / "wide.onnx", channels=3)): r"a mask \[B, 1, H, W\] is needed",
        str(tmp_path / "damaged.onnx"): "damaged",
        str(tmp_path / "damaged.keras"): "cannot be loaded",
        str(tmp_path / "dense.keras"): "name a model of images",
        str(tmp_path / "none.keras"): "there is no model file",
        str(tmp_path / "none.onnx"): "there is no ONNX file",
        str(tmp_path / "none.pt"): "pickled|ending|end in",
    }
    for path, said in cases.items():
        with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
            ModelMasks(path)
        assert "\n" not in str(caught.value)
