import pytest

from bginv.nn.paper_networks import build_classifier


def filters(model) -> list[int]:
    return [layer.filters for layer in model.layers if hasattr(layer, "filters")]


@pytest.mark.parametrize(
    ("side", "expected"), [(8, [32]), (28, [32, 64]), (32, [32, 64, 128]), (64, [32, 64, 128, 256])]
)
def test_levels_follow_the_height(side, expected):
    model = build_classifier((side, side, 1), 10)
    assert filters(model) == expected


def test_weights_of_the_paper():
    assert build_classifier((32, 32, 1), 10).count_params() == 356_234


def test_too_small_an_image_is_refused():
    with pytest.raises(ValueError, match="at least 8x8 pixels; received 4x4"):
        build_classifier((4, 4, 1), 10)
