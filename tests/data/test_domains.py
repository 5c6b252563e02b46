"""Domains: layouts of publishers and of users, class numbers, and what is held out."""

import shutil

import cv2
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from bginv.data.class_lists import CLASS_LISTS, ClassList, class_list, read_class_list
from bginv.data.domains import DOMAIN, Domain, DomainPlace, load_domain
from bginv.data.labelled import MasksAsLabelMaps, WithTarget, map_reader
from tests.data.test_segmentation import voc_colour, write_image

SIZE = (12, 16)


def write_map(path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def load(name: str, root=None, **given) -> Domain:
    return load_domain(DomainPlace(name, SIZE, 1 / 3, root and str(root), **given))


def maps_of(source) -> np.ndarray:
    return np.concatenate([batch["label_map"] for batch in source.batches(2)])


@pytest.fixture
def folder(tmp_path):
    """Six images, whose label maps hold the place in the order everywhere, and a void strip."""
    for place in range(6):
        write_image(tmp_path / f"images/frame{place}.jpg", place)
        numbers = np.full((30, 40), place % 3, np.uint8)
        numbers[:10] = 3
        write_map(tmp_path / f"labels/frame{place}.png", numbers)
    (tmp_path / "classes.txt").write_text("road\nsky\ntree\nvoid\n")
    return tmp_path


def test_the_last_images_of_a_folder_are_held_out(folder):
    domain = load(f"{DOMAIN}{folder}")
    assert (len(domain.train), len(domain.held_out)) == (4, 2)
    assert domain.classes.names == ("road", "sky", "tree")
    maps = maps_of(domain.held_out)
    assert maps.shape == (2, *SIZE)
    np.testing.assert_array_equal(maps[:, 4:], np.full((2, 8, 16), 1) + [[[0]], [[1]]])
    assert np.all(maps[:, :4] == 255)
    assert domain.train.image_shape == (*SIZE, 3)


def test_classes_by_name_of_a_list_and_ignored_ones(folder):
    domain = load(f"{DOMAIN}{folder}", classes="camvid", ignore_label=2)
    assert domain.classes.names[:3] == ("sky", "building", "pole")
    assert set(np.unique(maps_of(domain.train))) == {0, 1, 3, 255}


def test_a_number_of_no_class_is_named(folder):
    write_map(folder / "labels/frame1.png", np.full((30, 40), 7, np.uint8))
    with pytest.raises(ValueError, match="frame1.png holds the number 7; the classes have the"):
        load(f"{DOMAIN}{folder}")


def test_a_missing_map_is_named(folder):
    (folder / "labels/frame2.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 of 4 label maps are missing, such as .*frame2"):
        load(f"{DOMAIN}{folder}")


def test_a_list_of_names_chooses_images(folder):
    (folder / "list.txt").write_text("frame5.jpg\nframe0.jpg\nframe1.jpg\n")
    domain = load(f"{DOMAIN}{folder}", data_list=str(folder / "list.txt"))
    assert (len(domain.train), len(domain.held_out)) == (2, 1)
    assert maps_of(domain.train)[0, -1, 0] == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [("road\n", "two classes or more"), ("road\n\nsky\n", "two classes"), (None, "is not there")],
)
def test_class_files_that_cannot_be_used(folder, lines, message):
    (folder / "classes.txt").unlink()
    if lines:
        (folder / "classes.txt").write_text(lines)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load(f"{DOMAIN}{folder}")


def test_gta5_has_numbers_or_colours(tmp_path):
    numbers = np.full((30, 40), 7, np.uint8)
    numbers[:, 20:] = 26
    colours = np.full((30, 40, 3), (128, 64, 128), np.uint8)
    colours[:, 20:] = (0, 0, 142)
    for place in range(3):
        write_image(tmp_path / f"images/0{place}.png", place)
        write_map(tmp_path / f"labels/0{place}.png", colours if place else numbers)
    domain = load("gta5", tmp_path)
    maps = np.concatenate([maps_of(domain.train), maps_of(domain.held_out)])
    expected = np.where(np.arange(16) < 8, 0, 13)
    np.testing.assert_array_equal(maps, np.broadcast_to(expected, (3, *SIZE)))


def test_synthia_has_its_numbers_in_the_first_of_three_channels_of_16_bits(tmp_path):
    pixels = np.zeros((30, 40, 3), np.uint16)
    pixels[..., 0], pixels[..., 1] = 3, 1000  # road, and the number of an instance
    pixels[:, 20:, 0] = 8
    pixels[:10, :, 0] = 22  # road works
    for place in range(3):
        write_image(tmp_path / f"RGB/0{place}.png", place)
        write_map(tmp_path / f"GT/LABELS/0{place}.png", pixels)
    maps = maps_of(load("synthia", tmp_path).held_out)[0]
    assert (maps[6, 0], maps[6, 15], maps[0, 0]) == (0, 13, 255)


