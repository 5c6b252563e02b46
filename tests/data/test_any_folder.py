"""Folders of any names, contents and layout: every batch is read, or one line tells why not."""

import io
import os
import pathlib
import struct
import tempfile
import unicodedata
import zlib
from collections.abc import Callable, Set

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bginv.data.catalog import load_data
from bginv.errors import UserError

AT_LENGTH = settings(settings.get_profile("ci"), max_examples=100)
FEWER = settings(max_examples=settings().max_examples // 4)
LONGEST = 255
"""Bytes of a file's name."""

PICTURE = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
NAMES = [
    *("a", "café", unicodedata.normalize("NFD", "café"), "with space", "it's", '"quoted"', "#1"),
    *("100%", "%s", "{0}", "$a_1$", "$(touch x)", "_", "__", "two\nlines", "\ttab", "قط"),
    *(
        "猫",
        "n" * (LONGEST - 5),
        "<script>",
        "..a",
        "-rf",
        "*",
        "a\\b",
        "nul\x01",
        "masks",
        "train",
    ),
]


def encoded(kind: str, picture: np.ndarray = PICTURE, mode: str | None = None, **options) -> bytes:
    stream = io.BytesIO()
    image = PIL.Image.fromarray(picture)
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return stream.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels, and has none."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    head = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + head


def turned(orientation: int) -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    return encoded("JPEG", exif=exif)


FRAMES = [PIL.Image.new("RGB", (7, 9), (shade, 0, 0)) for shade in (50, 99, 200)]
CONTENTS = {
    **{kind: encoded(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "JPEG2000")},
    "grey": encoded("PNG", PICTURE[..., 0]),
    "16 bits": encoded("PNG", PICTURE[..., 0].astype(np.uint16) * 257),
    "alpha": encoded("PNG", mode="RGBA"),
    "palette": encoded("PNG", mode="P"),
    "1 bit": encoded("PNG", mode="1"),
    "1 bit of BMP": encoded("BMP", mode="1"),
    "CMYK": encoded("JPEG", mode="CMYK"),
    "progressive": encoded("JPEG", progressive=True),
    "turned": turned(6),
    "turned by nonsense": turned(99),
    "animation": encoded("GIF", save_all=True, append_images=FRAMES),
    "animated PNG": encoded("PNG", save_all=True, append_images=FRAMES),
    "one pixel": encoded("PNG", PICTURE[:1, :1]),
    "one row": encoded("PNG", PICTURE[:1]),
    "bomb": png_of_size(60_000, 60_000),
    "largest bomb": png_of_size(2**31 - 1, 2**31 - 1),
    "no size": png_of_size(0, 0),
    "bomb of GIF": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b";",
    "empty": b"",
    "text": b"no picture\n",
}


def cut(contents: bytes, share: float) -> bytes:
    return contents[: int(len(contents) * share)]


def flipped(contents: bytes, share: float) -> bytes:
    place = int((len(contents) - 1) * share)
    return (
        contents[:place]
        + bytes(byte ^ 255 for byte in contents[place : place + 1])
        + (contents[place + 1 :])
    )


DAMAGES: dict[str, Callable[[bytes, float], bytes]] = {
    "cut": cut,
    "flipped": flipped,
    "blanked": lambda own, share: cut(own, share) + bytes(len(own) - len(cut(own, share))),
    "more": lambda own, share: own + own,
}


ODD = ("contents", "endings", "files", "layout", "links")
USUAL = ("PNG", "JPEG", "GIF", "BMP", "grey", "16 bits", "alpha", "palette", "CMYK", "turned")


@st.composite
def contents(draw, odd: Set[str]) -> bytes:
    """A file's bytes, a whole picture unless they are odd."""
    if "contents" not in odd:
        return CONTENTS[draw(st.sampled_from(USUAL))]
    whole = CONTENTS[draw(st.sampled_from(sorted(CONTENTS)))]
    damage = draw(st.sampled_from([None, *sorted(DAMAGES)]))
    return DAMAGES[damage](whole, draw(st.floats(0, 1))) if damage else whole


@st.composite
def put(draw, folder: pathlib.Path, stem: str, odd: Set[str]) -> None:
    """Put something that is called like an image into a folder."""
    endings = [".png", ".jpg", ".txt", ".webp", ""] if "endings" in odd else [".png", ".JPEG"]
    path = folder / (stem + draw(st.sampled_from(endings)))
    kinds = ["file", "file", "link", "lost link", "loop", "folder"] if "files" in odd else ["file"]
    kind = draw(st.sampled_from(kinds))
    if kind == "folder":
        path.mkdir()
    elif kind in ("lost link", "loop"):
        path.symlink_to("nowhere" if kind == "lost link" else path.name)
    else:
        path.write_bytes(draw(contents(odd)))
    if kind == "link" and not (folder / f"l{path.suffix}").exists():
        (folder / f"l{path.suffix}").symlink_to(path.name)


def names() -> st.SearchStrategy[str]:
    """Names that a file system takes, with room for an ending, and that are not hidden."""
    taken = st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",))
    texts = st.text(taken, min_size=1, max_size=8).filter(lambda own: own[0] != ".")
    return st.one_of(st.sampled_from(NAMES), texts)


@st.composite
def fill(draw, root: pathlib.Path) -> None:
    """Fill a folder with splits; two things at most are not as `load_data` takes them."""
    odd = draw(st.sets(st.sampled_from(ODD), max_size=2))
    classes = draw(st.lists(names(), min_size=2, max_size=3, unique=True))
    splits = draw(st.sampled_from([("train", "test"), ("train", "val", "rest")]))
    if "layout" in odd:
        more = ["__MACOSX", ".git", "masks", "validation", "Thumbs.db", "test\n"]
        splits = draw(st.sampled_from([("train",), *((*splits, name) for name in more)]))
    for split in splits:
        few = [classes[:1], [], classes, [*classes, "more"]] if "layout" in odd else [classes]
        for name in draw(st.sampled_from(few)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for stem in draw(st.lists(names(), min_size=1, max_size=3, unique=True)):
                draw(put(folder, stem, odd))
            if "layout" in odd and draw(st.booleans()):
                (folder / "deeper").mkdir(exist_ok=True)
        (root / split).mkdir(exist_ok=True)
        (root / split / ".DS_Store").write_bytes(b"")
    if "links" in odd:
        target = draw(st.sampled_from(["link", "nowhere", "..", classes[0]]))
        (root / splits[-1] / "link").symlink_to(target)


def check_folder(draw: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as path:
        root = pathlib.Path(path, draw.draw(st.sampled_from(["data"] * 4 + NAMES)))
        root.mkdir()
        draw.draw(fill(root))
        try:
            data = load_data(
                f"folder:{root}", image_size=8, skip_bad_files=draw.draw(st.booleans())
            )
        except UserError as error:
            assert str(error).isprintable() and os.path.basename(path) in str(error), str(error)
            return
        for source in (data.train, *data.tests.values()):
            read = [batch["image"].shape[0] for batch in source.batches(2)]
            assert sum(read) == len(source) > 0


@FEWER
@given(st.data())
def test_any_folder_is_read_or_named(draw):
    check_folder(draw)


@pytest.mark.slow
@AT_LENGTH
@given(st.data())
def test_any_folder_is_read_or_named_at_length(draw):
    check_folder(draw)
