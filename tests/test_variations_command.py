"""`bginv make-variations`: files of the release's layout, that go on where they stopped."""

import pathlib

import cv2
import numpy as np
import pytest

from bginv.data.catalog import load_data
from bginv.data.in9 import VARIATIONS, load_foregrounds, load_variation, present_variations
from bginv.data.variations import VariationFiles
from bginv.interop.model_files import save_model
from bginv.nn.paper_networks import build_mask_unet
from tests.challenge import tiny_classifier


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr("bginv.data.shapes.NUM_TRAIN", 12)
    monkeypatch.setattr("bginv.data.shapes.NUM_TEST", 18)


SHAPES = ("make-variations", "shapes", "made", "--format", "png")


def images(variation: str) -> np.ndarray:
    source = load_variation("made", variation, (64, 64))
    batch = next(iter(source.batches(len(source))))
    return np.round(batch["image"].numpy() * 255).astype(np.uint8)


@pytest.mark.slow
def test_variations_of_shapes_are_right_by_pixel(command):
    code, _, err = command(None, *SHAPES)
    assert code == 0, err
    assert present_variations("made") == list(VARIATIONS)
    held = load_foregrounds("made", (64, 64)).source
    test = load_data("shapes").tests["clean"]
    order = np.argsort(test.labels, kind="stable")  # files lie in the order of classes
    truth, originals = test.masks[order] > 0, test.images[order]
    np.testing.assert_array_equal(held.labels, test.labels[order])
    np.testing.assert_array_equal(held.masks > 0, truth)
    np.testing.assert_array_equal(held.images, originals)
    made = {name: images(name) for name in VARIATIONS}
    objects, inside = made["only_bg_t"], truth[..., 0]
    for name in ("mixed_same", "mixed_rand", "mixed_next"):
        np.testing.assert_array_equal(made[name][inside], originals[inside])
        same = [
            [np.array_equal(one[~mask], other[~mask]) for other in objects]
            for one, mask in zip(made[name], inside, strict=True)
        ]
        found = held.labels[np.argmax(same, 1)]
        assert np.all(np.any(same, 1))
        if name != "mixed_rand":
            np.testing.assert_array_equal(found, (held.labels + (name == "mixed_next")) % 6)
    assert not made["only_fg"][~inside].any() and not made["no_fg"][inside].any()
    for split in ("train", "val"):
        assert cv2.imread(f"made/{split}.png").std() > 20


@pytest.mark.slow
def test_it_goes_on_and_makes_the_same(command, monkeypatch):
    assert command(None, *SHAPES)[0] == 0
    files = {path: path.read_bytes() for path in pathlib.Path("made").rglob("*.*")}
    assert len(files) == 30 * 9 + 3
    write, count = VariationFiles._write_image, []

    def interrupted(self, *arguments):
        count.append(1)
        if len(count) == 70:
            raise KeyboardInterrupt
        write(self, *arguments)

    monkeypatch.setattr(VariationFiles, "_write_image", interrupted)
    again = ("make-variations", "shapes", "again", "--format", "png")
    assert command(None, *again)[0] == 130
    monkeypatch.setattr(VariationFiles, "_write_image", write)
    assert command(None, *again)[0] == 0
    for path, content in files.items():
        other = pathlib.Path("again") / path.relative_to("made")
        if path.name != "variations.json":
            assert other.read_bytes() == content, path
    code, _, err = command(None, *again, "--seed", "3")
    assert code == 2 and "variations made otherwise (make-variations.seed: 3, was 0)" in err
    assert command(None, *again, "--seed", "3", "--overwrite")[0] == 0
    same = [
        (pathlib.Path("again") / path.relative_to("made")).read_bytes() == content
        for path, content in files.items()
    ]
    assert not all(same)


def write_photographs(root: pathlib.Path) -> None:
    """Discs of two colours on noise, with one bare name in both classes."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:80, :100]
    lines = ["name,left,top,right,bottom"]
    for split, count in (("train", 4), ("val", 3)):
        for kind, colour in (("cat", (40, 40, 220)), ("dog", (220, 60, 40))):
            folder = root / split / kind
            folder.mkdir(parents=True)
            for number in range(count):
                image = rng.integers(100, 140, (80, 100, 3)).astype(np.uint8)
                row, column = rng.integers(30, 50), rng.integers(30, 70)
                image[(rows - row) ** 2 + (columns - column) ** 2 < 400] = colour
                name = f"{split}{kind}{number}.png"
                cv2.imwrite(str(folder / name), image)
                lines.append(f"{name},{column - 20},{row - 20},{column + 20},{row + 20}")
    (root / "boxes.csv").write_text("\n".join(lines))


def test_boxes_alone_are_enough(command):
    write_photographs(pathlib.Path("data"))
    call = (None, "make-variations", "folder:data", "made", "--image-size", "64")
    code, _, err = command(*call)
    assert code == 2 and "has no masks: give --masks boxes --boxes FILE" in err
    code, _, err = command(*call, "--masks", "boxes", "--boxes", "data/boxes.csv")
    assert code == 0, err
    held = load_foregrounds("made", (64, 64))
    assert held.names[0] == "00_cat/valcat0"
    pathlib.Path("data/boxes.csv").write_text(pathlib.Path("data/boxes.csv").read_text() + "\n")
    code, _, err = command(*call, "--masks", "boxes", "--boxes", "data/boxes.csv")
    assert code == 2 and "data/boxes.csv: another content" in err
    share = (held.source.masks > 0).mean((1, 2, 3))
    expected = np.pi * 20**2 / (80 * 100)
    np.testing.assert_allclose(share, expected, rtol=0.12)
    lines = pathlib.Path("data/boxes.csv").read_text().splitlines()
    pathlib.Path("data/boxes.csv").write_text("\n".join(lines[:-1]))
    other = (*call[:3], "other", *call[4:], "--masks", "boxes", "--boxes", "data/boxes.csv")
    code, _, err = command(*other)
    assert code == 2 and "has no box for val/dog/valdog2.png" in err
    twice = [*lines, "cat/valdog2.png,1,1,5,5", "val/dog/valdog2.png,1,1,9,9"]
    pathlib.Path("data/boxes.csv").write_text("\n".join(twice))
    code, _, err = command(*other)
    assert code == 2 and "has several boxes for val/dog/valdog2.png" in err
    pathlib.Path("data/boxes.csv").write_text("a.png,1,2,3\n")
    code, _, err = command(*other)
    assert code == 2 and "line 1: name,left,top,right,bottom in pixels are needed" in err


@pytest.mark.slow
def test_masks_of_a_generator_and_what_they_leave_out(command, caplog, golden_arrays):
    save_model(build_mask_unet((64, 64, 3), 1), pathlib.Path("u1.keras"))
    code, _, err = command(None, *SHAPES, "--masks", "model", "--model", "u1.keras")
    assert code == 0, err
    assert len(load_foregrounds("made", (64, 64)).names) >= 1
    tiny_classifier(golden_arrays("backgrounds_challenge"), "in9").save("in9.keras")
    code, _, err = command("evaluate-backgrounds", "made", "in9.keras")
    assert code == 2 and "tells 9 classes apart, but made has 6" in err
    code, _, err = command(None, *SHAPES[:2], "third", "--masks", "model")
    assert code == 2 and "--masks model needs --model" in err
    pathlib.Path("full").mkdir()
    pathlib.Path("full/a").write_text("")
    code, _, err = command(None, "make-variations", "shapes", "full")
    assert code == 2 and "full holds something else" in err
