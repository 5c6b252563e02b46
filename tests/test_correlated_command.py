"""`bginv make-correlated`: a set like Waterbirds of planted objects and places."""

import csv
import pathlib
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from bginv.data.correlated_files import CorrelatedFiles
from bginv.data.folder import load_class_folders

CALL = ("make-correlated", "folder:objects", "--backgrounds", "places", "--output", "made")
SMALL = (*CALL, "--image-size", "32", "--format", "png")
OBJECT, BEHIND = (40, 40, 220), (30, 200, 30)
PLACES = {"land": (90, 160, 200), "water": (200, 120, 40)}
"""Blue, green, red, as OpenCV has them."""


def write_object(folder: pathlib.Path, name: str, number: int) -> None:
    """A red square of 16 x 16 on green, 40 x 60, and its mask; a pixel tells pictures apart."""
    class_name = folder.name
    masks = folder.parent / "masks" / class_name
    for own in (folder, masks):
        own.mkdir(parents=True, exist_ok=True)
    image = np.full((40, 60, 3), BEHIND, np.uint8)
    image[10:26, 20:36] = OBJECT
    image[0, 0] = number % 256, number // 256, len(class_name)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:26, 20:36] = 255
    cv2.imwrite(str(folder / f"{name}.png"), image)
    cv2.imwrite(str(masks / f"{name}.png"), mask)


def write_places(root: pathlib.Path, count: int = 10, turned: bool = False) -> None:
    numbers = list(range(count))
    for place, colour in sorted(PLACES.items(), reverse=turned):
        (root / place).mkdir(parents=True)
        for number in numbers[::-1] if turned else numbers:
            image = np.full((32, 48, 3), colour, np.uint8)
            image[0, 0] = number
            cv2.imwrite(str(root / place / f"{number}.png"), image)


def write_all(root: pathlib.Path, count: int = 40, turned: bool = False) -> None:
    """Class folders alone; `turned` writes them in the opposite order."""
    numbers = list(range(count))
    for class_name in ("bird", "ox")[:: -1 if turned else 1]:
        for number in numbers[::-1] if turned else numbers:
            write_object(root / "objects" / class_name, f"{class_name}{number}", number)
    write_places(root / "places", turned=turned)


def lines(made: str = "made") -> list[dict[str, str]]:
    with open(f"{made}/metadata.csv", newline="") as file:
        return list(csv.DictReader(file))


def files_of(made: str) -> dict[str, bytes]:
    root = pathlib.Path(made)
    return {str(own.relative_to(root)): own.read_bytes() for own in root.rglob("*.*")}


def test_a_set_of_class_folders(command, caplog):
    write_all(pathlib.Path())
    code, out, err = command(None, *SMALL)
    assert code == 0, err
    held = lines()
    assert list(held[0])[:6] == ["img_id", "img_filename", "y", "split", "place", "place_filename"]
    assert list(held[0])[6:] == ["class_name", "place_name", "object_filename"]
    assert [row["img_id"] for row in held] == [str(number) for number in range(1, 81)]
    counts: dict[tuple[str, str, str], int] = {}
    for row in held:
        group = (row["split"], row["class_name"], row["place_name"])
        counts[group] = counts.get(group, 0) + 1
        assert (row["y"], row["place"]) == (
            str(["bird", "ox"].index(row["class_name"])),
            str(["land", "water"].index(row["place_name"])),
        )
    # 24 of each class train: 0.95 of 48 is 45.6, so 46 are at home
    assert counts[("0", "bird", "land")] == 23 and counts[("0", "bird", "water")] == 1
    assert counts[("0", "ox", "land")] == 1 and counts[("0", "ox", "water")] == 23
    even = [own for group, own in counts.items() if group[0] != "0"]
    assert even == [4] * 8
    assert "| bird/land  |    23 |          4 |    4 |" in out
    assert "| train                          |      95.8 |" in out
    assert "48 training pictures are few: 95.8 % are" in caplog.text
    source, names = load_class_folders("made", 32)
    assert len(source) == 80 and names == ("bird", "ox") and source.has_masks
    assert cv2.imread("made/contact_sheet.png").std() > 20


