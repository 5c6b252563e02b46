import json

import h5py
import keras
import numpy as np
import pytest

from bginv.interop.paper_h5 import load_h5, save_h5
from bginv.nn.backbones import build_backbone_classifier
from bginv.nn.paper_networks import build_classifier, build_mask_unet


def config(path) -> dict:
    with h5py.File(path) as file:
        return json.loads(file.attrs["model_config"])


def graph(path) -> list[tuple]:
    """Class of each layer, and the places of its inputs among the layers."""
    layers = config(path)["config"]["layers"]
    place = {layer["name"]: i for i, layer in enumerate(layers)}
    return [
        (
            layer["class_name"],
            [[(place[name], *rest) for name, *rest in node] for node in layer["inbound_nodes"]],
        )
        for layer in layers
    ]


@pytest.mark.parametrize(
    ("file", "build"),
    [
        ("m1.h5", lambda: build_classifier((32, 32, 1), 10, 0)),
        ("u1.h5", lambda: build_mask_unet((32, 32, 1), 0)),
    ],
)
def test_the_configuration_has_the_form_of_the_papers_files(golden_dir, tmp_path, file, build):
    save_h5(build(), str(tmp_path / file))
    assert graph(tmp_path / file) == graph(golden_dir / file)
    ours, theirs = (
        {
            (layer["class_name"], key)
            for layer in config(folder / file)["config"]["layers"]
            for key in layer["config"]
        }
        for folder in (tmp_path, golden_dir)
    )
    assert ours <= theirs  # Keras 2 refuses what it does not know


@pytest.mark.parametrize(
    "build",
    [
        lambda: build_classifier((16, 16, 3), 4, 1),
        lambda: build_mask_unet((16, 16, 3), 1),
        lambda: build_backbone_classifier("VGG19", (128, 128, 3), 3, "none", 0),
    ],
)
def test_weights_come_back(tmp_path, build):
    model, path = build(), tmp_path / "m.h5"
    save_h5(model, str(path))
    loaded = load_h5(path)
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert '"batch_shape"' not in json.dumps(config(path))
    assert "DTypePolicy" not in json.dumps(config(path))


def test_a_layer_that_keras_2_lacks_is_named(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.RandomGrayscale(name="grey")])
    with pytest.raises(ValueError, match=r"RandomGrayscale layer \(grey\) is not written"):
        save_h5(model, str(tmp_path / "m.h5"))
