import pytest

from bginv.nn.paper_networks import build_mask_unet


def test_filters_of_the_paper():
    model = build_mask_unet((32, 32, 1))
    filters = [layer.filters for layer in model.layers if hasattr(layer, "filters")]
    assert filters == [32, 64, 128, 128, 128, 64, 32, 1]


@pytest.mark.parametrize("shape", [(100, 100, 3), (4, 4, 1), (32, 30, 1)])
def test_sizes_that_cannot_be_halved_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of .* resize or pad"):
        build_mask_unet(shape)
