"""`evaluate_backgrounds.py` on the release's layout."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest

from bginv.methods.erasing.model import build_network
from bginv.nn.backbones import IMAGENET_DEVIATION, IMAGENET_MEAN
from tests.challenge import STATISTICS, tiny_classifier, write_release
from tests.golden_weights import blocky, state_of


@pytest.fixture
def release(tmp_path, golden_arrays, golden_json):
    facts, arrays = golden_json("backgrounds_challenge"), golden_arrays("backgrounds_challenge")
    write_release(tmp_path / "data", arrays, facts["classes"], facts["per_class"])
    for name in ("in9", "imagenet"):
        tiny_classifier(arrays, name).save(tmp_path / f"{name}.keras")
    tiny_classifier(arrays, "in9").export(tmp_path / "saved", verbose=False)
    return facts["results"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "name"), [("in9.keras", "in9"), ("imagenet.keras", "imagenet"), ("saved", "in9")]
)
def test_parity(command, release, model, name):
    code, out, err = command("evaluate-backgrounds", "data", model, "--json", "found.json")
    assert code == 0, err
    found, expected = json.loads(pathlib.Path("found.json").read_text()), release[name]
    assert found["accuracy"] == pytest.approx(expected["accuracy"])
    assert found["bg_gap"] == pytest.approx(expected["bg_gap"])
    for variation, (low, high) in found["interval"].items():
        assert low <= found["accuracy"][variation] <= high
    assert found["challenge"]["vulnerable"] == expected["vulnerable_total"]
    share = expected["challenge_accuracy"]
    assert found["challenge"]["challenge_accuracy"] == pytest.approx(share)
    assert f"{expected['vulnerable_total']} of 36" in out
    assert "| ResNet-50 (IN-9L)" in out and "22.3" in out


@pytest.mark.slow
def test_a_state_is_of_one_model(command, release, caplog):
    arguments = ("evaluate-backgrounds", "data", "in9.keras", "--state", "state.npz")
    assert command(*arguments)[0] == 0
    with np.load("state.npz") as kept:
        tried = np.unpackbits(kept["tried"], axis=1, count=36)
        assert tried.any(1).all()
    assert command(*arguments)[0] == 0
    assert f"goes on: 36 of 36 foregrounds settled, 12 vulnerable, {tried.sum()}" in caplog.text
    code, _, err = command(*arguments[:2], "imagenet.keras", *arguments[3:])
    assert code == 1 and "is that of another model" in err
    pathlib.Path("state.npz").write_bytes(b"nothing")
    code, _, err = command(*arguments)
    assert code == 1 and "state.npz cannot be read" in err


@pytest.mark.slow
def test_a_variation_may_lack_classes(command, release, tmp_path):
    for name in ("only_fg", "fg_mask"):
        shutil.rmtree(tmp_path / f"data/{name}/val/00_dog")
    code, _, err = command("evaluate-backgrounds", "data", "in9.keras", "--json", "found.json")
    assert code == 0, err
    found = json.loads(pathlib.Path("found.json").read_text())
    dogs = 4
    right = 36 * release["in9"]["accuracy"]["only_fg"]
    assert found["accuracy"]["only_fg"] * 32 in [right - count for count in range(dogs + 1)]
    own = np.ravel(release["in9"]["vulnerable"])[dogs:]
    assert found["challenge"]["vulnerable"] == own.sum()
    shutil.rmtree(tmp_path / "data/fg_mask")
    assert "challenge accuracy" not in command("evaluate-backgrounds", "data", "in9.keras")[1]


def test_what_cannot_be_evaluated(command, release, tmp_path):
    call = ("evaluate-backgrounds", "data")
    code, _, err = command(*call, "in9.keras", "--image-size", "96")
    assert code == 2 and "takes images of 64x64, not of --image-size 96" in err
    code, _, err = command("evaluate-backgrounds", "nowhere", "in9.keras")
    assert code == 2 and "nowhere holds no variation; the layout is ROOT/original/val" in err
    code, _, err = command(*call, "data")
    assert code == 2 and "is no SavedModel" in err
    (tmp_path / "data/mixed_rand/val/99_more").mkdir()
    code, _, err = command(*call, "in9.keras")
    assert code == 1 and "mixed_rand/val has the class 99_more, which is none of 00_dog" in err
    (tmp_path / "data/mixed_rand/val/99_more").rmdir()
    (tmp_path / "data/original/val/.ipynb_checkpoints").mkdir()
    assert command(*call, "in9.keras", "--no-challenge")[0] == 0
    (tmp_path / "data/original/val/99_more").mkdir()
    code, _, err = command(*call, "in9.keras", "--no-challenge")
    assert code == 2 and "tells 9 classes apart, but data has 10" in err
    (tmp_path / "data/original/val/99_more").rmdir()
    (tmp_path / "data/original/val/00_dog/img_0.JPEG").unlink()
    code, _, err = command(*call, "in9.keras")
    assert code == 1 and "1 of 36 masks have no original, such as 00_dog/img_0" in err


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["module.model.", "module."])
def test_a_checkpoint_of_the_release_keeps_its_normalizer(command, golden_arrays, prefix):
    state = state_of(build_network("resnet50", (96, 96, 3), 9), "in9.", "bn3")
    saved = {prefix + name: array for name, array in state.items()}
    mean, deviation = STATISTICS["in9"]
    if "model" in prefix:
        saved["module.normalizer.new_mean"] = np.reshape(mean, (3, 1, 1))
        saved["module.normalizer.new_std"] = np.reshape(deviation, (3, 1, 1))
    np.savez("in9.npz", **saved)
    arguments = ("in9.npz", "in9.keras", "--network", "resnet50", "--image-size", "96")
    code, _, err = command(None, "convert-weights", *arguments)
    assert code == 0, err
    images = np.float32(0.5) + np.float32(0.3) * blocky(4151, (2, 3, 96, 96))
    if "model" not in prefix:  # images for a model that normalizes as torchvision does
        images = (np.clip(images, 0, 1) - mean) / deviation * IMAGENET_DEVIATION + IMAGENET_MEAN
    logits = keras.models.load_model("in9.keras", safe_mode=True)(images.astype(np.float32))
    expected = golden_arrays("in9_resnet50")["logits"]
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()
