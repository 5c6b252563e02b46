"""Places of a folder's pictures: from folders in class folders, and from a table."""

import cv2
import numpy as np
import pytest

from bginv.data.catalog import load_data
from bginv.masks.given import GivenMasks
from bginv.masks.source import Picture


@pytest.fixture
def write(tmp_path):
    def pictures(*names, shade=90):
        for name in names:
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((8, 8, 3), shade, np.uint8))
        return str(tmp_path / "photos")

    return pictures


FLAT = ("train/cat/1.png", "train/cat/2.png", "train/dog/3.png", "test/cat/4.png", "test/dog/1.png")


def places_of(data):
    """The place's name of each picture, by its name in its split."""
    splits = {"train": data.train, **data.tests}
    return {
        f"{name}/{source.name(row)}": data.place_names[source.places[row]]
        for name, source in splits.items()
        if source.places is not None
        for row in range(len(source))
    }


def test_folders_in_class_folders_are_places(write):
    names = [f"{own}/{i}.png" for own in ("cat/wood", "cat/sea", "dog/wood") for i in range(2)]
    path = write(*(f"train/{name}" for name in names), "test/dog/air/1.png", "flat/cat/1.png")
    data = load_data(path)
    assert (data.class_names, data.place_names) == (("cat", "dog"), ("air", "sea", "wood"))
    assert data.tests["flat"].places is None
    wanted = {f"train/{name}": name.split("/")[1] for name in names}
    assert places_of(data) == {**wanted, "test/dog/air/1.png": "air"}


def test_masks_lie_in_folders_of_places_too(write):
    names = ["cat/wood/1.png", "cat/sea/1.png", "dog/wood/1.png"]
    path = write(*(f"train/{name}" for name in names), "test/dog/sea/1.png")
    for shade, name in zip((80, 100, 120), names, strict=True):
        write(f"train/masks/{name}", shade=shade)
    data = load_data(path)
    assert data.class_names == ("cat", "dog")
    shades = np.round(next(iter(data.train.batches(3)))["mask"][:, 0, 0, 0].numpy() * 255)
    found = {data.train.name(row): shade for row, shade in enumerate(shades)}
    assert found == dict(zip(names, (80, 100, 120), strict=True))
    masks = GivenMasks(f"{path}/train/masks")
    held = [Picture(np.zeros((8, 8, 3), np.uint8), name, 0) for name in names]
    assert [round(255 * float(own.soft[0, 0])) for own in masks.masks(held)] == [80, 100, 120]


def test_class_folders_agree_on_places(write):
    path = write("train/cat/wood/1.png", "train/dog/1.png", "test/dog/1.png")
    with pytest.raises(ValueError, match="train/cat holds folders alone, as of places, and .*/dog"):
        load_data(path)
    path = write("train/cat/2.png")  # now both hold images
    assert load_data(path).place_names == ()


def test_a_place_without_pictures_is_told(write, tmp_path):
    path = write("train/cat/wood/1.png", "train/dog/wood/1.png", "test/dog/wood/1.png")
    (tmp_path / "photos/train/cat/sea").mkdir()
    with pytest.raises(ValueError, match="train/cat/sea holds no image .it is empty"):
        load_data(path)


def table(tmp_path, *lines):
    file = tmp_path / "places.csv"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def test_a_table_names_files_in_three_ways(write, tmp_path):
    lines = ["train/cat/1.png,3,sea", "cat/2.png,4,wood", "elsewhere/3.png,5,wood"]
    lines += ["test/cat/4.png,6,air", "test/dog/1.png,7,sea"]
    file = table(tmp_path, "file,size,place", *lines)
    data = load_data(write(*FLAT), groups=file)
    assert data.place_names == ("air", "sea", "wood")
    wanted = dict(zip(FLAT, ("sea", "wood", "wood", "air", "sea"), strict=True))
    assert places_of(data) == wanted
    sized = load_data(write(*FLAT), groups=f"{file}:size")
    assert places_of(sized) == dict(zip(FLAT, "34567", strict=True))
    with pytest.raises(ValueError, match="places need a column shape; it has 'file', 'size'"):
        load_data(write(*FLAT), groups=f"{file}:shape")


def test_pictures_without_a_place_are_told(write, tmp_path):
    lines = [f"{name},x" for name in FLAT[:3]]
    # two pictures are called 1.png, so this line tells of neither
    file = table(tmp_path, "image,site", *lines, "4.png,y", "1.png,y")
    with pytest.raises(ValueError, match="has no place of 1 of 5 pictures, the first: test/dog/1."):
        load_data(write(*FLAT), groups=file)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["file,place", "1.png,"], "line 2, place '': 1.png needs a place"),
        (
            ["file,place", "1.png,a", "./1.png,b"],
            "line 3, place 'b': an earlier line has ./1.png",
        ),
        (["size,place", "1.png,a"], "file names need one of the columns filename, .*has 'size'"),
    ],
)
def test_bad_tables_are_named(write, tmp_path, lines, told):
    with pytest.raises(ValueError, match=told):
        load_data(write(*FLAT), groups=table(tmp_path, *lines))


def test_groups_are_for_image_files_with_one_class(write, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no table of groups .*/none.csv"):
        load_data(write(*FLAT), groups=str(tmp_path / "none.csv"))
    with pytest.raises(ValueError, match="groups .--groups. are for folder:PATH .*eived digits"):
        load_data("digits", groups="places.csv")
