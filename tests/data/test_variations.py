"""Variations by pixel: what is object, what is background, and whose."""

import numpy as np
import pytest

from bginv.data.variations import (
    FILLS,
    background_of,
    box_of,
    draw_donors,
    own_variations,
    tiled_background,
)

BLUE = np.array([10, 40, 200], np.uint8)


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A blue cross on reds and greens that tell row and column."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0] = 4 * np.arange(40)[:, None]
    image[..., 1] = 4 * np.arange(60)
    mask = np.zeros((40, 60), bool)
    mask[12:22, 20:23] = mask[16:18, 15:30] = True
    image[mask] = BLUE
    return image, mask


def test_a_box_is_half_open(scene):
    assert box_of(scene[1]) == (12, 15, 22, 30)
    with pytest.raises(ValueError, match="an empty mask has no box"):
        box_of(np.zeros((4, 4), bool))


@pytest.mark.parametrize("fill", FILLS)
def test_own_variations(scene, fill):
    image, mask = scene
    found = own_variations(image, mask, mask, fill)
    np.testing.assert_array_equal(found["original"], image)
    np.testing.assert_array_equal(found["only_fg"][mask], image[mask])
    assert not found["only_fg"][~mask].any()
    np.testing.assert_array_equal(found["no_fg"][~mask], image[~mask])
    assert not found["no_fg"][mask].any()
    outside = np.ones(mask.shape, bool)
    outside[12:22, 15:30] = False
    assert not found["only_bg_b"][~outside].any()
    for name in ("only_bg_b", "only_bg_t"):
        np.testing.assert_array_equal(found[name][outside], image[outside])
    assert not (found["only_bg_t"] == BLUE).all(-1).any()


@pytest.mark.parametrize("fill", FILLS)
def test_backgrounds_hide_all_of_a_box(scene, fill):
    image, mask = scene
    hidden = np.zeros(mask.shape, bool)
    hidden[10:30, 10:40] = True
    part = mask & (np.arange(60) < 20)  # all that was found
    found = own_variations(image, part, hidden, fill)
    assert not found["only_bg_b"][hidden].any()
    assert not (found["only_bg_t"] == BLUE).all(-1).any()
    assert (found["no_fg"] == BLUE).all(-1).sum() == (mask & ~part).sum()


def test_the_largest_strip_is_repeated_from_the_edge_that_it_touches(scene):
    image, mask = scene
    # right of the box 30 columns are free, more than above, below or left: 30 x 40 pixels
    found = tiled_background(image, mask)
    np.testing.assert_array_equal(found[12:22, 15:30], image[12:22, 30:45])
    turned = tiled_background(image[:, ::-1], mask[:, ::-1])
    np.testing.assert_array_equal(turned, found[:, ::-1])


def test_a_small_strip_is_repeated():
    image = np.arange(9 * 4 * 3, dtype=np.uint8).reshape(9, 4, 3)
    mask = np.zeros((9, 4), bool)
    mask[2:] = True
    found = tiled_background(image, mask)
    np.testing.assert_array_equal(found[:2], image[:2])
    np.testing.assert_array_equal(found[2:], np.tile(image[:2], (4, 1, 1))[1:8])


def test_a_box_without_surroundings_is_inpainted(scene):
    image, mask = np.full((10, 10, 3), 90, np.uint8), np.zeros((10, 10), bool)
    mask[0, 0] = mask[9, 9] = True
    image[mask] = BLUE
    assert (tiled_background(image, mask) == 90).all()


def test_partners_are_of_the_right_class():
    labels = np.array([0, 1, 1, 0, 2, 1, 3, 0] * 20)
    partners = {name: own[:, 0] for name, own in draw_donors(labels, 4, 1, seed=1).items()}
    rows = np.arange(len(labels))
    same, following = labels[partners["mixed_same"]], labels[partners["mixed_next"]]
    np.testing.assert_array_equal(same, labels)
    np.testing.assert_array_equal(following, (labels + 1) % 4)
    assert all(np.all(own != rows) for own in partners.values())
    counts = np.bincount(labels[partners["mixed_rand"]], minlength=4)
    assert counts.min() > 0.6 * len(labels) / 4  # classes, not images, are equally likely
    again, other = (draw_donors(labels, 4, 1, seed) for seed in (1, 2))
    assert all(np.array_equal(again[name][:, 0], own) for name, own in partners.items())
    assert not np.array_equal(other["mixed_rand"][:, 0], partners["mixed_rand"])


def test_the_only_image_of_a_class_keeps_its_own_background():
    partners = draw_donors(np.array([0, 2, 2]), 3, 1, seed=1)
    assert partners["mixed_same"][0] == 0
    assert partners["mixed_next"][0] in (1, 2)  # a class without images is passed over
    assert partners["mixed_next"][1] == 0


@pytest.mark.parametrize("fill", FILLS)
def test_backgrounds_do_not_change_outside_the_box(scene, fill):
    image, mask = scene
    found = background_of(image, mask, fill)
    np.testing.assert_array_equal(found[:12], image[:12])


def test_no_image_has_no_partners():
    found = draw_donors(np.array([], int), 1, 1, 0)
    assert all(own.shape == (0, 1) and own.dtype.kind == "i" for own in found.values())