def test_pictures_show_the_object_on_the_place_and_nothing_of_what_was_behind_it(command):
    write_all(pathlib.Path(), 10)
    assert command(None, *SMALL, "--object-size", "0.5")[0] == 0
    for row in lines():
        image = cv2.imread(f"made/{row['img_filename']}").astype(int)
        mask = cv2.imread(f"made/masks/{row['img_filename']}", cv2.IMREAD_GRAYSCALE)
        # the square's middle is at (18/40, 28/60) of the picture, and half of 32 pixels wide
        expected = np.zeros((32, 32), np.uint8)
        expected[6:22, 7:23] = 255
        np.testing.assert_array_equal(mask, expected)
        assert np.abs(image[mask == 255] - OBJECT).max() <= 1
        assert np.abs(image[mask == 0] - PLACES[row["place_name"]]).max() <= 1
    assert command(None, *SMALL, "--overwrite")[0] == 0
    row = lines()[0]
    image = cv2.imread(f"made/{row['img_filename']}").astype(int)
    mask = cv2.imread(f"made/masks/{row['img_filename']}", cv2.IMREAD_GRAYSCALE)
    # stretched to 32 x 32, rows 8 to 20.8 and columns 10.7 to 19.2
    assert mask[9:20, 12:19].min() == 255 and mask.sum() // 255 in range(13 * 8, 13 * 9 + 1)
    assert image[..., 1].max() <= 160  # green was behind the object


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process_and_order(command):
    write_all(pathlib.Path())
    assert command(None, *SMALL)[0] == 0
    first = files_of("made")
    write_all(pathlib.Path("again"), turned=True)
    program = [sys.executable, "-m", "bginv", *SMALL]
    subprocess.run(program, check=True, cwd="again", capture_output=True)
    assert files_of("again/made") == first and len(first) == 80 * 2 + 3
    other = [place if place != "made" else "other" for place in SMALL]
    assert command(None, *other, "--seed", "1")[0] == 0
    pairs = [
        {row["object_filename"]: row["place_filename"] for row in lines(made)}
        for made in ("made", "other")
    ]
    assert pairs[0].keys() == pairs[1].keys() and pairs[0] != pairs[1]
    code, _, err = command(None, *SMALL, "--seed", "1")
    assert code == 2 and "made otherwise (make-correlated.seed: 1, was 0)" in err
    assert command(None, *SMALL, "--seed", "1", "--overwrite")[0] == 0
    assert files_of("made") == files_of("other")


def test_it_goes_on_where_it_stopped(command, monkeypatch):
    write_all(pathlib.Path(), 8)
    assert command(None, *SMALL)[0] == 0
    whole = files_of("made")
    make, count = CorrelatedFiles._make, []

    def interrupted(self, row):
        count.append(row)
        if len(count) == 5:
            raise KeyboardInterrupt
        make(self, row)

    monkeypatch.setattr(CorrelatedFiles, "_make", interrupted)
    again = [place if place != "made" else "again" for place in SMALL]
    assert command(None, *again)[0] == 130
    assert not pathlib.Path("again/metadata.csv").exists()
    damaged = next(pathlib.Path("again/masks").rglob("*.png"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    count.clear()
    monkeypatch.setattr(
        CorrelatedFiles, "_make", lambda self, row: (count.append(row), make(self, row))
    )
    assert command(None, *again)[0] == 0
    assert files_of("again") == whole and len(count) == 16 - 4 + 1


def test_no_content_is_on_two_sides(command, caplog):
    for split, start in (("train", 0), ("test", 30)):
        for class_name in ("bird", "ox"):
            for number in range(start, start + (30 if split == "train" else 6)):
                write_object(pathlib.Path("objects", split, class_name), f"{number}", number)
    bird = pathlib.Path("objects/train/bird")
    write_object(bird, "copy", 3)
    write_object(bird, "copy_of_a_test", 31)
    write_places(pathlib.Path("places"))
    land = pathlib.Path("places/land")
    (land / "copy.png").write_bytes((land / "3.png").read_bytes())
    code, _, err = command(None, *SMALL)
    assert code == 0, err
    assert "1 of 21 pictures are left out, as they are copies of others: land/" in caplog.text
    assert "2 of 74 pictures are left out, as they are copies of others: train/bird/" in caplog.text
    held = lines()
    assert len(held) == 72 and len({row["img_filename"] for row in held}) == 72
    sides: dict[bytes, set[str]] = {}
    for row in held:
        for file in (f"objects/{row['object_filename']}", f"places/{row['place_filename']}"):
            sides.setdefault(pathlib.Path(file).read_bytes(), set()).add(row["split"])
        assert (row["split"] == "2") == row["object_filename"].startswith("test/")
    assert {len(own) for own in sides.values()} == {1}
    assert len(sides) > 80


def test_what_shows_no_object_is_left_out_and_named(command, caplog):
    write_all(pathlib.Path(), 8)
    cv2.imwrite("objects/masks/ox/ox3.png", np.zeros((40, 60), np.uint8))
    cv2.imwrite("objects/masks/ox/ox4.png", np.full((40, 60), 255, np.uint8))
    write_object(pathlib.Path("objects/ox"), "both", 0)
    both = pathlib.Path("objects/ox/both.png")
    both.write_bytes(pathlib.Path("objects/bird/bird0.png").read_bytes())
    code, _, err = command(None, *SMALL, "--correlation", "1")
    assert code == 0, err
    assert "2 of 17 pictures are left out, as their masks are empty or whole: ox/ox" in caplog.text
    assert "2 of 15 pictures are left out, as they are in two classes: " in caplog.text
    assert "no training picture is in bird/water, ox/land" in caplog.text
    assert len(lines()) == 13


def test_masks_of_other_sources(command, monkeypatch):
    monkeypatch.setenv("BGINV_CACHE", "cache")
    for class_name in ("bird", "ox"):
        for number in range(4):
            image = np.zeros((40, 60, 3), np.uint8)
            image[10:26, 20:36] = 200 + number, len(class_name), 90
            for split in ("train", "test"):
                image[25, 35, 2] = 90 + len(split)
                folder = pathlib.Path("objects", split, class_name)
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f"{number}.png"), image)
    write_places(pathlib.Path("places"))
    code, _, err = command(None, *SMALL, "--masks", "heuristic", "--object-size", "0.25")
    assert code == 0, err
    held = lines()
    assert len({row["img_filename"] for row in held}) == 16  # two of a class have one name each
    for row in held:
        mask = cv2.imread(f"made/masks/{row['img_filename']}", cv2.IMREAD_GRAYSCALE)
        assert (mask == 255).sum() == 8 * 8 == (mask > 0).sum()


