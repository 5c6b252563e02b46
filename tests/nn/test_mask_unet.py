import keras
import numpy as np
import pytest

from bginv.nn.paper_networks import build_mask_unet


def test_filters_of_the_paper():
    model = build_mask_unet((32, 32, 1))
    filters = [layer.filters for layer in model.layers if hasattr(layer, "filters")]
    assert filters == [32, 64, 128, 128, 128, 64, 32, 1]


@pytest.mark.parametrize("shape", [(150, 150, 3), (180, 180, 3), (32, 30, 1), (48, 64, 3)])
def test_any_size_gives_a_mask_of_that_size(shape):
    model = build_mask_unet(shape)
    assert model.output_shape == (None, *shape[:2], 1)
    images = np.random.default_rng(0).uniform(size=(1, *shape)).astype(np.float32)
    masks = model(images).numpy()
    assert masks.shape == (1, *shape[:2], 1) and masks[0, -1].std() > 0


def test_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="sides of at least 8; received 4x4: resize"):
        build_mask_unet((4, 4, 1))


def test_a_global_policy_of_16_bits_changes_nothing():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build_mask_unet((16, 16, 1), 1)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
