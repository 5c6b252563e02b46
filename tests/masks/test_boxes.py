"""Boxes of three formats, and the objects in them."""

import json

import cv2
import numpy as np
import pytest

from bginv.data.variations import box_of
from bginv.masks.boxes import Boxes, BoxMasks, Labelled, check_shape, mask_in_boxes, placed
from bginv.masks.cam import cut, grab_cut
from bginv.masks.source import Picture

VOC = """<annotation><size><width>100</width><height>80</height></size>
<object><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>
<object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>5</ymax></bndbox></object>
</annotation>"""


@pytest.fixture
def disc():
    """A red disc on green noise, 60 x 60."""
    image = np.full((60, 60, 3), (30, 120, 40), np.uint8)
    image += np.random.default_rng(1).integers(20, size=image.shape, dtype=np.uint8)
    rows, columns = np.mgrid[:60, :60]
    mask = (rows - 30) ** 2 + (columns - 28) ** 2 < 200
    image[mask] = (220, 60, 60)
    return image, mask


def iou(found, mask):
    return (found & mask).sum() / (found | mask).sum()


def test_grab_cut_finds_what_differs(disc):
    image, mask = disc
    found = grab_cut(image, box_of(mask))
    assert iou(found, mask) > 0.95
    np.testing.assert_array_equal(grab_cut(image, box_of(mask)), found)
    assert grab_cut(image, (0, 0, 60, 60)).all()
    assert not cut(image, mask, np.zeros_like(mask), 1).any()


def test_what_stands_between_legs_is_background(disc):
    image, mask = disc
    legs = mask.copy()
    legs[:, 24:32] = False  # a gap as wide as a third of the disc shows the grass
    image[mask & ~legs] = (38, 128, 48)
    assert iou(grab_cut(image, box_of(legs)), legs) > 0.95


def test_two_boxes_hold_two_objects(disc):
    image, mask = disc
    both, masks = np.concatenate([image, image], 1), np.concatenate([mask, mask], 1)
    top, left, bottom, right = box_of(mask)
    found = grab_cut(both, (top, left, bottom, right), (top, left + 60, bottom, right + 60))
    assert iou(found, masks) > 0.95


