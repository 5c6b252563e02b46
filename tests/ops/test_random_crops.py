import numpy as np
import tensorflow as tf

from bginv.ops.geometry import random_boxes, random_resized_crops

SEED = tf.constant([3, 4])


def test_boxes_are_whole_pixels_of_the_areas_and_ratios_asked_for():
    boxes = random_boxes(500, 40, 40, 0.25, SEED).numpy()
    pixels = boxes * 40
    np.testing.assert_allclose(pixels, np.round(pixels), atol=1e-4)
    height, width = pixels[:, 2] - pixels[:, 0], pixels[:, 3] - pixels[:, 1]
    assert boxes.min() >= 0 and boxes.max() <= 1
    area, ratio = height * width / 1600, width / height
    # rounding to pixels moves both a little
    assert 0.22 < area.min() < 0.3 and area.max() > 0.9
    assert 0.7 < ratio.min() < 0.8 and 1.25 < ratio.max() < 1.4
    assert abs(np.log(ratio).mean()) < 0.05
    assert pixels[:, 0].min() == 0 and (pixels[:, 2] == 40).any()


def test_an_image_in_which_nothing_fits_is_taken_whole():
    boxes = random_boxes(50, 2, 200, 1.0, SEED)
    np.testing.assert_array_equal(boxes, [[0, 0, 1, 1]] * 50)


def test_a_crop_is_the_part_of_the_image_enlarged():
    columns = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32), (8, 64, 64))
    crops = random_resized_crops(tf.constant(columns[..., None]), SEED, (16, 16), 0.1, False)
    seeds = tf.unstack(tf.random.split(SEED, 2))
    boxes = random_boxes(8, 64, 64, 0.1, seeds[0]).numpy()
    assert crops.shape == (8, 16, 16, 1)
    for crop, (_, left, _, right) in zip(crops.numpy(), boxes, strict=True):
        assert (np.diff(crop[0, :, 0]) > 0).all()
        centre = ((left + right) / 2 * 64 - 0.5) / 63
        assert abs(crop.mean() - centre) < 0.02


def test_half_are_mirrored_and_a_seed_gives_the_same_again():
    columns = np.broadcast_to(np.linspace(0, 1, 32, dtype=np.float32), (200, 32, 32))
    crops = [
        random_resized_crops(tf.constant(columns[..., None]), SEED, (8, 8), 0.5, True).numpy()
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*crops)
    mirrored = (crops[0][:, 0, -1, 0] < crops[0][:, 0, 0, 0]).mean()
    assert 0.4 < mirrored < 0.6
