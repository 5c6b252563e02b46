"""`bginv masks`: files that a folder takes as its masks, a table, words and a sheet."""

import pathlib
import shutil

import cv2
import keras
import numpy as np
import pytest

from bginv.data.folder import load_class_folders, load_folder
from bginv.masks.choice import SOURCES, made_by

COLOURS = {"cat": (220, 60, 40), "dog": (40, 60, 220)}


@pytest.fixture
def photographs(tmp_path, monkeypatch) -> pathlib.Path:
    """Ellipses of a class's colour on mottled ground, 12 to train on and 8 to test with."""
    monkeypatch.setenv("BGINV_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[:48, :64]
    lines = ["name,left,top,right,bottom"]
    for split, count in (("train", 6), ("clean", 4)):
        for kind, colour in COLOURS.items():
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            for number in range(count):
                y, x = rng.integers(18, 30), rng.integers(20, 44)
                b, a = rng.integers(7, 15), rng.integers(8, 18)
                ground = cv2.GaussianBlur(rng.normal(0, 150, (48, 64, 3)), (0, 0), 3)
                image = np.clip(ground + (90, 130, 90), 0, 255).astype(np.uint8)
                image[np.hypot((rows - y) / b, (columns - x) / a) < 1] = colour[::-1]
                cv2.imwrite(str(folder / f"{split}{number}.png"), image)
                lines.append(f"{kind}/{split}{number}.png,{x - a},{y - b},{x + a},{y + b}")
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    return tmp_path / "data"


def test_masks_of_class_folders_alone_go_beside_them(command, photographs):
    call = (None, "masks", "folder:data/train", "--source", "boxes:boxes.csv")
    code, out, err = command(*call, "--output", "data/train")
    assert code == 0, err
    assert "train: usable. The masks can be used." in out
    written = {f"{own.parent.name}/{own.name}" for own in pathlib.Path("data").rglob("*/masks/*/*")}
    assert written == {f"{kind}/train{number}.png" for kind in COLOURS for number in range(6)}
    source, _ = load_class_folders("data/train", 48)
    assert source.has_masks


@pytest.mark.slow
def test_masks_become_the_given_ones(command, photographs):
    call = (None, "masks", "folder:data", "--source", "boxes:boxes.csv", "--output", "data")
    code, out, err = command(*call, "--second", "boxes:boxes.csv")
    assert code == 0, err
    assert "train, 12 pictures" in out and "clean, 8 pictures" in out and "agreement" in out
    assert "train: usable. The masks can be used." in out
    held = load_folder("data", 48, skip_bad_files=False)
    for split in (held.train, *held.tests.values()):
        batch = next(iter(split.batches(len(split))))
        colours = np.array(list(COLOURS.values()))[batch["label"].numpy()][:, None, None]
        near = np.abs(batch["image"].numpy() * 255 - colours).max(-1) < 60
        assert np.mean((batch["mask"].numpy()[..., 0] >= 0.5) == near) > 0.9
    sizes = {cv2.imread(str(path), 0).shape for path in photographs.glob("*/masks/*/*.png")}
    assert sizes == {(48, 64)} and cv2.imread("data/masks.png").std() > 20
    before = {path: path.stat().st_mtime_ns for path in photographs.glob("*/masks/*/*.png")}
    code, out, _ = command(*call)
    assert code == 0 and "agreement" not in out  # the same command goes on
    assert before == {path: path.stat().st_mtime_ns for path in before}
    code, out, _ = command(None, "masks", "folder:data", "--source", "given", "--output", "own")
    assert code == 0 and [path.name for path in pathlib.Path("own").iterdir()] == ["masks.png"]
    code, _, err = command(*call[:4], "heuristic", *call[5:])
    assert code == 2 and "holds masks already" in err and "--overwrite" in err
    shutil.rmtree("data/clean/masks")
    code, out, _ = command(*call[:4], "heuristic", *call[5:], "--overwrite", "--splits", "train")
    assert code == 0 and "train: NOT usable. The masks show everything" in out
    assert not (photographs / "clean" / "masks").exists()


@pytest.mark.slow
def test_failures_are_named_and_counted(command, photographs):
    lines = pathlib.Path("boxes.csv").read_text().splitlines()
    lines[1] = "cat/train0.png,300,300,310,310"
    pathlib.Path("boxes.csv").write_text("\n".join([*lines[:2], *lines[3:]]))
    call = (None, "masks", "folder:data", "--source", "boxes:boxes.csv", "--output", "made")
    code, out, err = command(*call)
    assert code == 0, err
    assert "no mask: train/cat/train0.png: boxes.csv, line 2: the box 300, 300" in out
    assert "no mask: train/cat/train1.png: boxes.csv has no box for it" in out
    assert "16.7% of the pictures have no mask." in out
    assert cv2.imread("made/train/masks/cat/train0.png", 0).min() == 255


@pytest.mark.slow
def test_a_classifier_is_asked_for_the_parts(command, photographs):
    inputs = keras.Input((None, None, 3))
    red, blue = inputs[..., 0:1] - inputs[..., 2:3], inputs[..., 2:3] - inputs[..., 0:1]
    both = keras.layers.Concatenate()([red, blue])
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU(threshold=0.5)(both))
    keras.Model(inputs, pooled).save("c.keras")
    call = (None, "masks", "folder:data", "--source", "boxes:boxes.csv", "--output", "made")
    code, out, err = command(*call, "--model", "c.keras")
    assert code == 0, err
    header, _, train, *_ = ([cell.strip() for cell in line.split("|")] for line in out.splitlines())
    row = dict(zip(header, train, strict=True))
    assert float(row["clean"]) == float(row["foreground alone"]) == 100
    assert float(row["background alone"]) < 80


