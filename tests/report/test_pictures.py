import json

import cv2
import numpy as np
import pytest

from bginv.report.pictures import draw_boxes, write_image, write_learning_curves, write_sheet


@pytest.mark.parametrize("colour", [[0.2], [1.0, 0.5, 0.0]])
def test_an_image_is_written_as_it_is(tmp_path, colour):
    write_image(tmp_path / "a.png", np.full((4, 6, len(colour)), colour))
    read = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    expected = [int(value * 255) for value in colour]
    assert read.shape[:2] == (4, 6)
    assert np.atleast_1d(read[2, 3])[::-1].tolist() == expected


def test_values_outside_the_range_are_clipped(tmp_path):
    write_image(tmp_path / "a.png", np.array([[[-3.0], [7.0]]]))
    assert cv2.imread(str(tmp_path / "a.png"), 0).tolist() == [[0, 255]]


def test_a_sheet_shows_every_row(tmp_path):
    rows = {"white": np.ones((2, 8, 8, 1)), "red": np.ones((3, 8, 8, 3)) * [1, 0, 0]}
    write_sheet(tmp_path / "new" / "sheet.png", rows, "title")
    picture = cv2.imread(str(tmp_path / "new" / "sheet.png"))
    red = (picture == [0, 0, 255]).all(-1)
    assert red.mean() > 0.1
    assert red[: len(red) // 2].sum() == 0, "the second row stands below the first"


@pytest.mark.parametrize("channels", [1, 3])
def test_boxes_are_red_frames_within_the_image(channels):
    images = np.full((2, 8, 12, channels), 0.5, np.float32)
    boxes = np.array([[0.25, 0.25, 0.75, 0.5], [0, 0, 1, 1]], np.float32)
    drawn = draw_boxes(images, boxes)
    assert drawn.shape == (2, 8, 12, 3)
    assert (images == 0.5).all()
    frame = np.zeros((2, 8, 12), bool)
    frame[0, 2:6, 3:6] = frame[1] = True
    frame[0, 3:5, 4:5] = frame[1, 1:-1, 1:-1] = False
    expected = np.where(frame[..., None], [1.0, 0.0, 0.0], 0.5)
    np.testing.assert_array_equal(drawn, expected)


def test_learning_curves_have_a_panel_a_phase(tmp_path):
    def metrics(*phases):
        records = [
            {"phase": phase, "step": step, "epoch": 1, "loss": 1 / step, "images_per_second": 9}
            for phase in phases
            for step in (1, 2, 3)
        ]
        path = tmp_path / f"{len(phases)}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        write_learning_curves(path.with_suffix(".png"), path)
        return cv2.imread(str(path.with_suffix(".png"))).shape

    one, three = metrics("a"), metrics("a", "b", "c")
    assert three[1] == pytest.approx(3 * one[1], rel=0.01)
