import unicodedata

import cv2
import numpy as np
import pytest

from bginv.data.folder import load_folder


@pytest.fixture
def write(tmp_path):
    """Write a picture of one colour (red, green, blue) at a path below the folder."""

    def picture(name, colour=(10, 100, 200), height=12, width=12):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((height, width, 3), colour[::-1], np.uint8))
        return path

    return picture


@pytest.fixture
def animals(tmp_path, write):
    """Two classes of eight images each, and two tests."""
    for label, name in enumerate(("cat", "dog")):
        for i in range(8):
            write(f"train/{name}/{i}.png", (100 * label, i, 7))
        write(f"outside/{name}/a.png", (100 * label, 50, 7))
    write("clean/dog/a.png", (100, 99, 7))
    return tmp_path


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_folder_is_a_dataset(animals):
    data = load_folder(str(animals), 8, False)
    assert (data.name, data.class_names) == (f"folder:{animals}", ("cat", "dog"))
    assert (data.image_shape, data.num_classes) == ((8, 8, 3), 2)
    assert list(data.tests) == ["clean", "outside"]
    assert [len(split) for split in (data.train, *data.tests.values())] == [16, 1, 2]
    batch = next(iter(data.train.batches(16)))
    assert batch.keys() == {"image", "label", "index"}
    pixels = np.round(batch["image"].numpy() * 255)
    np.testing.assert_array_equal(pixels[:, 3, 3, 0], batch["label"] * 100)
    assert sorted(zip(*pixels[:, 0, 0, :2].T, strict=True)) == [
        (100 * label, i) for label in range(2) for i in range(8)
    ]
    assert data.tests["clean"].labels.tolist() == [1]


def test_tests_come_in_the_order_of_the_tables(animals, write):
    write("test/cat/a.png")
    write("a/dog/a.png")
    assert list(load_folder(str(animals), 8, False).tests) == ["test", "clean", "a", "outside"]


def test_the_order_is_mixed_and_fixed(animals, write):
    labels = load_folder(str(animals), 8, False).train.labels
    assert 1 <= labels[:6].sum() <= 5
    before = load_folder(str(animals), 8, False).train
    np.testing.assert_array_equal(before.labels, labels)
    write("train/dog/new.png")
    after = load_folder(str(animals), 8, False).train
    names = [file.decode() for file in after.images.files.numpy()]
    assert len(names) == 17
    kept = [name for name in names if "new" not in name]
    assert kept == [file.decode() for file in before.images.files.numpy()]


def test_masks_belong_to_their_images(animals, write):
    for label, name in enumerate(("cat", "dog")):
        for i in range(8):
            shade = 20 * i + 100 * label
            write(f"train/masks/{name}/{i}.{'png' if i % 2 else 'bmp'}", (shade,) * 3, 6, 6)
    data = load_folder(str(animals), 12, False)
    assert data.class_names == ("cat", "dog")
    assert "mask" not in next(iter(data.tests["clean"].batches(1)))
    batch = next(iter(data.train.batches(16)))
    assert batch["mask"].shape == (16, 12, 12, 1)
    colours = np.round(batch["image"][:, 0, 0].numpy() * 255)
    shades = np.round(batch["mask"][:, 0, 0, 0].numpy() * 255)
    np.testing.assert_array_equal(shades, 20 * colours[:, 1] + colours[:, 0])


def test_other_files_are_counted_in_one_warning(animals, write, caplog):
    for name in ("a.txt", "b.TXT", "c.svg", "README", ".DS_Store", "._1.png"):
        (animals / "train" / "cat" / name).write_text("x")
    (animals / "train" / "dog" / "deeper").mkdir()
    (animals / "notes.txt").write_text("x")
    write("train/loose.png")
    assert len(load_folder(str(animals), 8, False).train) == 16
    assert warnings(caplog) == [
        f"{animals}: ignored 1 .svg, 2 .txt, 1 folders in class folders, "
        "1 images outside the class folders, 1 no ending, such as "
        f"{animals}/train/cat/c.svg, {animals}/train/cat/a.txt, {animals}/train/dog/deeper"
    ]