def test_a_picture_that_is_used_often_is_told(command, caplog):
    write_all(pathlib.Path(), 80)
    for place in PLACES:
        for number in range(3, 10):
            pathlib.Path(f"places/{place}/{number}.png").unlink()
    code, out, err = command(None, *SMALL)
    assert code == 0 and "| land            | 1 x 49 |     1 x 16 | 1 x 16 |" in out
    assert "a place's picture is used 49 times" in caplog.text


def refused(command, told: str, *more: str) -> None:
    code, out, err = command(None, *SMALL, *more)
    assert (code, out) == (2, "") and told in err and "\n" not in err.strip(), err
    assert not pathlib.Path("made").exists()


def test_wrong_arguments_are_refused(command):
    write_all(pathlib.Path(), 4)
    refused(command, "--correlation must be from 0.5 (all of 2", "--correlation", "0.4")
    refused(command, "--correlation must be at most 1", "--correlation", "1.5")
    refused(command, "names the class 'cow'; there are bird, ox", "--pairs", "cow=land")
    refused(command, "names the place 'sea'; there are land, water", "--pairs", "ox=sea")
    refused(command, "no class has water as its own place", "--pairs", "ox=land")
    refused(command, "--shares must be three numbers", "--shares", "0.5,0.5")
    refused(command, "needs a folder with PLACE/*.jpg; nowhere is none", "--backgrounds", "nowhere")
    refused(command, "need a classifier: put masks beside", "--masks", "cam")
    refused(command, "need a classifier: put masks beside", "--masks", "learned")
    refused(command, "--groups places.csv has no effect here", "--groups", "places.csv")
    inside = ("--output", "objects/made")
    refused(command, "objects/made lies in objects: choose a folder outside it", *inside)
    code, _, err = command(None, "make-correlated", "folder:objects")
    assert code == 2 and "--backgrounds FOLDER is needed" in err
    code, _, err = command(None, "make-correlated", "digits", *SMALL[2:])
    assert code == 2 and "objects are those of folder:PATH; received digits" in err
    code, _, err = command(None, *SMALL, "--output", "places/..")
    assert code == 2 and "holds something else; choose an empty folder" in err


def test_places_that_make_no_set_are_refused(command):
    write_all(pathlib.Path(), 4)
    land, water = pathlib.Path("places/land"), pathlib.Path("places/water")
    (water / "same.png").write_bytes((land / "3.png").read_bytes())
    refused(command, "places/land/3.png and places/water/same.png are the same picture in two")
    (water / "same.png").write_bytes(pathlib.Path("objects/ox/ox2.png").read_bytes())
    refused(command, "picture water/same.png is the object's picture ox/ox2.png too")
    (water / "same.png").unlink()
    for number in range(2, 10):
        (water / f"{number}.png").write_bytes((water / "1.png").read_bytes())
    refused(command, "places/water holds too few different pictures, 2: a place needs 3")
    for file in water.iterdir():
        file.unlink()
    water.rmdir()
    refused(command, "places holds land: two folders or more are needed")


def test_objects_that_make_no_set_are_refused(command, monkeypatch):
    write_all(pathlib.Path(), 4)
    for number in (0, 1):
        cv2.imwrite(f"objects/masks/ox/ox{number}.png", np.zeros((40, 60), np.uint8))
    refused(command, "the class ox has 2 different objects with a mask to split; 3 are needed")
    for number in (2, 3):
        cv2.imwrite(f"objects/masks/ox/ox{number}.png", np.zeros((40, 60), np.uint8))
    refused(command, "no mask of the class ox shows an object")
    pathlib.Path("objects/masks").rename("masks")
    monkeypatch.setenv("U2NET_HOME", "empty")
    refused(command, "there is no saliency network in empty")
    refused(command, "brings no masks", "--masks", "given")
    shutil.rmtree("objects/ox")
    refused(command, "holds one class only, bird")
    shutil.rmtree("objects")
    for split in ("train", "test"):
        for class_name in ("bird", "ox"):
            write_object(pathlib.Path("objects", split, class_name), split, len(split))
    shutil.rmtree("objects/test/masks")
    refused(command, "test brings no masks, as train does: put them at test/masks/CLASS/NAME.png")
