"""The example of a model in a browser: it tells what Python tells."""

import functools
import http.server
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import threading

import keras
import numpy as np
import pytest
from PIL import Image

from tests.browser import chromium
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "browser"
NAMES = ["left", "right", "Größe <b>"]
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> pathlib.Path:
    """ONNX Runtime Web; skips where npm is not there, unless a browser is required."""
    folder = tmp_path_factory.mktemp("npm")
    npm = shutil.which("npm")
    problem = "npm is not there"
    if npm:
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "onnxruntime-web"]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        problem = ended.stderr if ended.returncode else ""
    if problem and os.environ.get("BGINV_REQUIRE_CHROMIUM"):
        pytest.fail(problem)
    if problem:
        pytest.skip(f"no ONNX Runtime Web: {problem}")
    return folder / "node_modules" / "onnxruntime-web" / "dist"


@pytest.fixture
def address(tmp_path, runtime):
    """The example, served with its runtime as the README says."""
    pytest.importorskip("tf2onnx")
    site = tmp_path / "site"
    shutil.copytree(EXAMPLE, site)
    (site / "ort").mkdir()
    for name in RUNTIME:
        shutil.copy(runtime / name, site / "ort")
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", site
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and prints nothing."""

    def log_message(self, *arguments) -> None:
        del arguments


def exported(folder: pathlib.Path, shape: tuple[int, int, int]) -> keras.Model:
    """A classifier with random weights, whose ONNX file is in the folder."""
    from bginv.interop.export import export_model

    model = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(len(NAMES), kernel_initializer="random_normal", name="logits"),
        ]
    )
    images = np.zeros((2, *shape), np.float32)
    (found,) = export_model(model, {"onnx": folder / "model.onnx"}, images, images, NAMES).values()
    assert found.problem is None
    return model


def told_by_page(driver, picture: pathlib.Path) -> tuple[list[float], str]:
    """Scores, and the table of classes."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    field, told = (driver.find_element(By.ID, name) for name in ("picture", "told"))
    WebDriverWait(driver, 60).until(lambda own: field.is_enabled() or "model.onnx" in told.text)
    field.send_keys(str(picture))
    WebDriverWait(driver, 60).until(lambda own: told.get_attribute("data-scores"))
    table = driver.find_element(By.ID, "classes").text
    return json.loads(told.get_attribute("data-scores")), table


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_the_browser_tells_what_python_tells(address, tmp_path, channels):
    url, site = address
    model = exported(site, (24, 24, channels))
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, channels), dtype=np.uint8)
    Image.fromarray(pixels.squeeze()).save(tmp_path / "a.png")
    expected = model(pixels[None] / np.float32(255)).numpy()[0]
    driver = chromium(tmp_path)
    try:
        driver.get(url)
        scores, table = told_by_page(driver, tmp_path / "a.png")
        severe = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    finally:
        driver.quit()
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    likeliest = np.exp(expected - expected.max())
    shares = 100 * likeliest / likeliest.sum()
    order = np.argsort(-expected)
    assert table.splitlines() == [f"{NAMES[i]} {shares[i]:.1f} %" for i in order]
    assert not severe


def test_its_command_writes_the_model_beside_its_own_readme(command, tmp_path, monkeypatch):
    pytest.importorskip("tf2onnx")
    example = pathlib.Path(shutil.copytree(EXAMPLE, tmp_path / "examples" / "browser"))
    model = tmp_path / "runs" / "NAME" / "robust_classifier.keras"
    model.parent.mkdir(parents=True)
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]).save(
        model
    )
    readme = (example / "README.md").read_text(encoding="utf-8")
    (line,) = (line for line in readme.splitlines() if line.startswith("bginv export "))
    monkeypatch.chdir(example)
    code, _, err = command(None, *shlex.split(line, comments=True)[1:])
    assert code == 0, err
    assert (example / "robust_classifier.onnx").is_file()
    assert (example / "README.md").read_text(encoding="utf-8") == readme


@pytest.mark.slow
def test_without_a_model_the_page_says_so(address, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    driver = chromium(tmp_path)
    try:
        driver.get(address[0])
        told = driver.find_element(By.ID, "told")
        WebDriverWait(driver, 60).until(lambda own: "model.onnx is not beside" in told.text)
        assert not driver.find_element(By.ID, "picture").is_enabled()
    finally:
        driver.quit()
