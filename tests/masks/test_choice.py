"""Names of sources, and what "auto" takes."""

import dataclasses
import sys

import cv2
import numpy as np
import pytest

from bginv.data.folder import load_folder
from bginv.masks.choice import choose
from bginv.masks.command import CommandMasks
from bginv.masks.given import GivenMasks, HeuristicMasks
from tests.masks.onnx_files import tiny_unet


@pytest.fixture
def without_masks(squares):
    return dataclasses.replace(squares, train=squares.train.without_masks())


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("U2NET_HOME", str(home))
    return home


def test_auto_takes_given_masks_first(squares, home):
    assert choose("auto", squares) == ("given", None, "masks: given, as the data brings them")


def test_auto_takes_saliency_where_its_network_is(without_masks, home, monkeypatch):
    tiny_unet(home / "u2netp.onnx")
    monkeypatch.setattr("bginv.masks.saliency._check", lambda path, md5: None)
    choice = choose("auto", without_masks)
    assert choice.name == choice.source.name == "saliency"
    assert choice.reason == f"masks: saliency (u2netp.onnx in {home}), as the data brings none"


def test_auto_does_not_hide_a_damaged_network(without_masks, home):
    (home / "u2netp.onnx").write_bytes(b"half")
    with pytest.raises(ValueError, match="remove it"):
        choose("auto", without_masks)


def test_auto_learns_else(without_masks, home):
    name, source, reason = choose("auto", without_masks)
    assert (name, source) == ("learned", None)
    assert str(home) in reason and "U2NET_HOME" in reason


def test_words(squares, tmp_path):
    (tmp_path / "a").mkdir()
    cv2.imwrite(str(tmp_path / "a" / "x.png"), np.ones((4, 4), np.uint8))
    assert isinstance(choose("heuristic", squares).source, HeuristicMasks)
    assert isinstance(choose(f"given:{tmp_path}", squares).source, GivenMasks)
    assert isinstance(choose(f"command:{sys.executable} x:y", squares).source, CommandMasks)
    assert choose("given", squares).source is None
    assert choose("learned", squares) == ("learned", None, "masks: learned, as was asked for")


@pytest.mark.parametrize(
    "name, said",
    [
        ("salience", "auto, given, heuristic, saliency.*'salience'"),
        ("model", "a .keras or .onnx file"),
        ("boxes:/nowhere.csv", "/nowhere.csv"),
        ("model:", "what follows the colon"),
        ("heuristic:3", "nothing after a colon"),
        ("learned:3", "nothing after a colon"),
        ("given", "masks/CLASS/NAME.png beside"),
        ("given:/nowhere", "there is no folder"),
    ],
)
def test_bad_names_are_told(without_masks, name, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
        choose(name, without_masks)
    assert "\n" not in str(caught.value)


def test_given_masks_are_looked_for_before_anything_starts(tmp_path):
    for name in ("train/a/1", "train/b/2", "test/a/3", "masks/a/1", "masks/b/2"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((8, 8), 255, np.uint8))
    (tmp_path / "masks").rename(tmp_path.parent / f"{tmp_path.name}-masks")
    dataset = load_folder(str(tmp_path), 32, skip_bad_files=False)
    with pytest.raises(ValueError, match="no mask of 1 images: a/3.png"):
        choose(f"given:{tmp_path}-masks", dataset)
