import shutil

import cv2
import numpy as np
import pytest

from bginv.data.catalog import load_data
from bginv.data.insulators import load_insulators

MATERIALS = ("IPL", "IPN", "IPV", "ISB")
COMPONENTS = "prates/components"


@pytest.fixture
def write(tmp_path):
    def picture(name, colour):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((8, 8, 3), colour[::-1], np.uint8))
        return path

    return picture


@pytest.fixture
def root(tmp_path, write):
    """Two photographs of each material and type: red tells both, green the number."""
    for label, material in enumerate(MATERIALS):
        for kind in (1, 2, 3, 4):
            for number in range(2):
                colour = (10 * kind + label, 100 * number, 7)
                write(f"{COMPONENTS}/data_{material}_{kind}/{number}.png", colour)
    return tmp_path


def write_masks(write, brightness=255, kinds=(1, 2, 3, 4), ending="png"):
    for material in MATERIALS:
        for kind in kinds:
            for number in range(2):
                shade = brightness - 100 * number * (brightness > 1)
                write(f"{COMPONENTS}/mask_{material}_{kind}/{number}.{ending}", (shade,) * 3)


def load(root, **more):
    return load_insulators("prates", root, 8, **{"skip_bad_files": False, **more})


def read(source):
    batch = next(iter(source.batches(99)))
    return np.round(batch["image"][:, 4, 4].numpy() * 255).astype(int), batch


def test_types_make_the_splits_and_materials_the_classes(root):
    data = load_data("prates", str(root))
    assert (data.name, data.image_shape, data.class_names) == (
        *("prates", (224, 224, 3), MATERIALS),
    )
    assert list(data.tests) == ["type_3", "types_2_4"]
    assert data.backgrounds is None and not data.train.has_masks
    for split, kinds in (
        (data.train, (1,)),
        *zip(data.tests.values(), ((3,), (2, 4)), strict=True),
    ):
        colours, batch = read(split)
        np.testing.assert_array_equal(colours[:, 0] % 10, split.labels)
        assert sorted(map(tuple, colours[:, :2])) == sorted(
            (10 * kind + label, 100 * number)
            for kind in kinds
            for label in range(4)
            for number in range(2)
        )
        assert "mask" not in batch


def test_masks_belong_to_their_images(root, write):
    write_masks(write)
    data = load(root)
    for split in (data.train, *data.tests.values()):
        colours, batch = read(split)
        shades = np.round(batch["mask"][:, 4, 4, 0].numpy() * 255)
        np.testing.assert_array_equal(shades, 255 - colours[:, 1])


def test_a_split_has_masks_where_all_its_images_have(root, write):
    write_masks(write, kinds=(1, 3))
    data = load(root)
    assert data.train.has_masks and data.tests["type_3"].has_masks
    assert not data.tests["types_2_4"].has_masks
    (root / COMPONENTS / "mask_IPN_1" / "1.png").unlink()
    with pytest.raises(ValueError, match="data_IPN_1/1.png has no mask; put it at .*mask_IPN_1/1"):
        load(root)


def test_endings_may_differ_and_be_in_capitals(root, write):
    for file in (root / COMPONENTS).rglob("*.png"):
        file.rename(file.with_suffix(".PNG"))
    write_masks(write, ending="bmp")
    assert load(root).train.has_masks
    for file in (root / COMPONENTS).rglob("*.bmp"):
        file.rename(file.with_suffix(".BMP"))
    assert load(root).train.has_masks


def test_masks_may_be_ones(root, write):
    write_masks(write, brightness=1)
    np.testing.assert_array_equal(read(load(root).train)[1]["mask"], 1)


def test_photographs_of_places_come_with_the_set(root, write):
    write("prates/bg/a.png", (1, 2, 3))
    assert load(root).backgrounds == str(root / "prates" / "bg")


def test_other_files_are_passed_over(root):
    for name in ("Thumbs.db", "._0.png", "notes.txt"):
        (root / COMPONENTS / "data_IPL_1" / name).write_text("stray")
    assert len(load(root).train) == 8


def test_a_folder_without_photographs_is_refused(root):
    folder = root / COMPONENTS / "data_ISB_4"
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match=f"^{folder} holds no image; it has to hold photographs"):
        load(root)
    with pytest.raises(
        FileNotFoundError, match=f"^prates needs these in {root}: {COMPONENTS}/data_ISB_4; get"
    ):
        load_data("prates", str(root))


def test_bad_files_are_refused_or_left_out(root, write):
    write_masks(write)
    (root / COMPONENTS / "data_IPN_1" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="^1 of 64 .*data_IPN_1/0.png .it is not a whole jpeg"):
        load(root)
    train = load(root, skip_bad_files=True).train
    assert np.bincount(train.labels).tolist() == [2, 1, 2, 2]
    assert train.has_masks


def test_an_image_with_a_bad_mask_is_refused_or_left_out(root, write):
    write_masks(write)
    (root / COMPONENTS / "mask_IPN_1" / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="mask_IPN_1/0.png .it is empty"):
        load(root)
    colours, batch = read(load(root, skip_bad_files=True).train)
    assert np.bincount(batch["label"]).tolist() == [2, 1, 2, 2]
    shades = np.round(batch["mask"][:, 4, 4, 0].numpy() * 255)
    np.testing.assert_array_equal(shades, 255 - colours[:, 1])
