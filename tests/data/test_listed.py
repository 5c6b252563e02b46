"""Pictures that tables and annotations list: CSV, COCO, YOLO and Pascal VOC."""

import json

import cv2
import numpy as np
import pytest

from bginv.data.catalog import load_data
from tests.data.listed_toys import (
    BOX,
    HEIGHT,
    WIDTH,
    coco,
    polygon,
    write_coco,
    write_csv,
    write_pictures,
    write_voc,
    write_yolo,
)


def check(dataset, sizes, test="clean", masks=True):
    """Classes alternate with brightness, and masks show the box of the objects."""
    assert dataset.class_names == ("cat", "dog") and dataset.image_shape == (24, 24, 3)
    assert (len(dataset.train), len(dataset.tests[test])) == sizes
    left, top, width, height = BOX
    for source in (dataset.train, dataset.tests[test]):
        (batch,) = source.batches(99)
        bright = np.asarray(batch["image"])[:, HEIGHT // 2, 12, 0] > 0.5
        np.testing.assert_array_equal(bright, np.asarray(batch["label"]) == 1)
        assert ("mask" in batch) == masks
        if masks:
            whole = np.zeros((HEIGHT, WIDTH), np.float32)
            whole[top : top + height, left : left + width] = 1
            expected = cv2.resize(whole, (24, 24), interpolation=cv2.INTER_AREA)
            found = np.asarray(batch["mask"])[..., 0]
            difference = np.abs(found - expected)[:, 4:]  # small cats are above
            assert difference.max() < 0.35 and difference.mean() < 0.02


def test_csv_with_every_column(tmp_path):
    file = write_csv(tmp_path)
    check(load_data(f"csv:{file}", image_size=24), (6, 2), masks=False)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    left, top, width, height = BOX
    mask[top : top + height, left : left + width] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    lines = ["FileName,Class", *file.read_text().splitlines()[1:]]
    rows = [
        f"{line},m.png,{('here', 'there')[row % 4 // 2]},{('train', 'val')[row // 6]}"
        for row, line in enumerate(lines[1:])
    ]
    file.write_text("\n".join(["filename,class,mask,site,split", *rows]))
    dataset = load_data(f"csv:{file}", image_size=24)
    check(dataset, (6, 2), "validation")
    assert dataset.place_names == ("here", "there")
    assert sorted(dataset.train.places) == [0, 0, 0, 0, 1, 1]


def test_whole_numbers_are_class_numbers(tmp_path):
    file = write_csv(tmp_path)
    file.write_text(file.read_text().replace("cat", "0").replace("dog", "10"))
    assert load_data(f"csv:{file}").class_names == tuple(map(str, range(11)))


def test_numbers_with_zeros_in_front_are_names(tmp_path):
    file = write_csv(tmp_path)
    file.write_text(file.read_text().replace("cat", "01").replace("dog", "02"))
    assert load_data(f"csv:{file}").class_names == ("01", "02")


def test_whole_paths_and_others_go_together(tmp_path, monkeypatch):
    file = write_csv(tmp_path)
    file.write_text(file.read_text().replace("pictures/0", str(tmp_path / "pictures" / "0")))
    monkeypatch.chdir(tmp_path)
    assert sorted(map(load_data("csv:all.csv").train.name, range(6)))[-1].endswith(".png")


def test_coco_polygons(tmp_path):
    write_coco(tmp_path)
    dataset = load_data(f"coco:{tmp_path / 'all.json'}", image_size=24)
    check(dataset, (6, 2))
    assert dataset.train.masks_digest() == dataset.train.take(np.arange(6)).masks_digest()
    assert dataset.train.masks_digest() != dataset.train.take(np.arange(6)[::-1]).masks_digest()


def test_sizes_may_be_whole_floats(tmp_path):
    load_data(of_coco(images__3__width=float(WIDTH), images__3__height=float(HEIGHT))(tmp_path))


def test_coco_run_lengths_and_boxes(tmp_path, caplog):
    rle = pytest.importorskip("pycocotools.mask")
    held = write_coco(tmp_path)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    left, top, width, height = BOX
    mask[top : top + height, left : left + width] = 1
    text = rle.encode(mask)["counts"].decode()
    counts = np.diff(np.flatnonzero(np.diff(np.r_[2, mask.T.ravel(), 2]))).tolist()
    for own in held["annotations"][1::6]:
        own["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": text}
    for own in held["annotations"][3::6]:
        own["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": counts}
    for own in held["annotations"][5::6]:
        own["segmentation"] = []
    (tmp_path / "all.json").write_text(json.dumps(held))
    check(load_data(f"coco:{tmp_path / 'all.json'}", image_size=24), (6, 2))
    assert "2 of 16 objects have a box alone" in caplog.text


@pytest.mark.parametrize("layout", ["roboflow", "cvat"])
def test_coco_folders_have_splits(tmp_path, layout):
    for number, split in enumerate(("train", "val")):
        if layout == "roboflow":
            file, pictures = tmp_path / split / "_annotations.coco.json", tmp_path / split
        else:
            file = tmp_path / "annotations" / f"instances_{split}.json"
            pictures = tmp_path / "images" / split
        held = coco(write_pictures(pictures), first=100 * number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(held))
    check(load_data(f"coco:{tmp_path}", image_size=24), (8, 8), "validation")


@pytest.mark.parametrize("name", ["test/all.json", "export/birds_1.json"])
def test_neither_its_own_folder_nor_a_number_tells_a_split(tmp_path, name):
    file = tmp_path / name
    held = coco(write_pictures(file.parent))
    file.write_text(json.dumps(held))
    check(load_data(f"coco:{file.parent}", image_size=24), (6, 2))


def test_categories_and_pictures_without_objects_are_told(tmp_path, caplog):
    held = write_coco(tmp_path)
    held["categories"].insert(0, {"id": 9, "name": "emu"})
    held["annotations"] = held["annotations"][:14]
    (tmp_path / "all.json").write_text(json.dumps(held))
    assert load_data(f"coco:{tmp_path / 'all.json'}").class_names == ("cat", "dog")
    assert "all.json: 1 categories have no picture and are left out, such as 'emu'" in caplog.text
    assert "all.json: 1 of 8 pictures have no object and are left out" in caplog.text


def test_yolo_boxes_and_polygons(tmp_path):
    pytest.importorskip("yaml")
    write_yolo(tmp_path)
    check(load_data(f"yolo:{tmp_path}", image_size=24), (8, 8), "validation")
    yaml = tmp_path / "data.yaml"
    yaml.write_text(yaml.read_text().replace("images/val", "[images/val]"))
    check(load_data(f"yolo:{tmp_path}", image_size=24), (8, 8), "validation")


def test_voc_with_and_without_splits(tmp_path):
    write_voc(tmp_path)
    check(load_data(f"voc:{tmp_path}", image_size=24), (6, 2))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("0\n1\n2\n3\n")
    (lists / "val.txt").write_text("4\n5\n")
    check(load_data(f"voc:{tmp_path}", image_size=24), (4, 2), "validation")


def test_voc_beside_its_pictures(tmp_path):
    """LabelImg writes them so, and Roboflow in a folder for each split; cameras write .PNG."""
    for split in ("train", "valid"):
        write_voc(tmp_path / "all")
        for file in [*tmp_path.glob("all/JPEGImages/*"), *tmp_path.glob("all/Annotations/*")]:
            (tmp_path / split).mkdir(exist_ok=True)
            file.rename(tmp_path / split / file.name.replace(".png", ".PNG"))
        (tmp_path / "all" / "JPEGImages").rmdir()
        (tmp_path / "all" / "Annotations").rmdir()
    check(load_data(f"voc:{tmp_path}", image_size=24), (8, 8), "validation")
    check(load_data(f"voc:{tmp_path / 'valid'}", image_size=24), (6, 2))


def of_coco(**changes):
    """Changes of COCO's content, by path of keys with dots."""

    def change(root):
        held = write_coco(root)
        for path, value in changes.items():
            *keys, last = [int(own) if own.isdigit() else own for own in path.split("__")]
            place = held
            for key in keys:
                place = place[key]
            place[last] = value
        (root / "all.json").write_text(json.dumps(held))
        return f"coco:{root / 'all.json'}"

    return change


def of_csv(old, new, header="path,label"):
    def change(root):
        file = write_csv(root, header)
        file.write_text(file.read_text().replace(old, new))
        return f"csv:{file}"

    return change


def of_yolo(file, text):
    def change(root):
        pytest.importorskip("yaml")
        write_yolo(root)
        (root / file).write_text(text)
        return f"yolo:{root}"

    return change


def of_voc(old, new):
    def change(root):
        write_voc(root)
        file = root / "Annotations" / "3.xml"
        file.write_text(file.read_text().replace(old, new))
        return f"voc:{root}"

    return change


LINE = "0.5 0.5 0.2 0.2"
BAD = {
    "csv: no label": (of_csv("label", "kind"), "all.csv: classes need one of the columns label"),
    "csv: no path": (of_csv("path", "where"), "all.csv: paths of pictures need one of the"),
    "csv: missing": (of_csv("3.png", "9.png"), "all.csv, line 5: the picture .*9.png is not the"),
    "csv: empty": (of_csv("3.png,dog", "3.png,"), "all.csv, line 5, label '': it is empty"),
    "csv: fraction": (of_csv("3.png,dog", "3.png,0.5"), "line 5, label '0.5': a class is a name"),
    "csv: twice": (of_csv("3.png", "2.png"), "all.csv, line 5: .*all.csv, line 4 has .*2.png alr"),
    "csv: twice the column": (
        of_csv("path,label", "path,label,label"),
        "all.csv has the column 'label' twice: rename one",
    ),
    "csv: one class": (of_csv("dog", "cat"), "all.csv, line 2: .* of the class 'cat'; .*needs two"),
    "csv: no mask": (
        of_csv("0.png,cat", "0.png,cat,pictures/0.png", "path,label,mask"),
        "all.csv, line .: it has no mask, and other pictures have one",
    ),
    "csv: lost mask": (
        of_csv("0.png,cat", "0.png,cat,none.png", "path,label,mask"),
        "all.csv, line 2: the mask .*none.png is not there",
    ),
    "csv: only tested": (
        of_csv("3.png,dog", "3.png,emu,test", "path,label,split"),
        "all.csv, line 2, split '': train, validation, test or a name is needed",
    ),
    "coco: json": (
        lambda root: (root / "a.json").write_text("{") and f"coco:{root / 'a.json'}",
        "a.json is not JSON",
    ),
    "coco: polygon": (
        of_coco(annotations__3__segmentation=[[1, 2, 3, 4, 5]]),
        "all.json, annotation 3: a polygon needs three points or more.*received 5 numbers",
    ),
    "coco: far away": (
        of_coco(annotations__3__segmentation=[[0, 0, 9, 0, 9, 1e9]]),
        "all.json, annotation 3: a polygon needs three points or more, finite numbers",
    ),
    "coco: outside": (
        of_coco(annotations__3__segmentation=[polygon(90, 90, 5, 5)]),
        "all.json, annotation 3: a polygon lies outside its picture of 32x24 pixels",
    ),
    "coco: box": (
        of_coco(annotations__3__segmentation=[], annotations__3__bbox=[5, 5, 0, 3]),
        "all.json, annotation 3: the box 5, 5, 5, 8 .* is empty",
    ),
    "coco: size": (
        of_coco(images__3__width=33),
        "all.json, images 3: the picture .*3.png is 32x24, and the list says 33x24",
    ),
    "coco: picture": (
        of_coco(images__3__file_name="x.png"),
        "images 3: the picture .*x.png is not",
    ),
    "coco: two pictures": (
        of_coco(images__3__id=2),
        "all.json, images 3: the id 2 stands there tw",
    ),
    "coco: two objects": (of_coco(annotations__3__id=2), "annotation 3: annotation 2 has the id 2"),
    "coco: no category": (of_coco(annotations__3__category_id=7), "annotation 3: category_id 7 is"),
    "coco: no such picture": (of_coco(annotations__3__image_id=70), "annotation 3: an image_id of"),
    "coco: list for a category": (
        of_coco(annotations__3__category_id=[7]),
        r"annotation 3: category_id \[7\] is no id",
    ),
    "coco: list for a picture": (of_coco(annotations__3__image_id=[]), "annotation 3: an image_id"),
    "yolo: a number for a folder": (
        of_yolo("data.yaml", "names: [cat, dog]\ntrain: [3]"),
        "data.yaml, train: a folder is needed; received 3",
    ),
    "yolo: words for numbers": (
        of_yolo("data.yaml", "names: {0: cat, x: dog}\ntrain: images/train"),
        "data.yaml: names needs the numbers 0, 1, 2",
    ),
    "yolo: no text": (
        lambda root: (
            of_yolo("labels/train/3.txt", "")(root),
            (root / "labels/train/3.txt").write_bytes(b"\xff\xfe0"),
        )[0],
        "3.txt holds what is not UTF-8",
    ),
    "yolo: class": (
        of_yolo("labels/train/3.txt", f"7 {LINE}"),
        "3.txt, line 1: there is no class 7",
    ),
    "yolo: words": (of_yolo("labels/train/3.txt", "dog 1"), "3.txt, line 1: a class number and"),
    "yolo: pixels": (
        of_yolo("labels/train/3.txt", "1 90 9 9 9"),
        "3.txt, line 1: 4 numbers or more",
    ),
    "yolo: polygon": (
        of_yolo("labels/train/3.txt", f"1 {LINE} 0.4"),
        "3.txt, line 1: a polygon nee",
    ),
    "yolo: empty box": (
        of_yolo("labels/train/3.txt", "1 .5 .5 0 0"),
        "3.txt, line 1: the box 16, 12",
    ),
    "yolo: names": (
        of_yolo("data.yaml", "train: images/train"),
        "data.yaml has no names of classes",
    ),
    "yolo: folder": (
        of_yolo("data.yaml", "names: [cat]\ntrain: nowhere"),
        "data.yaml, train: there is no",
    ),
    "yolo: yaml": (of_yolo("data.yaml", "names: ["), "data.yaml is no YAML"),
    "voc: box": (of_voc("<xmin>9<", "<xmin>90<"), "3.xml: the box 89, 6, .* is empty"),
    "voc: number": (of_voc("<xmin>9<", "<xmin>x<"), "3.xml: a bndbox needs xmin"),
    "voc: name": (of_voc("<name>dog</name>", ""), "3.xml: an object needs a name"),
    "voc: size": (of_voc("<width>32<", "<width>64<"), "3.xml: the picture .*3.png is 32x24, and"),
    "voc: endless": (of_voc("<width>32<", "<width>inf<"), "3.xml: a size with width and height is"),
    "voc: picture": (
        lambda root: (of_voc("", "")(root), (root / "JPEGImages/3.png").unlink())[0],
        "3.xml: the picture .*3.png is not there",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_records_are_named_in_one_line(tmp_path, name):
    write, told = BAD[name]
    with pytest.raises((ValueError, FileNotFoundError), match=told) as error:
        load_data(write(tmp_path), image_size=24)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ({"size": [32, 24], "counts": "a"}, r"RLE\) of size \[32, 24\], height and width, and the"),
        ({"size": [24, 32], "counts": [5, 6]}, "of 11 pixels in all, and the picture has 768"),
        ({"size": [24, 32], "counts": [700, -6, 74]}, "whole numbers of 0 or above"),
        ({"size": [24, 32], "counts": "???"}, "of 45 pixels in all, and the picture has 768"),
        ({"size": [24, 32], "counts": "a b"}, "broken run lengths"),
        ({"size": [24, 32], "counts": None}, "broken run lengths"),
    ],
)
def test_broken_run_lengths(tmp_path, runs, told):
    pytest.importorskip("pycocotools")
    name = of_coco(annotations__3__segmentation=runs)(tmp_path)
    with pytest.raises(ValueError, match=f"all.json, annotation 3: .*{told}"):
        load_data(name)


def test_a_class_without_pictures_to_train_on_is_named(tmp_path):
    file = write_csv(tmp_path, "path,label,split", ",train")
    file.write_text(file.read_text().replace("3.png,dog,train", "3.png,emu,test"))
    with pytest.raises(ValueError, match="all.csv, line 5: the class 'emu' has no picture to trai"):
        load_data(f"csv:{file}")


def test_the_test_and_the_order_are_the_same_wherever_the_data_lies(tmp_path):
    orders = []
    for place in ("here", "elsewhere", "a/b/c"):
        table = write_csv(tmp_path / place)
        dataset = load_data(f"csv:{table}")
        sources = (dataset.train, *dataset.tests.values())
        orders.append([[own.name(row) for row in range(len(own))] for own in sources])
    assert orders[0] == orders[1] == orders[2]


def test_some_paths_may_be_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = write_csv(tmp_path)
    header, first, *others = table.read_text().splitlines()
    table.write_text("\n".join([header, f"{tmp_path}/{first}", *others]) + "\n")
    check(load_data("csv:all.csv", image_size=24), (6, 2), masks=False)
