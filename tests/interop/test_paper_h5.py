import keras
import numpy as np
import pytest

from bginv.interop.model_files import save_model
from bginv.interop.paper_h5 import (
    load_background_generator_h5,
    load_classifier_h5,
    load_mask_unet_h5,
)
from bginv.models.background_generator import (
    backgrounds_from_noise,
    build_background_generator,
    fitting_tiles,
)
from bginv.models.classifier import build_classifier


@pytest.mark.parametrize(
    ("file", "load", "key"),
    [
        ("m1.h5", load_classifier_h5, "classifier/logits"),
        ("m3.h5", load_classifier_h5, "adversarial/logits"),
        ("u1.h5", load_mask_unet_h5, "unet/mask"),
    ],
)
def test_outputs_equal_the_papers(golden, golden_dir, file, load, key):
    np.testing.assert_allclose(load(golden_dir / file)(golden["x"]), golden[key], atol=1e-4)


def test_backgrounds_equal_the_papers(golden, golden_dir):
    generator = load_background_generator_h5(golden_dir / "m3-back.h5", (32, 32, 1))
    backgrounds = backgrounds_from_noise(generator, golden["generator/noise"], 2)
    np.testing.assert_allclose(backgrounds, golden["generator/background"], atol=1e-4)
    tiles = generator(golden["generator/noise"]).numpy().reshape(16, 2, 2, 16, 16, 1)
    np.testing.assert_allclose(tiles, golden["generator/tiles"], atol=1e-4)


@pytest.mark.parametrize("side", [24, 28, 32])
def test_generators_of_every_tile_count_come_back(tmp_path, side):
    for tiles in fitting_tiles(side):
        generator = build_background_generator((side, side, 3), tiles, tiles)
        path = tmp_path / f"{tiles}.h5"
        save_model(generator, path)
        loaded = load_background_generator_h5(path, (side, side, 3))
        assert loaded.output_shape == generator.output_shape
        assert all(
            np.array_equal(a, b)
            for a, b in zip(loaded.get_weights(), generator.get_weights(), strict=True)
        )


def test_a_file_of_another_model_is_refused(tmp_path):
    path = tmp_path / "m.h5"
    save_model(build_classifier((16, 16, 1), 2), path)
    with pytest.raises(ValueError, match="m.h5 does not hold the paper's mask_unet"):
        load_mask_unet_h5(path)
    with pytest.raises(ValueError, match="takes inputs of shape"):
        load_background_generator_h5(path, (16, 16, 1))


def test_large_images_are_refused(tmp_path):
    path = tmp_path / "m.h5"
    save_model(build_classifier((128, 128, 1), 2), path)
    with pytest.raises(ValueError, match="takes 128x128 images; only .* up to 127"):
        load_classifier_h5(path)


def test_a_generator_for_other_images_is_refused(tmp_path):
    path = tmp_path / "g.h5"
    save_model(build_background_generator((32, 32, 1), 1), path)
    with pytest.raises(ValueError, match="no background generator for 8x8x1 images"):
        load_background_generator_h5(path, (8, 8, 1))


def test_a_model_without_weights_is_refused(tmp_path):
    inputs = keras.Input((16, 16, 1))
    save_model(keras.Model(inputs, keras.layers.Flatten()(inputs)), tmp_path / "m.h5")
    with pytest.raises(ValueError, match="m.h5 holds a model without weights"):
        load_classifier_h5(tmp_path / "m.h5")