def test_three_formats_say_the_same(tmp_path):
    (tmp_path / "a.csv").write_text("name,left,top,right,bottom\ndog/b.c.jpg,10,20,30,40\n")
    held = {
        "images": [{"id": 7, "file_name": "dog/b.c.jpg", "width": 100, "height": 80}],
        "annotations": [{"image_id": 7, "bbox": [10, 20, 20, 20]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(held))
    (tmp_path / "voc" / "dog").mkdir(parents=True)
    (tmp_path / "voc" / "dog" / "b.c.xml").write_text(VOC.format(11, 21, 30, 40))
    for name, count in (("a.csv", 1), ("a.json", 1), ("voc", 2)):
        boxes = Boxes(str(tmp_path / name))
        found = boxes.of("train/dog/b.c.jpg")
        assert len(found) == count and found[0].box == (10, 20, 30, 40)
        assert placed(found[0], (80, 100)) == (20, 10, 40, 30)
        assert not boxes.of("cat/b.c.jpg") and not boxes.of("dog/b.jpg")
    sized = [Boxes(str(tmp_path / name)).of("b.c.jpg")[0] for name in ("a.json", "voc")]
    assert [placed(own, (40, 50)) for own in sized] == [(10, 5, 20, 15)] * 2


def test_boxes_are_clipped_or_refused():
    def of(*box):
        return placed(Labelled(None, box, None, "f.csv, line 2"), (80, 100))

    assert of(-5, 10, 300, 20.4) == (10, 0, 20, 100)
    assert of(10, 10, 10.2, 10.2) == (10, 10, 11, 11)
    with pytest.raises(ValueError, match=r"line 2: the box 100, 0, 120, 9 .* outside .*100x80"):
        of(100, 0, 120, 9)
    with pytest.raises(ValueError, match="outside"):
        of(-9, 1, 0, 9)
    with pytest.raises(ValueError, match="is empty"):
        of(9, 1, 9, 9)
    turned = Labelled(None, (10, 20, 30, 40), (800, 1000), "f.csv, line 2")
    with pytest.raises(
        ValueError, match="of a picture of 800x1000 .* has 100x80, of another shape"
    ):
        check_shape(turned, (80, 100))
    check_shape(turned, (501, 400))
    assert placed(turned, (501, 400)) == (10, 5, 20, 15)  # made smaller, and rounded


def test_a_picture_without_a_good_box_is_named(tmp_path, disc):
    image, mask = disc
    top, left, bottom, right = box_of(mask)
    lines = [f"a.png,{left},{top},{right},{bottom}", "b.png,70,1,90,5", "x/c.png,1,1,5,5"]
    (tmp_path / "boxes.csv").write_text("\n".join([*lines, "y/c.png,1,1,5,5"]))
    source = BoxMasks(str(tmp_path / "boxes.csv"))
    found = source.masks([Picture(image, name) for name in ("a.png", "b.png", "c.png", "d.png")])
    good, *bad = found
    assert good.failure is None and iou(good.soft >= 0.5, mask) > 0.95 and good.confidence > 0.7
    assert not good.soft[:top].any() and good.soft.dtype == np.float32
    for mask, why in zip(bad, ("outside", "several pictures of this name", "no box"), strict=True):
        assert why in mask.failure and mask.confidence == 0 and mask.soft.all()
    before = source.fingerprint
    (tmp_path / "boxes.csv").write_text(lines[0])
    assert BoxMasks(str(tmp_path / "boxes.csv")).fingerprint != before and source.by_name


def test_large_pictures_are_cut_small(disc):
    image, mask = (cv2.resize(own.astype(np.uint8), (900, 600)) for own in disc)
    soft = mask_in_boxes(image, [box_of(mask > 0)])
    assert soft.shape == (600, 900) and iou(soft >= 0.5, mask > 0) > 0.95


@pytest.mark.parametrize(
    "name, content, why",
    [
        ("a.json", "{", "not JSON"),
        ("a.json", "[]", "not COCO"),
        ("a.json", '{"images": [], "annotations": [{"image_id": 1}]}', "annotation 0: an image_id"),
        ("a.json", '{"images": [], "annotations": []}', "holds no box"),
        ("a.csv", "a.jpg,1,2,3", "line 1: name,left,top,right,bottom in pixels"),
        ("a.csv", "a.jpg,1,2,3,nan", "line 1"),
        ("a.xml", "<annotation>", "not XML"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type or entities"),
        ("a.xml", VOC.format(1, 2, 3, "x"), "bndbox needs"),
        ("a.yaml", "", "no boxes that can be read"),
    ],
)
def test_broken_files_are_one_line(tmp_path, name, content, why):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=why) as error:
        Boxes(str(tmp_path / name))
    assert "\n" not in str(error.value) and name in str(error.value)


def test_entities_do_not_hide_in_another_encoding(tmp_path):
    text = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    (tmp_path / "a.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(ValueError, match="not UTF-8"):
        Boxes(str(tmp_path / "a.xml"))


def test_horses_are_cut_out_of_their_boxes(horses_dir, tmp_path):
    files = sorted((horses_dir / "images").glob("*.jpg"))[:20]
    pictures, truth, lines = [], [], []
    for file in files:
        mask = cv2.imread(str(horses_dir / "masks" / f"{file.stem}.png"), 0) > 127
        top, left, bottom, right = box_of(mask)
        lines.append(f"{file.name},{left},{top},{right},{bottom}")
        pictures.append(Picture(cv2.imread(str(file))[..., ::-1].copy(), file.name))
        truth.append(mask)
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    found = BoxMasks(str(tmp_path / "boxes.csv")).masks(pictures)
    scores = [iou(own.soft >= 0.5, mask) for own, mask in zip(found, truth, strict=True)]
    assert np.mean(scores) >= 0.75, scores
