"""Every kind of broken, odd or misplaced file that a folder of photographs may hold."""

import os
import unicodedata

import cv2
import numpy as np
import PIL.Image
import pytest

from bginv.data import folder as folder_module
from bginv.data.catalog import load_data
from bginv.data.images import scan
from tests.data.picture_files import (
    BMP,
    GIF,
    JPEG,
    NOISE,
    PALETTE,
    PNG,
    PROGRESSIVE,
    RAMP,
    animated_gif,
    by_pillow,
    chunk,
    cut,
    encoded,
    flipped,
    gif,
    orientation_tag,
    palette_bmp,
    png,
    with_exif,
    without_middle,
)

BAD = {
    "empty": ("a.jpg", b"", "it is empty"),
    "one byte": ("a.png", b"\x89", "it is not a whole jpeg, png, gif, bmp, webp, tiff, avif or h"),
    "text": ("a.jpg", b"no picture\nof anything", "it is not a whole jpeg"),
    "html": ("a.png", b"<!DOCTYPE html>", "it is not a whole jpeg"),
    "cut webp": ("a.webp", cut(encoded(".webp", NOISE)), "it is not a whole jpeg"),
    "cut tiff": ("a.tif", cut(encoded(".tiff", NOISE)), "it is "),
    "tiff of floats": ("a.tif", encoded(".tiff", np.float32(NOISE[..., 0])), "its pixels have 32"),
    "heic": ("a.jpg", b"\0\0\0\x18ftypheic" + bytes(40), "it is "),
    "jpeg 2000": ("a.jpg", by_pillow("JPEG2000"), "it is JPEG2000; jpeg"),
    "cut jpeg": ("a.jpg", cut(JPEG), "it is cut short or damaged"),
    "jpeg without its end": ("a.jpg", JPEG[:-2], "it is cut short or damaged"),
    "cut progressive jpeg": ("a.jpg", cut(PROGRESSIVE), "it is cut short or damaged"),
    "head of a jpeg": ("a.jpg", JPEG[:4], "it is not a whole jpeg"),
    "jpeg without its middle": (
        *("a.jpg", without_middle(JPEG)),
        "it is damaged: a part of its data is missing",
    ),
    "progressive jpeg without its middle": (
        *("a.jpg", without_middle(PROGRESSIVE)),
        "it is damaged: a part of its data is missing",
    ),
    "cut png": ("a.png", cut(PNG), "it is cut short or damaged"),
    "cut gif": ("a.gif", cut(GIF), "it is cut short or damaged"),
    "cut bmp": ("a.bmp", cut(BMP), "it is cut short or damaged"),
    "png with a flipped byte": ("a.png", flipped(PNG, len(PNG) // 2), "it is cut short or dam"),
    "jpeg with broken tables": ("a.jpg", JPEG[:30] + JPEG[300:], "it is not a whole jpeg"),
    "gif with broken pixels": ("a.gif", GIF[:900] + b"\xff" * 99 + GIF[999:], "it is cut short or"),
    "bmp of 1 bit": (
        *("a.bmp", by_pillow("BMP", PIL.Image.new("1", (8, 8)))),
        "it is damaged, or an unusual kind of BMP",
    ),
    "transparent gif": ("a.gif", gif(transparent=0), "it is a gif with transparent pixels; save"),
    "bmp with a palette": ("a.bmp", palette_bmp(), "it is a bmp with a palette of colours; save"),
}
ODD = {
    "grey png": ("a.png", encoded(".png", RAMP[..., 0]), RAMP[..., :1].repeat(3, -1), 0),
    "grey jpeg": ("a.jpg", encoded(".jpg", RAMP[..., 0]), RAMP[..., :1].repeat(3, -1), 4),
    "grey bmp": ("a.bmp", encoded(".bmp", RAMP[..., 0]), RAMP[..., :1].repeat(3, -1), 0),
    "RGBA png": ("a.png", encoded(".png", np.dstack([RAMP, RAMP[..., 0]])), RAMP, 0),
    "BMP of 4 channels": ("a.bmp", encoded(".bmp", np.dstack([RAMP, RAMP[..., 0]])), RAMP, 0),
    "16-bit grey": ("a.png", encoded(".png", RAMP[..., 0] * np.uint16(257)), RAMP[..., :1], 0),
    "16-bit colour": ("a.png", encoded(".png", RAMP * np.uint16(256) + np.uint16(99)), RAMP, 0),
    "grey and alpha": ("a.png", png(2, 8, 4, bytes([10, 0, 99, 255])), [[[10] * 3, [99] * 3]], 0),
    "palette": ("a.png", png(2, 8, 3, bytes([1, 0]), PALETTE), [[[40, 50, 60], [1, 2, 3]]], 0),
    "palette with transparency": (
        *("a.png", png(1, 8, 3, b"\1", PALETTE, chunk(b"tRNS", b"\0\0"))),
        *([[[40, 50, 60]]], 0),
    ),
    "palette of 1 bit": ("a.png", png(2, 1, 3, b"\x40", PALETTE), [[[1, 2, 3], [40, 50, 60]]], 0),
    "1 bit": ("a.png", png(2, 1, 0, b"\x40"), [[[0] * 3, [255] * 3]], 0),
    "png turned by eXIf": (
        *("a.png", png(2, 8, 0, b"\1\2", chunk(b"eXIf", orientation_tag(6)))),
        *([[[1] * 3], [[2] * 3]], 0),
    ),
    "animation": ("a.gif", animated_gif(), [[[250, 10, 20]]], 0),
    "gif with a transparent colour that it does not show": (
        *("a.gif", gif(transparent=1), [[[200, 100, 50]] * 2], 0),
    ),
    "webp": ("a.webp", by_pillow("WEBP", RAMP, lossless=True), RAMP, 0),
    "avif": ("a.avif", by_pillow("AVIF", RAMP, quality=100), RAMP, 6),
    "tiff": ("a.tif", by_pillow("TIFF", RAMP), RAMP, 0),
    "webp named png": ("a.png", by_pillow("WEBP", RAMP, lossless=True), RAMP, 0),
    "16-bit grey tiff": (
        *("a.tiff", encoded(".tiff", RAMP[..., 0] * np.uint16(257))),
        *(RAMP[..., :1].repeat(3, -1), 0),
    ),
    "16-bit colour tiff": (
        *("a.tiff", encoded(".tiff", RAMP * np.uint16(256) + np.uint16(99)), RAMP, 0),
    ),
    "turned tiff": (
        *("a.tif", by_pillow("TIFF", RAMP, tiffinfo={274: 6})),
        *(np.rot90(RAMP, -1), 0),
    ),
    "turned webp": (
        "a.webp",
        by_pillow("WEBP", RAMP, lossless=True, exif=orientation_tag(6)),
        *(np.rot90(RAMP, -1), 0),
    ),
    "progressive": ("a.jpg", encoded(".jpg", RAMP, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), RAMP, 6),
    "upper-case ending": ("A.JPEG", encoded(".jpg"), RAMP, 6),
    "png named jpg": ("a.jpg", encoded(".png"), RAMP, 0),
    "jpeg named gif": ("a.gif", encoded(".jpg"), RAMP, 6),
    "bytes after the end": ("a.jpg", encoded(".jpg") + bytes(99), RAMP, 6),
    "corrupt EXIF": ("a.jpg", with_exif(encoded(".jpg"), b"II*\0\xff\xff\xff\xff"), RAMP, 6),
    "one pixel": ("a.png", encoded(".png", RAMP[:1, :1]), RAMP[:1, :1], 0),
    "very wide": ("a.png", encoded(".png", RAMP[:1].repeat(99, 1)), RAMP[:1].repeat(99, 1), 0),
}
NAMES = [
    *("with space.png", "é ü 猫.png", "new\nline.png", "[a].png", "*.png", "?.png", "-x.png"),
    *("a.b.c.png", "100%.png", "'quoted\".png", "#1;2.PNG", "back\\slash.png", "${HOME}.png"),
]


@pytest.fixture
def data(tmp_path):
    """A good folder: classes a and b, splits train and test."""
    for split in ("train", "test"):
        for name in "ab":
            (tmp_path / "data" / split / name).mkdir(parents=True)
            (tmp_path / "data" / split / name / "good.png").write_bytes(encoded(".png"))
    return tmp_path / "data"


@pytest.fixture
def refuse(data):
    """Load the folder; gives the error's message, which must be one line."""

    def load(**arguments) -> str:
        with pytest.raises((ValueError, FileNotFoundError)) as info:
            load_data(f"folder:{data}", image_size=8, **arguments)
        message = str(info.value)
        assert message.isprintable() and "function_node" not in message
        return message

    return load


@pytest.mark.parametrize(("name", "contents", "reason"), BAD.values(), ids=BAD)
def test_a_bad_file_is_named_with_its_reason(data, refuse, name, contents, reason):
    bad = data / "train" / "a" / name
    bad.write_bytes(contents)
    expected = f"1 of 5 image files cannot be read, the first: {bad} ({reason}"
    assert refuse().startswith(expected)
    assert refuse().endswith("; repair or remove them, or give --skip-bad-files")
    assert len(load_data(f"folder:{data}", image_size=8, skip_bad_files=True).train) == 2


@pytest.mark.parametrize(("name", "contents", "expected", "atol"), ODD.values(), ids=ODD)
def test_an_odd_file_is_read(tmp_path, name, contents, expected, atol):
    (tmp_path / name).write_bytes(contents)
    files = scan([str(tmp_path / name)])
    assert files.reasons == {}
    pixels = files.read(0).numpy()
    assert pixels.shape == (*np.shape(expected)[:2], 3) == (*files.sizes[0], 3)
    np.testing.assert_allclose(pixels.astype(int), np.broadcast_to(expected, pixels.shape), 0, atol)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_a_reader_of_exif_turns_it(tmp_path, orientation):
    contents = with_exif(encoded(".jpg"), orientation_tag(orientation))
    (tmp_path / "a.jpg").write_bytes(contents)
    pixels = scan([str(tmp_path / "a.jpg")]).read(0).numpy()
    expected = cv2.imdecode(np.frombuffer(contents, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert pixels.shape == expected.shape
    np.testing.assert_allclose(pixels.astype(int), expected, atol=6)


def test_cmyk_is_read(tmp_path):
    picture = PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    (tmp_path / "a.jpg").write_bytes(by_pillow("JPEG", picture, quality=95))
    pixels = scan([str(tmp_path / "a.jpg")]).read(0).numpy()
    np.testing.assert_allclose(pixels.mean((0, 1)), [255, 0, 0], atol=6)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_read(data, name):
    (data / "train" / "a" / name).write_bytes(encoded(".png"))
    loaded = load_data(f"folder:{data}", image_size=8)
    assert len(next(iter(loaded.train.batches(4)))["label"]) == 3


def test_a_bad_file_of_any_name_is_one_line(data, refuse):
    (data / "train" / "a" / "new\nline.png").write_bytes(b"")
    assert r"/new\nline.png' (it is empty)" in refuse()


def test_a_name_that_is_not_text_is_named(data, refuse):
    path = os.path.join(os.fsencode(data), b"train/a/\xff.png")
    try:
        with open(path, "wb") as stream:
            stream.write(PNG)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert r"\udcff.png' (its name is not UTF-8)" in refuse()


def test_a_link_to_nowhere(data, refuse):
    (data / "train" / "a" / "link.jpg").symlink_to("nowhere")
    assert "link.jpg (it has vanished, or is a link that leads nowhere)" in refuse()


def test_a_folder_named_like_an_image(data, refuse):
    (data / "train" / "a" / "x.jpg").mkdir()
    assert "x.jpg (it is a folder, or no ordinary file)" in refuse()


def test_a_pipe_named_like_an_image(data, refuse):
    os.mkfifo(data / "train" / "a" / "x.jpg")
    assert "x.jpg (it is a folder, or no ordinary file)" in refuse()


def test_a_file_without_permission(data, refuse, monkeypatch):
    def deny(path, *arguments):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("bginv.data.images.open", deny, raising=False)
    assert "good.png (permission denied)" in refuse()


@pytest.mark.parametrize("place", ["", "train", "train/a", "test"])
def test_a_folder_without_permission(data, refuse, monkeypatch, place):
    scandir = os.scandir

    def deny(path):
        if os.path.join(data, place).rstrip("/") == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(folder_module.os, "scandir", deny)
    assert refuse() == f"{(data / place)} cannot be read: permission denied"


def test_every_file_of_a_class_is_bad(data, refuse):
    (data / "test" / "b" / "good.png").write_bytes(b"")
    message = refuse(skip_bad_files=True)
    assert message.startswith(f"every image of {data}/test/b, or its mask, is one that cannot be")


def remove(path):
    for entry in sorted(path.rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() else entry.unlink()
    path.rmdir()


LAYOUTS = {
    "no path": (lambda data: remove(data), "does not exist; the layout is PATH/train/CLASS"),
    "a file": (
        lambda data: (remove(data), data.write_text("x")),
        "is not a folder; the layout is PATH/train/CLASS",
    ),
    "nothing": (
        lambda data: (remove(data), data.mkdir()),
        "holds no folder train, and no other; the layout is",
    ),
    "no train": (lambda data: remove(data / "train"), "holds no folder train, but test; the"),
    "no test": (lambda data: remove(data / "test"), "holds no test beside train; the layout is"),
    "one class": (
        lambda data: (remove(data / "train" / "b"), remove(data / "test" / "b")),
        "/train holds one class only, a; a classifier needs two",
    ),
    "no class": (
        lambda data: (remove(data / "train"), (data / "train").mkdir()),
        "/train holds no class folder; the layout is",
    ),
    "no class folders, but images": (
        lambda data: (
            remove(data / "train"),
            (data / "train").mkdir(),
            (data / "train" / "1.png").write_bytes(PNG),
        ),
        "/train; put those of each class into a folder ",
    ),
    "an empty class": (
        lambda data: (data / "train" / "c").mkdir(),
        "/train/c holds no image (it is empty); fill or remove it; files that end in .avif, .bmp",
    ),
    "a class of other files": (
        lambda data: ((data / "train" / "c").mkdir(), (data / "train/c/1.svg").write_text("")),
        "/train/c holds no image (it holds 1 .svg); fill or remove it",
    ),
    "an unknown class": (
        lambda data: (data / "test" / "c").mkdir(),
        "/test/c is a class that train does not have; it has a, b",
    ),
    "a test without classes": (
        lambda data: (data / "other").mkdir(),
        "/other holds no class folder; fill or remove it",
    ),
}


@pytest.mark.parametrize(("change", "expected"), LAYOUTS.values(), ids=LAYOUTS)
def test_another_layout_is_refused(data, refuse, change, expected):
    change(data)
    message = refuse()
    assert str(data) in message and expected in message


@pytest.fixture
def masked(data):
    """The good folder with a mask for each training image."""
    for name in "ab":
        (data / "train" / "masks" / name).mkdir(parents=True)
        (data / "train" / "masks" / name / "good.png").write_bytes(encoded(".png", RAMP[..., 0]))
    return data


def test_a_missing_mask(masked, refuse):
    (masked / "train" / "masks" / "b" / "good.png").rename(masked / "train/masks/b/other.png")
    assert refuse() == (
        f"{masked}/train/b/good.png has no mask; put it at {masked}/train/masks/b/good.png, or "
        f"remove {masked}/train/masks"
    )


def test_a_missing_class_of_masks(masked, refuse):
    remove(masked / "train" / "masks" / "b")
    assert "/train/b/good.png has no mask; put it at " in refuse()


def test_two_masks_of_one_image(masked, refuse):
    (masked / "train" / "masks" / "a" / "good.gif").write_bytes(GIF)
    assert "masks/a/good.gif and " in refuse() and "good.png are masks of one image" in refuse()


@pytest.mark.parametrize(
    ("height", "width", "fits"),
    [(24, 32, 1), (12, 16, 1), (11, 15, 1), (48, 64, 1), (32, 24, 0), (24, 36, 0), (24, 24, 0)],
)
def test_a_mask_needs_the_shape_of_its_image(masked, refuse, height, width, fits):
    mask = masked / "train" / "masks" / "a" / "good.png"
    mask.write_bytes(encoded(".png", np.zeros((height, width), np.uint8)))
    if fits:
        assert len(load_data(f"folder:{masked}", image_size=8).train) == 2
    else:
        assert refuse() == (
            f"{mask} is {width} x {height}, but its image {masked}/train/a/good.png is 32 x 24; "
            "a mask needs its image's shape"
        )


def test_a_mask_may_have_its_name_in_the_other_form_of_unicode(masked):
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    for name, folder in ((composed, "train"), (apart, "train/masks")):
        (masked / folder / "b").rename(masked / folder / name)
        (masked / folder / name / "good.png").rename(masked / folder / name / f"{name}.png")
    (masked / "test" / "b").rename(masked / "test" / apart)
    loaded = load_data(f"folder:{masked}", image_size=8)
    assert loaded.train.has_masks and loaded.class_names == ("a", composed)
