"""Names that would be formulas, markup, scripts or line ends elsewhere are shown as text."""

import pathlib

import cv2
import keras
import matplotlib.text
import numpy as np
import pytest

import bginv
from bginv.library.results import Robustified
from bginv.report.charts import compared_losses
from bginv.report.pictures import write_sheet
from bginv.report.tables import aligned
from tests.browser import WIDTHS, chromium, look_at

FORMULA = r"$\frac{_a^b$"  # which Matplotlib cannot read
NAMES = {
    "script": "<script>window.ran = 1<",
    "image": "<img src=x onerror=window.ran=1>",
    "quotes": "\"'><svg onload=window.ran=1>",
    "template": "{{ 7 * 7 }}{% raw %}",
    "formula": FORMULA,
    "underscore": "_hidden_",
    "group": r"\g<0>\1",
    "right to left": "قط",
    "override": "\u202edog",
    "lines": "two\nlines",
    "long": "x" * 200,
    "pipe": "a|b",
}
STEPS = {"classifier_steps": 1, "masks_steps": 1, "adversarial_steps": 1, "batchsize": 8}


def trained(data, folder: pathlib.Path, shape: tuple[int, int, int]) -> Robustified:
    """A finished run with a page."""
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(len(NAMES))]
    how = {"masks": "heuristic", "backgrounds": "noise", "train_first": True}
    return bginv.robustify(keras.Sequential(layers), data, run_dir=folder, **how, **STEPS)


def from_memory(root: pathlib.Path) -> Robustified:
    """Names of classes and tests that no file could have, too."""
    names = np.array([f"{name}</td>" for name in NAMES.values()])
    images = np.random.default_rng(0).integers(0, 256, (len(names), 8, 8, 3), np.uint8)
    tests = {f"{name}/": (images, names) for name in NAMES.values()}
    return trained({"train": (images, names), **tests}, root / "run", (8, 8, 3))


def from_folder(root: pathlib.Path) -> Robustified:
    """The same names on a disk; the run's folder has one as well."""
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    data = root / NAMES["script"]
    for split in ("train", NAMES["image"], NAMES["formula"]):
        for name in NAMES.values():
            (data / split / name).mkdir(parents=True)
            cv2.imwrite(str(root / "a.png"), picture)
            (data / split / name / f"{NAMES['quotes']}.png").write_bytes(
                (root / "a.png").read_bytes()
            )
    loaded = bginv.load_data(f"folder:{data}", image_size=8)
    return trained(loaded, root / NAMES["image"], (8, 8, 3))


def on_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.slow
@pytest.mark.parametrize("make", [from_memory, from_folder])
def test_a_browser_shows_names_as_text_and_runs_none(tmp_path, make):
    found = make(tmp_path)
    driver = chromium(tmp_path)
    try:
        for width in WIDTHS:
            page = look_at(driver, found.report, width, "light")
            assert not page["console"] and not page["requests"] and not page["broken"]
            assert page["overflow"] <= 0
        assert driver.execute_script("return window.ran") is None
        assert not driver.execute_script("return document.scripts.length")
        data = found.folder.parent / NAMES["script"]
        named = data.name if data.exists() else "arrays"
        assert driver.title.startswith(named) and driver.title.endswith(": report of bginv")
        text = on_one_line(driver.execute_script("return document.body.textContent"))
        for name in NAMES.values():
            assert on_one_line(name) in text
    finally:
        driver.quit()


def test_a_row_of_a_table_is_one_line():
    lines = aligned(["name", "value"], [[name, "1"] for name in NAMES.values()]).splitlines()
    assert len(lines) == len(NAMES) + 2
    for line, name in zip(lines[2:], NAMES.values(), strict=True):
        assert line.isprintable() and line.replace(r"\|", "").count("|") == 3
        if name.isprintable():
            assert name.replace("|", r"\|") in line


def test_charts_draw_names_as_text(tmp_path):
    images = np.zeros((1, 2, 2, 1), np.float32)
    write_sheet(tmp_path / "a.png", dict.fromkeys(NAMES.values(), images), FORMULA)
    assert cv2.imread(str(tmp_path / "a.png")) is not None
    records = [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}]
    chart = compared_losses(dict.fromkeys(NAMES.values(), records), "\\1<&\"'")
    assert 'aria-label="\\1&lt;&amp;&quot;&#x27;"' in chart
    assert "_hidden_" in chart and FORMULA in chart and "<script" not in chart


def test_formulas_are_read_again_elsewhere(tmp_path):
    write_sheet(tmp_path / "a.png", {FORMULA: np.zeros((1, 2, 2, 1))}, FORMULA)
    assert matplotlib.text.Text(text="$a$").get_parse_math()
