"""Sets in the layout of Waterbirds and of WILDS: a table of pictures, classes and places."""

import csv

import cv2
import numpy as np
import pytest

from bginv.data.catalog import load_data

HEADER = "img_id,img_filename,y,split,place,place_filename"
BIRDS = "001.Black_footed_Albatross/a{}.jpg", "002.Laysan_Albatross/b{}.jpg"


@pytest.fixture
def write(tmp_path):
    """Write `metadata.csv` and its pictures; a picture's red is 10 times its line."""

    def table(lines, header=HEADER, below="", missing=()):
        content = [header, *lines]
        (tmp_path / "metadata.csv").write_text("\n".join(content) + "\n")
        rows = csv.DictReader(content)
        column = "img_filename" if "img_filename" in header else "filename"
        for number, row in enumerate(rows, 1):
            name = row.get(column)
            if name and ".." not in name and name[0] != "/" and number not in missing:
                _picture(tmp_path / below / name, 10 * number)
        return f"waterbirds:{tmp_path}"

    return table


def _picture(path, shade, size=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size, size, 3), (0, 0, shade), np.uint8))


def birds(*rows):
    """Lines as Waterbirds has them, of (y, split, place)."""
    return [
        f"{number},{BIRDS[y].format(number)},{y},{split},{place},/o/ocean/{number}.jpg"
        for number, (y, split, place) in enumerate(rows, 1)
    ]


EVERY_GROUP = [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 0, 1)]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records]


def test_waterbirds(write):
    name = write(birds(*EVERY_GROUP, (0, 1, 1), (0, 1, 1), (1, 2, 0), (1, 2, 0), (0, 2, 1)))
    data = load_data(name, image_size=8)
    assert (data.name, data.class_names) == (name, ("landbird", "waterbird"))
    assert data.place_names == ("land", "water")
    assert {own: len(split) for own, split in data.tests.items()} == {"test": 3, "validation": 2}
    seen = {}
    for split in (data.train, *data.tests.values()):
        batch = next(iter(split.batches(9)))
        lines = np.round(batch["image"][:, 0, 0, 0].numpy() * 25.5).astype(int)
        groups = zip(split.labels.tolist(), split.places.tolist(), strict=True)
        seen |= dict(zip(lines.tolist(), groups, strict=True))
    wanted = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 1), (0, 1), (1, 0), (1, 0), (0, 1)]
    assert seen == dict(enumerate(wanted, 1))
    first = data.train.take(np.array([2, 0]))
    assert first.places.tolist() == data.train.places[[2, 0]].tolist()


def test_pictures_that_are_left_out_take_their_places_along(write, tmp_path):
    name = write(birds(*EVERY_GROUP, (1, 0, 1), (0, 2, 1)))
    whole = load_data(name)
    kept = [row for row in range(5) if "a2.jpg" not in whole.train.name(row)]
    (tmp_path / BIRDS[0].format(2)).write_bytes(b"no picture")
    with pytest.raises(ValueError, match="a2.jpg .it is not a whole jpeg"):
        load_data(name)
    data = load_data(name, skip_bad_files=True)
    assert [data.train.name(row) for row in range(4)] == [whole.train.name(row) for row in kept]
    np.testing.assert_array_equal(data.train.places, whole.train.places[kept])


def test_names_of_their_own(write):
    lines = [f"x/{i}.png,{i % 2},{i // 4},{5 * (i // 2 % 2)},{'mn'[i % 2]}" for i in range(8)]
    plain = load_data(write(lines, "filename,y,split,place,class_name"))
    assert (plain.class_names, plain.place_names) == (("m", "n"), ("0", "5"))
    named = [f"{line},{('sea', 'hill')[i // 2 % 2]}" for i, line in enumerate(lines)]
    own = load_data(write(named, "filename,y,split,place,class_name,place_name"))
    assert (own.class_names, own.place_names) == (("m", "n"), ("sea", "hill"))
    np.testing.assert_array_equal(own.train.places, plain.train.places)


def test_a_set_of_wilds(write):
    splits = ["train", "train", "val", "test", "id_test", "id_val"]
    lines = [f"{i},{i}.jpg,{i % 2},{own},{(10, 9)[i % 2]}" for i, own in enumerate(splits)]
    data = load_data(write(lines, ",filename,y,split,location_remapped", below="train"))
    assert (data.class_names, data.place_names) == (("0", "1"), ("9", "10"))
    assert list(data.tests) == ["test", "validation", "id_test", "id_val"]
    assert data.tests["test"].places.tolist() == [0]
    assert data.tests["validation"].places.tolist() == [1]