@pytest.mark.slow
def test_cityscapes_holds_out_its_own_validation(tmp_path):
    for split, count, number in (("train", 3, 11), ("val", 2, 23)):
        for place in range(count):
            name = f"{split}/aachen/a_{place}"
            write_image(tmp_path / f"leftImg8bit/{name}_leftImg8bit.png", place)
            ids = np.full((30, 40), number, np.uint8)
            write_map(tmp_path / f"gtFine/{name}_gtFine_labelIds.png", ids)
    domain = load("cityscapes", tmp_path)
    assert (len(domain.train), len(domain.held_out)) == (3, 2)
    assert set(np.unique(maps_of(domain.train))) == {2}
    assert set(np.unique(maps_of(domain.held_out))) == {10}
    shutil.rmtree(tmp_path / "leftImg8bit/train")
    domain = load("cityscapes", tmp_path, only_held_out=True, ignore_label=10)
    assert set(np.unique(maps_of(domain.held_out))) == {255} and domain.train is None
    shutil.rmtree(tmp_path / "gtFine")
    with pytest.raises(ValueError, match="cityscapes has no label maps in .* to evaluate with"):
        load("cityscapes", tmp_path, only_held_out=True)


def test_what_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="unknown domain 'gta6'. Known: gta5, synthia, citysc"):
        load("gta6")
    with pytest.raises(FileNotFoundError, match="is not a folder; name that of the publisher's"):
        load("gta5", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="has no folder images"):
        load(f"{DOMAIN}{tmp_path}")


def test_preprocessing_parity(golden_arrays, tmp_path):
    reference = golden_arrays("adaptseg_preprocess")
    for place in range(2):
        write_map(tmp_path / f"images/{place}.png", reference["image"])
        write_map(tmp_path / f"labels/{place}.png", reference["label"])
    width, height = map(int, reference["crop_width_height"])
    domain = load_domain(DomainPlace("gta5", (height, width), 0.5, str(tmp_path)))
    record = domain.train.gather(tf.constant([0], tf.int64))
    mean = np.array([104.00698793, 116.66876762, 122.67891434])
    found = record["image"][0].numpy()[..., ::-1] * 255 - mean
    difference = np.abs(np.moveaxis(found, -1, 0) - reference["out_image"])
    # Pillow's sums are in whole numbers
    assert difference.max() < 1.01 and (difference > 0.01).mean() < 0.002
    np.testing.assert_array_equal(record["label_map"][0], reference["out_label"])


def test_mapping_parity(golden_arrays):
    reference = golden_arrays("adaptseg_iou")
    numbers = {int(a): int(b) for a, b in reference["mapping_pairs"] if a >= 0}
    table = ClassList(("any",), np.zeros((1, 3), np.uint8), numbers).table()
    there = reference["mapping_in"] >= 0  # no file of 8 bits holds -1
    found = table[reference["mapping_in"][there]]
    np.testing.assert_array_equal(found, reference["mapping_out"][there])


def test_lists_of_19_classes_agree_and_colours_tell_classes_apart():
    cityscapes, synthia = CLASS_LISTS["cityscapes"], CLASS_LISTS["synthia"]
    assert cityscapes.names == synthia.names and len(cityscapes) == 19
    assert sorted(synthia.numbers.values()) == list(range(19))
    for classes in (*CLASS_LISTS.values(), class_list(tuple("abcdefghijkl"))):
        assert len({tuple(colour) for colour in classes.colours}) == len(classes)
    colours = class_list(("a", "b", "c")).colours
    np.testing.assert_array_equal(colours, [voc_colour(number) for number in (1, 2, 3)])
    with pytest.raises(ValueError, match="one of cityscapes, synthia, camvid or a file"):
        read_class_list("kitti")


def test_colours_of_maps(tmp_path):
    camvid = CLASS_LISTS["camvid"]
    write_map(tmp_path / "a.png", camvid.colours[None])
    contents = tf.io.read_file(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(map_reader(camvid)(contents), np.arange(11)[None])
    found = map_reader(camvid.ignoring(2))(contents)
    np.testing.assert_array_equal(found, [[0, 1, 255, *range(3, 11)]])


def write_palette_map(path, numbers: np.ndarray, palette: np.ndarray) -> None:
    """A PNG whose pixels are places in a palette, which OpenCV does not write."""
    picture = PIL.Image.fromarray(numbers.astype(np.uint8))
    picture.putpalette(palette.astype(np.uint8).tobytes())
    picture.save(path)


def test_maps_with_a_palette_hold_numbers(folder):
    palette = np.array([voc_colour(number) for number in range(256)])
    numbers = np.repeat(np.arange(3)[:, None], 40, 1).repeat(10, 0)
    for place in range(6):
        write_palette_map(folder / f"labels/frame{place}.png", numbers, palette)
    maps = maps_of(load(f"{DOMAIN}{folder}").train)
    np.testing.assert_array_equal(maps[0, :, 0], np.repeat([0, 1, 2], 4))
    write_palette_map(folder / "labels/frame0.png", numbers + 5, palette)
    with pytest.raises(ValueError, match="frame0.png holds the number 5"):
        load(f"{DOMAIN}{folder}")
    write_map(folder / "labels/frame0.png", numbers.astype(np.uint8))
    with pytest.raises(ValueError, match="another palette than the first label map"):
        load(f"{DOMAIN}{folder}")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((30, 40, 3), np.uint8), "holds colours, which stand for no class of a file"),
        (np.ones((30, 40), np.uint16), "has 16 bits; save label maps with 8"),
    ],
)
def test_maps_of_another_kind_are_refused(folder, pixels, message):
    for place in range(6):
        write_map(folder / f"labels/frame{place}.png", pixels)
    with pytest.raises(ValueError, match=message):
        load(f"{DOMAIN}{folder}")


