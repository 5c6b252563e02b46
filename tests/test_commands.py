"""Every command line of the paper's code, on the first digits."""

import pathlib
import re

import cv2
import keras
import numpy as np
import pytest

from bginv.interop.model_files import save_model
from bginv.models.classifier import build_classifier
from bginv.models.mask_unet import build_mask_unet

SHAPE = (32, 32, 1)
SMALL = ("--limit", "20", "--epochs", "1")
NUMBER = r"[01]\.\d+"


@pytest.fixture
def models(tmp_path) -> tuple[str, str]:
    """A classifier and a mask generator, one of either file format."""
    save_model(build_classifier(SHAPE, 10, 1), tmp_path / "m1.keras")
    save_model(build_mask_unet(SHAPE, 1), tmp_path / "u1.h5")
    return "m1.keras", "u1.h5"


def last_line(out: str) -> str:
    return out.splitlines()[-1]


def test_the_three_phases_in_sequence(command):
    code, out, _ = command("train1", "digits", *SMALL, "--output", "m1.h5")
    assert code == 0
    assert re.fullmatch(
        f"train1.py-digits---limit-20---epochs-1---output-m1.h5,{NUMBER},{NUMBER}", last_line(out)
    )
    code, out, _ = command("train2", "digits", "m1.h5", "otsu", *SMALL, "--output", "u1.h5")
    assert code == 0
    assert re.fullmatch(f"train2.py-digits-m1.h5-otsu-.*,{NUMBER},{NUMBER}", last_line(out))
    code, out, _ = command(
        "train3", "digits_backgrounds", "m1.h5", "u1.h5", "otsu", "adv", *SMALL,
        "--output", "m3.h5",
    )  # fmt: skip
    assert code == 0
    assert re.fullmatch(f"train3.py-.*(,{NUMBER}){{8}}", last_line(out))
    assert pathlib.Path("m3-back.h5").is_file()
    code, out, _ = command("evaluate", "digits_backgrounds", "m3.h5")
    assert code == 0
    assert re.fullmatch(f"{NUMBER}(,{NUMBER}){{7}}", out.strip())


def test_without_output_nothing_is_written(command, tmp_path):
    assert command("train1", "digits", *SMALL)[0] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("binarize", "loss"),
    [("otsu", "abs"), ("0.5", "squared"), ("quantile", "abs"), ("none", "squared")],
)
def test_phase_2_with_every_binarization_and_pictures(command, models, binarize, loss):
    code, out, _ = command(
        "train2", "digits", models[0], binarize, "--loss", loss, "--epochs", "1", "--limit", "20",
        "--batchsize", "10", "--area", "0.3", "--total-variation", "0.2", "--debug",
    )  # fmt: skip
    assert code == 0
    prefix = last_line(out).split(",")[0]
    written = {path.name for path in pathlib.Path().glob("*.png")}
    singles = {
        f"{prefix}-debug-{kind}-{i}.png" for kind in ("image", "mask", "post") for i in range(6)
    }
    assert written == singles | {f"{prefix}-mask-epoch-1.png"}
    post = cv2.imread(f"{prefix}-debug-post-0.png", cv2.IMREAD_UNCHANGED)
    assert post.shape == (32, 32)
    assert (set(np.unique(post)) <= {0, 255}) is (binarize != "none")


@pytest.mark.parametrize(
    ("masks", "binarize", "back"),
    [
        ("heuristic", "otsu", "black"),
        ("u1.h5", "quantile", "noise"),
        ("u1.h5", "none", "adv"),
        ("heuristic", "0.5", "real"),
    ],
)
def test_phase_3_with_every_background_and_pictures(
    command, models, photographs_dir, masks, binarize, back
):
    backgrounds = ("--backgrounds", str(photographs_dir)) if back == "real" else ()
    code, _, _ = command(
        "train3", "digits", models[0], masks, binarize, back, *SMALL, "--tiles", "1",
        "--area", "0.3", "--imsave", *backgrounds,
    )  # fmt: skip
    assert code == 0
    written = {path.name for path in pathlib.Path().glob("*.png")}
    assert written == {
        f"{kind}-dataset-digits-tiles-1-epoch-1-i-{i}{f'-{binarize}' if kind == 'm2' else ''}.png"
        for kind in ("x", "m1", "m2", "z")
        for i in range(12)
    }
    image, composite = (
        255 - cv2.imread(f"{kind}-dataset-digits-tiles-1-epoch-1-i-0.png", 0) for kind in "xz"
    )
    assert image[0].max() == 0, "pictures are inverted, as in the paper's code"
    assert bool(composite[0].max() == 0) is (back == "black")
    if masks == "heuristic":
        np.testing.assert_array_equal(composite[image > 0], image[image > 0])


def test_the_tuned_recipe_saves_a_generator_for_each_tile_count(command, models):
    code, _, err = command(
        "train3", "digits", models[0], "heuristic", "otsu", "adv", "--recipe", "tuned",
        "--steps", "3", "--limit", "64", "--restart-every", "3", "--output", "m3.keras",
        "--run-dir", "run",
    )  # fmt: skip
    assert code == 0, err
    for tiles in (1, 2, 4):
        generator = keras.models.load_model(f"m3-back-{tiles}x{tiles}.keras")
        assert generator.output_shape == (None, 32 // tiles, 32 // tiles, 1)
    assert {path.name for path in pathlib.Path("run").rglob("*.*")} == {
        "config.json", "metrics.jsonl", "composites.png", "backgrounds.png", "learning_curves.png"
    }  # fmt: skip


def test_masks_as_pictures(command, models):
    assert command("evaluate-seg", "digits", models[1], "--limit", "2")[0] == 0
    assert {path.name for path in pathlib.Path().glob("*.png")} == {"seg-0.png", "seg-1.png"}
    code, _, _ = command("evaluate-seg", "digits", models[1], "--limit", "3", "--output", "seg")
    assert code == 0
    assert sorted(path.name for path in pathlib.Path("seg").iterdir()) == [
        f"seg-{i}.png" for i in range(3)
    ]
    mask = cv2.imread("seg/seg-0.png", cv2.IMREAD_UNCHANGED)
    assert mask.shape == (32, 32) and set(np.unique(mask)) <= {0, 255}
    code, _, err = command("evaluate-seg", "digits", models[1], "--limit", "3", "--output", "seg")
    assert code == 2 and "seg-0.png exists already" in err
    assert (
        command("evaluate-seg", "digits", models[1], "--limit", "1", "--output", "seg",
                "--overwrite")[0] == 0
    )  # fmt: skip


@pytest.mark.parametrize(("every", "evaluations"), [("0", 1), ("1", 3), ("2", 2)])
def test_accuracies_between_epochs(command, caplog, every, evaluations):
    command("train1", "digits", "--limit", "8", "--epochs", "3", "--evaluate-every", every)
    assert caplog.text.count("Accuracy - train: ") == evaluations


def test_the_same_command_gives_the_same_weights(command, models):
    for name in ("a.keras", "b.keras"):
        code, _, _ = command(
            "train3", "digits", models[0], models[1], "otsu", "adv", "--recipe", "tuned",
            "--steps", "5", "--batchsize", "16", "--restart-every", "3", "--limit", "40",
            "--seed", "3", "--output", name,
        )  # fmt: skip
        assert code == 0
    first, second = (keras.models.load_model(name).get_weights() for name in ("a.keras", "b.keras"))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
