import numpy as np
import pytest
import tensorflow as tf

from bginv.data.composites import CompositeSource, WithEmptied, composite_tests, emptied, empty
from bginv.data.sources import ArraySource


@pytest.fixture
def source() -> WithEmptied:
    """Six grey images, a brighter square in each; backgrounds of another value a picture."""
    levels = np.arange(6, dtype=np.uint8) * 20 + 40
    images = np.broadcast_to(levels[:, None, None, None], (6, 24, 24, 3)).copy()
    masks = np.zeros((6, 24, 24, 1), np.uint8)
    images[:, 8:16, 8:16], masks[:, 8:16, 8:16] = 250, 255
    held = ArraySource(images, np.arange(6) % 2, masks)
    return WithEmptied(held, emptied(held, None))


def test_an_emptied_image_goes_on_behind_the_object(source):
    found = source.emptied.images.astype(int)
    expected = np.broadcast_to(source.source.images[:, :1, :1], found.shape)
    assert abs(found - expected).max() <= 2  # inpainting rounds


def test_an_image_without_a_background_becomes_its_mean_colour():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4] = 100
    assert (empty(image, np.full((8, 8, 1), 255, np.uint8)) == 50).all()
    assert (empty(image, np.zeros((8, 8, 1), np.uint8)) == image).all()


def test_objects_stand_on_the_backgrounds_of_their_partners(source):
    mixed = CompositeSource(source, np.array([0, 1]), np.array([3, 5]))
    records = mixed.gather(tf.constant([0, 1], tf.int64))
    images = np.round(records["image"].numpy() * 255)
    assert images[:, 0, 0, 0].tolist() == [100, 140]
    assert (images[:, 8:16, 8:16] == 250).all()
    assert records["label"].numpy().tolist() == [0, 1] == mixed.labels.tolist()


def test_foregrounds_alone_stand_on_black(source):
    alone = composite_tests(source, 2, 1, 0)["only_fg"]
    image = alone.gather(tf.constant([2], tf.int64))["image"][0].numpy()
    assert image[0, 0, 0] == 0 and abs(image[10, 10, 0] - 250 / 255) < 1e-6


def test_partners_of_the_same_class_and_of_any(source):
    tests = composite_tests(source, 2, draws=3, seed=0)
    assert list(tests) == ["mixed_same", "mixed_rand", "only_fg"]
    assert [len(own) for own in tests.values()] == [18, 18, 6]
    everything = tf.range(18, dtype=tf.int64)
    levels = (np.arange(6) * 20 + 40).tolist()
    for name, others in (("mixed_same", False), ("mixed_rand", True)):
        records = tests[name].gather(everything)
        found = np.round(records["image"].numpy()[:, 0, 0, 0] * 255).astype(int)
        owners = np.array([levels.index(level) for level in found])
        assert (owners % 2 != records["label"].numpy()).any() == others
        assert not np.array_equal(owners, np.tile(np.arange(6), 3))


def test_a_part_keeps_masks_and_backgrounds_together(source):
    part = source.take(np.array([4, 1]))
    record = part.gather(tf.constant([0], tf.int64))
    assert round(float(record["background"][0, 0, 0, 0]) * 255) == 120
    taken = CompositeSource(source, np.arange(3), np.array([1, 2, 0])).take(np.array([2]))
    assert round(float(taken.gather(tf.constant([0], tf.int64))["image"][0, 0, 0, 0]) * 255) == 40


def test_records_without_an_object_are_left_out(source):
    has_object = np.array([True, True, False, True, True, False])
    partial = WithEmptied(source.source, source.emptied, has_object)
    tests = composite_tests(partial.take(np.arange(1, 6)), 2, draws=2, seed=0)
    assert [len(own) for own in tests.values()] == [6, 6, 3]
    levels = (np.arange(6) * 20 + 40)[has_object]
    records = tests["mixed_rand"].gather(tf.range(6, dtype=tf.int64))
    found = np.round(records["image"].numpy()[:, 0, 0, 0] * 255).astype(int)
    assert set(found) <= set(levels.tolist())
    nothing = WithEmptied(source.source, source.emptied, np.zeros(6, bool))
    assert composite_tests(nothing, 2, draws=2, seed=0) == {}
