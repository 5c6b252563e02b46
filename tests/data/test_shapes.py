import numpy as np
import pytest

from bginv.data.catalog import load_data

NAMES = ("disk", "triangle", "square", "star", "cross", "crescent")
TESTS = ["clean", "mixed_same", "mixed_random", "foreground_only", "background_only"]


@pytest.fixture(scope="module")
def shapes():
    return load_data("shapes", image_size=32)


@pytest.fixture(scope="module")
def inside(shapes):
    return shapes.tests["clean"].masks[..., 0] > 0


def own_texture_share(source, shapes, outside) -> float:
    """Share of the images whose background has the hue of their class's texture."""

    def hues(images, pixels):
        means = np.array(
            [image[chosen].mean(0) for image, chosen in zip(images, pixels, strict=True)]
        )
        return means / means.sum(1, keepdims=True)

    textures = shapes.tests["background_only"]
    everywhere = np.ones(textures.images.shape[:3], bool)
    reference = hues(textures.images, everywhere)
    centres = np.stack([reference[textures.labels == label].mean(0) for label in range(6)])
    distances = ((hues(source.images, outside)[:, None] - centres) ** 2).sum(-1)
    return (distances.argmin(1) == source.labels).mean()


def test_six_classes_of_one_size(shapes):
    assert (shapes.name, shapes.class_names, shapes.image_shape) == ("shapes", NAMES, (32, 32, 3))
    assert np.bincount(shapes.train.labels).tolist() == [400] * 6
    assert list(shapes.tests) == TESTS
    for test in shapes.tests.values():
        assert test.images.shape == (600, 32, 32, 3)
        assert np.bincount(test.labels).tolist() == [100] * 6
        np.testing.assert_array_equal(test.labels, shapes.tests["clean"].labels)


def test_masks_are_of_two_values_and_shared_by_the_tests(shapes, inside):
    for source in (shapes.train, *shapes.tests.values()):
        assert source.has_masks == (source is not shapes.tests["background_only"])
    assert set(np.unique(shapes.train.masks)) == {0, 255}
    for name in TESTS[1:4]:
        np.testing.assert_array_equal(shapes.tests[name].masks[..., 0] > 0, inside)


def test_tests_show_the_same_objects_on_other_backgrounds(shapes, inside):
    clean = shapes.tests["clean"].images
    for name in ("mixed_same", "mixed_random", "foreground_only"):
        same = (shapes.tests[name].images == clean).all(-1)
        assert same[inside].all()
        assert same[~inside].mean() < 0.01
    assert shapes.tests["foreground_only"].images[~inside].max() == 0
    assert shapes.tests["foreground_only"].images[inside].max(-1).min() > 50


def test_backgrounds_alone_are_those_of_clean(shapes, inside):
    same = (shapes.tests["background_only"].images == shapes.tests["clean"].images).all(-1)
    assert same[~inside].all()
    assert same[inside].mean() < 0.01


def test_in_training_the_texture_goes_with_the_class(shapes):
    # 0.9 of them by design, and a sixth of the others by chance
    share = own_texture_share(shapes.train, shapes, shapes.train.masks[..., 0] == 0)
    assert abs(share - (0.9 + 0.1 / 6)) < 0.02


@pytest.mark.parametrize(
    ("name", "expected"), [("clean", 1), ("mixed_same", 1), ("mixed_random", 1 / 6)]
)
def test_textures_of_the_tests(shapes, inside, name, expected):
    share = own_texture_share(shapes.tests[name], shapes, ~inside)
    assert abs(share - expected) <= (0 if expected == 1 else 0.05)


def test_objects_lie_inside_the_image(shapes):
    """A quarter turn gives these shapes back, so only at an edge could a side be much shorter."""
    for name in ("disk", "square", "cross"):
        masks = shapes.train.masks[shapes.train.labels == NAMES.index(name), ..., 0] > 0
        heights, widths = masks.any(2).sum(1), masks.any(1).sum(1)
        assert np.abs(heights - widths).max() <= 2  # each end is rounded
        assert heights.min() >= 10 and heights.max() <= 25


def test_colours_do_not_tell_the_class(shapes, inside):
    clean = shapes.tests["clean"]
    colours = np.array(
        [image[mask].mean(0) for image, mask in zip(clean.images, inside, strict=True)]
    )
    means = np.stack([colours[clean.labels == label].mean(0) for label in range(6)])
    assert np.abs(means - means.mean(0)).max() < colours.std(0).min() / 2


def test_they_are_drawn_alike_every_time(shapes):
    np.random.seed(7)
    again = load_data("shapes", image_size=32)
    assert again.train.digest() == shapes.train.digest()
    assert again.train.masks_digest() == shapes.train.masks_digest()
    digests = [test.digest() for test in again.tests.values()]
    assert digests == [test.digest() for test in shapes.tests.values()]
    assert len({shapes.train.first(600).digest(), *digests}) == 6


def test_the_smallest_images_hold_every_object():
    smallest = load_data("shapes", image_size=8)
    assert smallest.image_shape == (8, 8, 3)
    shares = (smallest.train.masks > 0).mean((1, 2, 3))
    assert shares.min() > 0 and shares.max() < 1
