import numpy as np
import pytest

from bginv.ops import patterns


def test_stripes_are_two_pixels_thick_every_ten():
    assert np.flatnonzero(patterns.stripes(22)[21]).tolist() == [1, 2, 11, 12, 21]


def test_checkerboard_changes_every_six_pixels_from_four():
    row = patterns.checkerboard(28)[0]
    assert np.flatnonzero(np.diff(row)).tolist() == [3, 9, 15, 21]


def test_border_frames_the_image():
    image = patterns.border(10)
    assert image.sum() == 100 - 36
    assert image[2:-2, 2:-2].sum() == 0


def test_circumferences_refuse_an_image_too_small():
    with pytest.raises(ValueError, match="at least 15 pixels; received 14"):
        patterns.circumferences(14)


@pytest.mark.parametrize("rate", [0, 0.25, 1])
def test_salt_pepper_has_the_share_asked_for(rate):
    assert patterns.salt_pepper(20, rate).mean() == rate


def test_noise_rates_are_the_twenty_of_the_paper():
    expected = [*np.arange(10) / 100, *np.arange(1, 11) / 10]
    np.testing.assert_allclose(patterns.NOISE_RATES, expected)


def test_injected_pattern_keeps_two_pixels_away_from_the_object():
    image = np.zeros((1, 9, 9, 1), np.uint8)
    image[0, 4, 4] = 100
    result = patterns.inject_pattern(image, np.ones((9, 9), np.float32))[0, ..., 0]
    disk = np.add.outer((np.arange(9) - 4) ** 2, (np.arange(9) - 4) ** 2) <= 4
    assert result[4, 4] == 100
    assert (result[~disk] == 255).all()
    assert result[disk].sum() == 100
    assert image.sum() == 100, "the input must stay as it is"


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("name", patterns.BACKGROUNDS)
def test_backgrounds_equal_the_papers(golden, name, size):
    np.testing.assert_array_equal(
        patterns.BACKGROUNDS[name](size), golden[f"background/{name}/{size}"]
    )


@pytest.mark.parametrize("rate", ["0", "0.05", "0.3", "1.0"])
def test_noise_equals_the_papers(golden, rate):
    np.testing.assert_array_equal(
        patterns.salt_pepper(32, float(rate)), golden[f"background/salt_pepper_rate_{rate}/32"]
    )


@pytest.mark.parametrize("name", patterns.BACKGROUNDS)
def test_injections_equal_the_papers(golden, name):
    injected = patterns.inject_pattern(golden["x"], patterns.BACKGROUNDS[name](32))
    np.testing.assert_array_equal(injected, golden[f"injected/{name}"])
    stored = np.round(golden["x"] * 255).astype(np.uint8)
    as_bytes = patterns.inject_pattern(stored, patterns.BACKGROUNDS[name](32))
    np.testing.assert_array_equal(as_bytes, np.round(golden[f"injected/{name}"] * 255))
