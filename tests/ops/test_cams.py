import cv2
import numpy as np
import pytest
import tensorflow as tf

from bginv.ops.cams import (
    above_otsu,
    boxes_of,
    channel_sum,
    largest_component,
    normalize_maps,
    strongest_channel,
)


def masks(*drawings: str) -> tf.Tensor:
    rows = [drawing.split("/") for drawing in drawings]
    return tf.constant([[[pixel == "#" for pixel in row] for row in drawing] for drawing in rows])


@pytest.mark.parametrize("divides", [True, False])
def test_maps_are_normalised_one_by_one(divides):
    maps = tf.constant([[[1.0, 3.0], [2.0, 5.0]], [[-1.0, 0.0], [0.0, 0.0]]])
    expected = [[[0, 0.5], [0.25, 1]], [[0, 1], [1, 1]]]
    np.testing.assert_allclose(normalize_maps(maps, divides), expected, rtol=1e-6)


@pytest.mark.parametrize("divides", [True, False])
def test_a_flat_map_becomes_zero(divides):
    assert normalize_maps(tf.fill([1, 2, 2], 7.0), divides).numpy().tolist() == [[[0, 0], [0, 0]]]


def test_components_of_small_and_large_maps_are_the_same():
    small = np.random.default_rng(0).random((200, 9, 11)) < 0.4
    large = np.zeros((200, 20, 30), bool)
    large[:, 3:12, 5:16] = small  # more pixels than are connected by a matrix
    found = largest_component(tf.constant(large)).numpy()[:, 3:12, 5:16]
    np.testing.assert_array_equal(largest_component(tf.constant(small)), found)


def test_the_strongest_channel_counts_by_its_absolute_value():
    features = tf.constant([[[[1.0, -4.0], [3.0, 0.0]]]])  # |.|: 4 and 3
    assert strongest_channel(features).numpy().tolist() == [[[1, 0]]]


@pytest.mark.parametrize(
    ("drawing", "largest"),
    [
        ("#..##/...#./#....", "...##/...#./....."),
        ("#.#/.#./...", "#.#/.#./..."),  # corners connect
        ("##../....//..##".replace("//", "/"), "##../..../...."),  # of equal ones the first
        ("..../....", "..../...."),
        ("#####/....#/#####/#..../#####", "#####/....#/#####/#..../#####"),  # a long way round
    ],
)
def test_the_largest_component_stays(drawing, largest):
    both = masks(drawing, largest)
    np.testing.assert_array_equal(largest_component(both)[0], both[1])


def test_components_of_a_batch_do_not_mix():
    batch = masks("##./...", "..#/##.", ".../..#")
    expected = masks("##./...", "..#/##.", ".../..#")
    np.testing.assert_array_equal(largest_component(batch), expected)


def test_boxes_are_half_open_shares_of_the_image():
    boxes, empty = boxes_of(
        masks("..../.##./.#../....", "#..#/..../..../....", "..../" * 3 + "....")
    )
    assert boxes.numpy().tolist() == [[0.25, 0.25, 0.75, 0.75], [0, 0, 0.25, 1], [0, 0, 1, 1]]
    assert empty.numpy().tolist() == [False, False, True]


def test_maps_compile_with_xla():
    maps = tf.constant(np.random.default_rng(0).random((3, 6, 6), np.float32))
    compiled = tf.function(lambda m: boxes_of(largest_component(m > 0.6))[0], jit_compile=True)
    np.testing.assert_array_equal(compiled(maps), boxes_of(largest_component(maps > 0.6))[0])


def test_components_agree_with_the_paper(golden_agcnn):
    cases = tf.constant(golden_agcnn["label_cases"] > 0)
    np.testing.assert_array_equal(largest_component(cases), golden_agcnn["label_cases_out"] > 0)


def test_heat_maps_and_boxes_agree_with_the_paper(golden_agcnn):
    heat = channel_sum(tf.constant(golden_agcnn["heat_float"])[..., None], 224)
    levels = np.round(heat.numpy() * 255).astype(np.uint8)
    np.testing.assert_array_equal(levels, golden_agcnn["heat_resized"])
    bright = above_otsu(heat)
    unpacked = [
        np.unpackbits(golden_agcnn[f"{k}_packed"], axis=-1) for k in ("binary", "component")
    ]
    np.testing.assert_array_equal(bright, unpacked[0].astype(bool))
    np.testing.assert_array_equal(largest_component(bright), unpacked[1].astype(bool))
    boxes = np.round(boxes_of(largest_component(bright))[0].numpy() * 224)
    inclusive = boxes - [0, 0, 1, 1]
    np.testing.assert_array_equal(inclusive, golden_agcnn["box_minh_minw_maxh_maxw"])


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [(14, 14, 224), (7, 7, 224), (5, 6, 61), (13, 17, 200), (28, 28, 321), (41, 41, 256)]
    + [(240, 320, 479), (100, 100, 333), (37, 3, 97), (1, 2, 8)],
)
def test_maps_are_resized_as_opencv_does_bytes(height, width, side):
    levels = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    levels.reshape(-1)[:2] = 0, 255
    heat = channel_sum(tf.constant(levels[None, ..., None], tf.float32), side)[0]
    expected = cv2.resize(levels, (side, side))
    np.testing.assert_array_equal(np.round(heat.numpy() * 255).reshape(side, side), expected)