def test_a_map_of_another_shape_is_refused(folder):
    write_map(folder / "labels/frame0.png", np.zeros((40, 30), np.uint8))
    with pytest.raises(ValueError, match="frame0.png is 30 x 40, but its image .* is 40 x 30"):
        load(f"{DOMAIN}{folder}")


def test_names_in_folders_have_maps_in_such_folders(folder):
    for place in range(2):
        write_image(folder / f"images/s{place}/a.jpg", place)
        write_map(folder / f"labels/s{place}/a.png", np.full((30, 40), place, np.uint8))
    (folder / "list.txt").write_text("s0/a.jpg\ns1/a.jpg\n")
    found = load(f"{DOMAIN}{folder}", data_list=str(folder / "list.txt"))
    assert [maps_of(own).max() for own in (found.train, found.held_out)] == [0, 1]


def test_a_target_needs_no_label_maps(folder):
    for place in range(4):
        (folder / f"labels/frame{place}.png").unlink()
    target = load(f"{DOMAIN}{folder}", labelled=False)
    assert (len(target.train), len(target.held_out)) == (4, 2)
    assert not target.train.has_label_maps and target.held_out.has_label_maps
    for place in (4, 5):
        (folder / f"labels/frame{place}.png").unlink()
    target = load(f"{DOMAIN}{folder}", labelled=False)
    assert len(target.train) == 6 and target.held_out is None


def test_other_label_maps_are_told_from_these(folder):
    before = load(f"{DOMAIN}{folder}").train
    write_map(folder / "labels/frame0.png", np.full((30, 40), 2, np.uint8))
    after = load(f"{DOMAIN}{folder}").train
    assert before.digest() == after.digest()
    assert before.masks_digest() != after.masks_digest()
    with pytest.raises(tf.errors.OpError, match="has changed since it was checked"):
        maps_of(before)


def test_shapes_by_day_and_at_dusk(monkeypatch):
    monkeypatch.setattr("bginv.data.shapes.NUM_TRAIN", 24)
    monkeypatch.setattr("bginv.data.shapes.NUM_TEST", 12)
    day, dusk = (
        load_domain(DomainPlace(name, (32, 32), 0.1)) for name in ("shapes", "shapes_dusk")
    )
    assert day.classes.names == ("background", *"disk triangle square star cross crescent".split())
    assert (len(day.train), len(day.held_out)) == (12, 6)
    # they have no scene in common
    for part in ("train", "held_out"):
        one, other = (maps_of(getattr(domain, part)) > 0 for domain in (day, dusk))
        assert not any(np.array_equal(a, b) for a in one for b in other)
    assert set(np.unique(maps_of(day.train))) == set(range(7))
    light = [next(iter(domain.train.batches(12)))["image"].numpy().mean() for domain in (day, dusk)]
    assert light[1] < 0.75 * light[0]
    ignoring = load_domain(DomainPlace("shapes", (32, 32), 0.1, ignore_label=0))
    assert set(np.unique(maps_of(ignoring.train))) == {*range(1, 7), 255}
    with pytest.raises(ValueError, match=r"square images; received \(48, 32\)"):
        load_domain(DomainPlace("shapes", (32, 48), 0.1))


def test_batches_hold_the_target_and_not_its_labels(squares):
    source = MasksAsLabelMaps(squares.train)
    pairs = WithTarget(source, squares.train.first(5))
    first, again = (next(iter(pairs.batches(4, shuffle=True, seed=3))) for _ in range(2))
    assert set(first) == {"image", "label", "index", "label_map", "target"}
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    later = next(iter(pairs.batches(4, shuffle=True, seed=3, start=1)))
    assert not np.array_equal(first["target"], later["target"])
    halves = [
        next(iter(pairs.batches(4, True, 3, replicas=(r,), num_replicas=2)))["target"]
        for r in range(2)
    ]
    np.testing.assert_array_equal(halves[1], first["target"][1::2])
    assert "target" not in next(iter(pairs.batches(4)))
    assert pairs.digest() != WithTarget(source, squares.train.first(4)).digest()
    assert len(pairs.take(np.arange(3))) == 3