@pytest.mark.parametrize(
    "options, why",
    [
        (("digits",), "are found for folder:PATH, waterbirds:PATH, csv:PATH"),
        (("folder:data", "--splits", "other"), "--splits other: folder:data has train, clean"),
        (("folder:data", "--source", "cam"), "name it with --model"),
        (("folder:data", "--source", "learned"), "name it with --model"),
        (("folder:data", "--source", "given"), "brings no masks"),
        (("folder:data", "--source", "boxes:none.csv"), "there is no none.csv"),
        (("folder:data", "--source", "heuristic", "--output", "boxes.csv"), "is a file"),
    ],
)
def test_bad_arguments_are_one_line(command, photographs, options, why):
    code, _, err = command(None, "masks", *options)
    assert code == 2 and why in err and "Traceback" not in err


BRIGHT = """
import numpy as np

from bginv.masks.source import Mask, MaskSource


class BrightMasks(MaskSource):
    name, fingerprint = "bright", "brightest channel"

    def masks(self, pictures):
        return [Mask(np.float32(picture.pixels.max(-1) > 200)) for picture in pictures]
"""


def test_a_source_is_a_few_lines_and_one_in_the_table(command, photographs, tmp_path, monkeypatch):
    line = made_by("bright_masks:BrightMasks")
    assert BRIGHT.strip().count("\n") + 2 <= 20
    (tmp_path / "bright_masks.py").write_text(BRIGHT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SOURCES, "bright", line)
    code, out, err = command(None, "masks", "folder:data", "--source", "bright", "--output", "own")
    assert code == 0, err
    assert "train, 12 pictures" in out
    image = cv2.imread("data/train/cat/train0.png").max(-1)
    mask = cv2.imread("own/train/masks/cat/train0.png", 0)
    np.testing.assert_array_equal(mask > 127, image > 200)


def test_two_pictures_that_would_share_a_mask_are_refused(command, photographs, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # the app asks for Gradio
    twin = photographs / "train" / "cat" / "train0.jpg"
    cv2.imwrite(str(twin), cv2.imread(str(twin.with_suffix(".png")))[:, ::-1])
    for name in ("masks", "app"):
        code, _, err = command(None, name, "folder:data", "--source", "heuristic")
        assert code == 2 and "would share the mask cat/train0.png: rename one" in err, err
        assert not pathlib.Path("masks").exists()