def test_masks_have_the_pictures_names(write, tmp_path):
    lines = birds((0, 0, 0), (1, 0, 1), (1, 2, 0))
    name = write(lines)
    for number, line in enumerate(lines, 1):
        file = line.split(",")[1].replace(".jpg", ".png")
        _picture(tmp_path / "masks" / file, 10 * number, size=4)
    data = load_data(name, image_size=8)
    for split in (data.train, data.tests["test"]):
        batch = next(iter(split.batches(2)))
        shades = np.round(batch["mask"][:, 0, 0, 0].numpy() * 255)
        reds = np.round(batch["image"][:, 0, 0, 0].numpy() * 255)
        np.testing.assert_allclose(shades, reds, atol=1)  # JPEG
    (tmp_path / "masks" / BIRDS[1].format(3).replace(".jpg", ".png")).unlink()
    with pytest.raises(ValueError, match="b3.jpg has no mask; put it at .*/masks/002.*/b3.png"):
        load_data(name)


def test_what_is_not_there_names_its_publishers(write, tmp_path):
    with pytest.raises(FileNotFoundError, match="metadata.csv is not there; Waterbirds is the arc"):
        load_data(f"waterbirds:{tmp_path}")
    name = write(birds(*EVERY_GROUP, (0, 2, 1)), missing=(3, 5))
    with pytest.raises(
        FileNotFoundError, match=r"2 of 5 pictures of .* the first: .*/b3.jpg; .*nlp.stanford.edu"
    ):
        load_data(name)


def test_groups_without_training_pictures_and_of_one_picture_are_told(write, caplog):
    name = write(birds((0, 0, 0), (1, 0, 1), (0, 2, 1), (0, 2, 1), (1, 2, 1)))
    load_data(name)
    assert warnings(caplog) == [
        f"{name}: no training picture is of landbird/water, which test has",
        f"{name}: test has one picture of waterbird/water: its accuracy tells next to nothing",
    ]


GOOD = birds(*EVERY_GROUP, (0, 2, 1))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "has no line below the names of its columns"),
        ([*GOOD, "9,a.jpg,0,3,0,x"], "line 7, split '3': 0 .train., 1 .validation., 2 .test. or"),
        ([*GOOD, "9,a.jpg,-1,0,0,x"], "line 7, y '-1': a whole number of 0 or above"),
        ([*GOOD, f"9,a.jpg,{'9' * 5000},0,0,x"], "line 7, y '9{80}': a whole number of 0 or abo"),
        ([*GOOD, "9,a.jpg,0,0,1.5,x"], "line 7, place '1.5': a whole number of 0 or above"),
        ([*GOOD, "9,a.jpg,0,0"], "line 7, place '': a whole number of 0 or above"),
        ([*GOOD, "9,a.jpg,3,0,0,x"], "no line has y 2, and one has 3: number the classes"),
        ([*GOOD, "9,../a.jpg,0,0,0,x"], "line 7, img_filename '../a.jpg': a path below"),
        ([*GOOD, "9,/etc/a.jpg,0,0,0,x"], "line 7, img_filename '/etc/a.jpg': a path below"),
        ([*GOOD, GOOD[0]], "line 7, img_filename .*: line 2 has it already"),
        (birds((0, 2, 0), (1, 2, 1)), "no line has split 0 or train: there is no picture to train"),
        (birds((0, 0, 0), (1, 0, 1)), "no line has split 1, 2, val or test: there is no test"),
        (birds((0, 0, 0), (0, 2, 1)), "y is 0 in every line; a classifier needs two classes"),
    ],
)
def test_bad_lines_are_named(write, lines, told):
    with pytest.raises(ValueError, match=f"metadata.csv[:,]? {told}") as error:
        load_data(write(lines))
    assert "\n" not in str(error.value)


def test_bad_tables_are_named(write, tmp_path):
    name = write(GOOD, HEADER.replace("place,", "where,"))
    with pytest.raises(ValueError, match="places need one of the columns place, .*; it has 'img_i"):
        load_data(name)
    (tmp_path / "metadata.csv").write_bytes(b"")
    with pytest.raises(ValueError, match="metadata.csv is empty"):
        load_data(name)
    (tmp_path / "metadata.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ValueError, match="metadata.csv is no text file in UTF-8"):
        load_data(name)
    with pytest.raises(ValueError, match="as it holds metadata.csv, name it waterbirds:PATH"):
        load_data(str(tmp_path))


def test_two_names_of_a_class_are_told(write):
    lines = [f"{i}.png,{i % 2},{2 * (i > 1)},0,{'mno'[i]}" for i in range(3)]
    with pytest.raises(ValueError, match="line 4, class_name 'o': an earlier line has 'm' with"):
        load_data(write(lines, "filename,y,split,place,class_name"))