def test_masks_without_an_image_are_counted(animals, write, caplog):
    write("clean/masks/dog/a.png")
    write("clean/masks/dog/other.png")
    load_folder(str(animals), 8, False)
    assert warnings(caplog) == [
        f"{animals}: ignored 1 masks without an image, such as {animals}/clean/masks/dog/other.png"
    ]


def test_linked_class_folders_count(animals, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "dog"
    (animals / "train" / "dog").rename(elsewhere)
    (animals / "train" / "dog").symlink_to(elsewhere)
    assert np.bincount(load_folder(str(animals), 8, False).train.labels).tolist() == [8, 8]


def test_the_home_folder_may_be_a_tilde(animals, monkeypatch):
    monkeypatch.setenv("HOME", str(animals.parent))
    assert len(load_folder(f"~/{animals.name}", 8, False).train) == 16


def test_bad_files_can_be_left_out(animals, write, caplog):
    (animals / "train" / "cat" / "3.png").write_bytes(b"no picture")
    (animals / "outside" / "dog" / "b.jpg").write_bytes(b"")
    data = load_folder(str(animals), 8, True)
    assert (len(data.train), len(data.tests["outside"])) == (15, 2)
    greens = np.round(next(iter(data.train.batches(15)))["image"][:, 0, 0, 1].numpy() * 255)
    assert np.bincount(greens.astype(int)).tolist() == [2, 2, 2, 1, 2, 2, 2, 2]
    assert warnings(caplog) == [
        "2 of 20 image files cannot be read and are left out: "
        f"{animals}/train/cat/3.png (it is not a whole jpeg, png, gif, bmp, webp, tiff, avif or "
        "heic), "
        f"{animals}/outside/dog/b.jpg (it is empty)"
    ]


def test_an_image_with_a_bad_mask_is_left_out(animals, write):
    for name in "abc":
        write(f"clean/dog/{name}.png", (ord(name), 0, 0))
        write(f"clean/masks/dog/{name}.png", (ord(name), 0, 0))
    (animals / "clean" / "masks" / "dog" / "b.png").write_bytes(b"")
    with pytest.raises(ValueError, match="^1 of 24 .*masks/dog/b.png .it is empty"):
        load_folder(str(animals), 8, False)
    batch = next(iter(load_folder(str(animals), 8, True).tests["clean"].batches(4)))
    assert len(batch["label"]) == 2
    np.testing.assert_array_equal(batch["image"][..., 0], batch["mask"][..., 0])


@pytest.mark.parametrize(("value", "warned"), [(255, False), (1, False), (3, True), (128, True)])
def test_masks_without_white_are_told(animals, write, caplog, value, warned):
    for i in range(8):
        for name in ("cat", "dog"):
            write(f"train/masks/{name}/{i}.png", 3 * (value,))
    load_folder(str(animals), 8, False)
    told = any(f"is {value} of 255, and white is foreground" in text for text in warnings(caplog))
    assert told is warned


def test_what_macos_leaves_is_no_test_and_no_image(animals, write):
    write("__MACOSX/train/dog/._0.png")
    write("train/__MACOSX/._0.png")
    data = load_folder(str(animals), 8, False)
    assert list(data.tests) == ["clean", "outside"] and data.class_names == ("cat", "dog")


def test_names_in_two_forms_of_unicode_are_one_class(animals, write):
    composed, split = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    write(f"train/{composed}/a.png", (1, 2, 3))
    write(f"clean/{split}/a.png", (1, 2, 3))
    data = load_folder(str(animals), 8, False)
    assert set(data.class_names) == {composed, "cat", "dog"}
    assert data.class_names.index(composed) in data.tests["clean"].labels
    write(f"train/{split}/b.png")
    with pytest.raises(ValueError, match="is there twice, in two forms of Unicode"):
        load_folder(str(animals), 8, False)


def test_a_class_behind_a_dangling_link_is_told(animals):
    (animals / "train" / "horse").symlink_to(animals / "nowhere")
    with pytest.raises(ValueError, match="train/horse is a link that leads nowhere"):
        load_folder(str(animals), 8, False)
