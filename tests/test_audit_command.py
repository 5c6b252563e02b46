"""`bginv audit`: the table, the page, the figures, the exit code; files of every format."""

import json
import pathlib
import shutil

import cv2
import keras
import numpy as np
import pytest

import bginv
from bginv.interop.export import export_files, export_model
from tests.browser import axe_source, barriers, chromium, look_at

SIDE, COUNT = 32, 12
GROUNDS = {"cat": (60, 160, 60), "dog": (60, 60, 160)}
OBJECTS = {"cat": (220, 200, 30), "dog": (200, 30, 200)}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> pathlib.Path:
    """One folder a class, and masks: objects of a colour on grounds of a colour."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for kind in GROUNDS:
        for folder in (root / kind, root / "masks" / kind):
            folder.mkdir(parents=True)
        for number in range(COUNT):
            image = np.clip(np.array(GROUNDS[kind]) + rng.normal(0, 12, (SIDE, SIDE, 3)), 0, 255)
            mask = np.zeros((SIDE, SIDE), np.uint8)
            cv2.circle(mask, tuple(rng.integers(10, 22, 2).tolist()), 7, 255, -1)
            image[mask > 0] = OBJECTS[kind]
            cv2.imwrite(str(root / kind / f"{number}.png"), image[..., ::-1])
            cv2.imwrite(str(root / "masks" / kind / f"{number}.png"), mask)
    return root


def by_colour(of_ground: bool) -> keras.Model:
    """A model of the mean colour: blue for dogs, as their ground is; or their objects' red."""
    image = keras.Input((SIDE, SIDE, 3))
    mean = keras.layers.GlobalAveragePooling2D()(image)
    last = keras.layers.Dense(2)
    model = keras.Model(image, last(mean), name="of_ground" if of_ground else "of_object")
    ground = np.float32([[0, 0], [4, -4], [-4, 4]])
    last.set_weights([ground, np.zeros(2, np.float32)])
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("model") / "of_ground.keras"
    by_colour(True).save(path)
    return str(path)


def test_the_table_and_the_files(command, photographs, model, tmp_path):
    page, figures = tmp_path / "audit.html", tmp_path / "audit.json"
    code, out, _ = command(
        None, "audit", model, str(photographs), "--output", str(page), "--json", str(figures)
    )
    assert code == 0
    assert out.startswith("of_ground.keras looks at the background: gap")
    assert max(map(len, out.splitlines())) <= 80
    held = json.loads(figures.read_text())
    assert held["models"][0]["tests"]["clean"]["accuracy"] == 1
    assert held["data"]["pictures"] == 2 * COUNT
    code, _, err = command(None, "audit", model, str(photographs), "--output", str(page))
    assert code == 2 and "exists already" in err


@pytest.mark.parametrize(
    "condition, wanted",
    [("gap>0.03", 3), ("gap>3%,clean<0.5", 3), ("only_fg<10%", 0), ("gap<0.01", 0)],
)
def test_a_condition_decides_the_exit_code(command, photographs, model, condition, wanted):
    code, out, _ = command(
        None, "audit", model, str(photographs), "--quick", "--fail-if", condition
    )
    assert code == wanted
    assert ("gap>" in out) == (wanted == 3)


def test_a_check_does_not_pass_without_a_verdict(command, photographs, tmp_path):
    image = keras.Input((SIDE, SIDE, 3))
    always_cats = keras.layers.Dense(2, kernel_initializer="zeros")
    guess = keras.Model(image, always_cats(keras.layers.GlobalAveragePooling2D()(image)))
    guess.save(tmp_path / "guess.keras")
    words = ("audit", "guess.keras", str(photographs), "--quick", "--fail-if", "gap>0.03")
    code, out, _ = command(None, *words)
    assert code == 4 and "guess.keras: no verdict, so gap>0.03 cannot be told" in out
    code, out, _ = command(None, *words[:-1], "gap>0.03,clean<0.9")
    assert code == 3 and "clean<0.9 holds" in out and "gap>0.03 cannot be told" in out


WRONG = {
    "no such figure": (("--fail-if", "bias>3%"), "the figures are gap, changed, clean"),
    "no condition": (("--fail-if", "gap=3"), "a figure, one of >=, <=, >, <, and a number"),
    "not a share": (("--fail-if", "gap>3"), "shares are from 0 to 1"),
    "another ending": (("--output", "page.pdf"), "name a file that ends in .html"),
    "one end of a range": (("--pixels", "255"), "--pixels is LOW,HIGH"),
    "no labels": (("--labels", "none.txt"), "there is no file none.txt"),
    "no split": (("--split", "clean"), "split 'clean' is not there"),
    "masks of the model": (("--masks", "cam"), "take another source"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line(command, photographs, model, name):
    words, message = WRONG[name]
    code, out, err = command(None, "audit", model, str(photographs), *words)
    assert code in (1, 2) and out == ""
    assert message in err.splitlines()[-1] and "Traceback" not in err


def test_a_folder_without_masks_says_what_to_do(command, photographs, model, tmp_path, monkeypatch):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    alone = tmp_path / "alone"
    for kind in GROUNDS:
        shutil.copytree(photographs / kind, alone / kind)
    code, _, err = command(None, "audit", model, str(alone))
    last = err.splitlines()[-1]
    assert code == 1 and "no masks: the data brings none" in last and "fetches a network" in last
    code, _, err = command(None, "audit", model, str(tmp_path / "none"))
    assert "there is no folder" in err.splitlines()[-1]


def test_a_model_that_is_not_there(command, photographs):
    code, _, err = command(None, "audit", "none.keras", str(photographs))
    assert code == 2 and "there is no model none.keras" in err


@pytest.mark.slow
def test_every_format_gives_the_same_figures(photographs, tmp_path):
    files = export_files(tmp_path, "model", ["keras", "saved_model", "onnx", "litert"])
    noise = np.random.default_rng(0).random((4, SIDE, SIDE, 3), np.float32)
    export_model(by_colour(True), files, noise, noise, class_names=("cat", "dog"))
    models = list(map(str, files.values()))
    result = bginv.audit(models, photographs)
    first, *others = result.models
    for other in others:
        assert other.matching == "by name"
        assert other.gap.value == pytest.approx(first.gap.value, abs=1e-3)
        for name, own in first.tests.items():
            assert other.tests[name].value == pytest.approx(own.value, abs=1e-3), (other.name, name)


@pytest.mark.slow
def test_the_page(photographs, model, tmp_path):
    page = tmp_path / "audit.html"
    bginv.audit([model, by_colour(False)], photographs).write_page(page)
    assert page.stat().st_size < 5e6
    axe, driver = axe_source(tmp_path / "axe"), chromium(tmp_path)
    try:
        for scheme in ("light", "dark"):
            found = look_at(driver, page, 1280, scheme)
            assert not barriers(driver, axe), scheme
            assert not found["broken"] and not found["without_alt"] and found["overflow"] <= 0
            assert not found["requests"] and not found["console"]
            assert found["images"] and found["charts"] == 2
            bottom = driver.execute_script(
                "return document.querySelector('.lead').getBoundingClientRect().bottom"
            )
            assert bottom < 800  # the verdict is seen without scrolling
        assert "rgb(255, 255, 255)" != found["background"]
    finally:
        driver.quit()
