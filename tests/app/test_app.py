"""`bginv app`: what it refuses, what its server gives, and an afternoon's look in Chromium."""

import http.client
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.parse

import keras
import pytest

from bginv.data.folder import load_folder
from bginv.masks.store import given_masks
from tests.app.toy_photographs import BOX, COUNT, SIDE, write_photographs
from tests.browser import axe_source, barriers, chromium
from tests.conftest import ROOT

LONGEST = 240
"""Seconds that the app may take to begin, and a click to be answered."""
NOT_OURS = ("chrome:", "data:", "blob:", "about:")


@pytest.fixture
def root(tmp_path):
    """Photographs, and beside them boxes.csv and model.keras."""
    names = [f"{kind}/{number}.png" for kind in ("cat", "dog") for number in range(COUNT)]
    lines = [f"{name},{','.join(map(str, BOX))}\n" for name in names]
    (tmp_path / "boxes.csv").write_text("".join(lines))
    layers = [
        keras.Input((SIDE, SIDE, 3)),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(2),
    ]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    return write_photographs(tmp_path / "data")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("digits",), "PATH/train/CLASS; received digits (bginv masks"),
        (("folder:data", "--model", "none.keras"), "there is no model none.keras"),
        (("folder:data", "--splits", "lab", "--source", "boxes:boxes.csv"), "--splits lab: folder"),
        (("folder:data", "--source", "given"), "brings no masks"),
        (("folder:data", "--source", "cam"), "those of cam are a classifier's: name another"),
        (("folder:data", "--output", "boxes.csv"), "boxes.csv is a file, and a folder is needed"),
        (("folder:data", "--port", "70000"), "port"),
        (("folder:data", "--limit", "3"), "--limit 3 would leave pictures without masks"),
        (("folder:data", "--groups", "a.csv"), "--groups a.csv has no effect here"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(command, root, monkeypatch, words, told):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    code, _, err = command(None, "app", *words)
    assert code == 2 and told in err and err.count("\n") == 1


def test_without_gradio_the_extra_is_named(command, root, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, err = command(None, "app", "folder:data")
    assert code == 2 and err.endswith("bginv app needs Gradio: pip install 'bginv[app]'\n")


class App:
    """The app as a process of its own."""

    def __init__(self, root: pathlib.Path, *words: str, **environment: str):
        words = ("app", f"folder:{root}", "--port", "0", "--source", "boxes:boxes.csv", *words)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bginv", *words],
            cwd=root.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=(root.parent / "app.log").open("w"),
            text=True,
            # shells let what they run in the background ignore it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        line = self._process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), (root.parent / "app.log").read_text()
        self.address = line.split()[0]

    def get(
        self, path: str, host: str = "", origin: str = "", method: str = "GET"
    ) -> tuple[int, bytes]:
        """Status and body; the path goes as it stands."""
        parts = urllib.parse.urlsplit(self.address)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        headers = {"Host": host or parts.netloc, **({"Origin": origin} if origin else {})}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        self.policy = answer.headers.get("content-security-policy", "")
        return answer.status, answer.read()

    def stop(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=60)


@pytest.mark.slow
def test_the_server_gives_nothing_of_this_machine(root):
    pytest.importorskip("gradio")
    nobody = "http://127.0.0.1:9"  # as where a proxy is set for all but a few
    app = App(root, http_proxy=nobody, HTTP_PROXY=nobody, no_proxy="", NO_PROXY="")
    try:
        assert app.get("/")[0] == 200 and "default-src 'self'" in app.policy
        secret = root.parent / "secret.txt"
        secret.write_text("not to be read")
        for path in (
            "/etc/passwd", "../../../../etc/passwd", f"{root}/../secret.txt", str(secret),
            f"{root}/train/cat/0.png", str(root.parent / "boxes.csv"), "http://127.0.0.1:1/",
        ):  # fmt: skip
            for route in (
                "/gradio_api/file=",
                "/gradio_api/file/",
                "/file=",
                "/static/",
                "/assets/",
            ):
                for written in (path, urllib.parse.quote(path, safe="")):
                    status, body = app.get(f"{route}{written}")
                    assert status >= 400 and b"root:" not in body and b"not to be" not in body
        assert app.get("/", host="elsewhere.example")[0] == 400
        for origin in ("http://elsewhere.example", "null"):
            assert app.get("/config", origin=origin)[0] == 403
        assert app.get("/config", origin=app.address.rstrip("/"))[0] == 200
        assert app.get("/gradio_api/upload", method="POST")[0] == 403
        assert app.get("/gradio_api/proxy=http://127.0.0.1:1/")[0] == 403
    finally:
        assert app.stop() == 0


class Page:
    """The app in Chromium, by the names of its parts."""

    def __init__(self, driver, address: str):
        self.driver = driver
        driver.get(address)
        self.until(lambda: self.element("#outlined img").size["width"] > 100)

    def element(self, selector: str):
        return self.driver.find_element("css selector", selector)

    def value(self, name: str) -> str:
        return self.element(f"#{name} textarea, #{name} input").get_attribute("value")

    def until(self, holds):
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.support.wait import WebDriverWait

        ignored = (WebDriverException,)
        WebDriverWait(self.driver, LONGEST, ignored_exceptions=ignored).until(lambda _: holds())

    def go_to(self, name: str) -> None:
        """Turn pages until a picture is shown, forth and then back."""
        for way, last in (("#next", f": {2 * COUNT} of"), ("#back", ": 1 of")):
            while True:
                shown = self.value("state")
                if shown.startswith(f"{name}:"):
                    return
                if last in shown:
                    break
                self.element(way).click()
                self.until(lambda shown=shown: self.value("state") != shown)
        raise AssertionError(f"{name} is not shown")

    def _is_still(self) -> bool:
        """Whether the picture has been the same for a second, and nothing is on its way."""
        look = """
            const image = document.querySelector("#outlined img");
            const busy = document.querySelectorAll(".generating, .pending, .translucent").length;
            return image.complete && !busy ? image.src : "";
        """
        before = self.driver.execute_script(look)
        time.sleep(1)
        return bool(before) and before == self.driver.execute_script(look)

    def click_at(self, x: float, y: float) -> None:
        """Click at a pixel of the picture."""
        from selenium.webdriver.common.action_chains import ActionChains

        self.until(self._is_still)
        image = self.element("#outlined img")
        scale = image.size["width"] / SIDE
        offset = [round((edge - SIDE / 2) * scale) for edge in (x, y)]
        ActionChains(self.driver).move_to_element_with_offset(image, *offset).click().perform()


def masks_in(root: pathlib.Path) -> dict[str, bytes]:
    folder = root / "train" / "masks"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.slow
def test_two_are_rejected_one_is_drawn_and_no_other_differs(root, tmp_path, command):
    pytest.importorskip("gradio")
    axe = axe_source(tmp_path / "axe")
    app, driver = App(root, "--model", "model.keras"), chromium(tmp_path)
    try:
        page = Page(driver, app.address)
        page.element("#save").click()
        page.until(lambda: f"train: {2 * COUNT} masks written" in page.value("told"))
        before = masks_in(root)
        for name in ("cat/0.png", "dog/3.png"):
            page.go_to(name)
            page.element("#place input").send_keys("9")  # without Enter it is not shown yet
            page.element("#reject").click()
            page.until(lambda: "rejected" in page.value("state"))
            page.until(lambda: "not saved" in page.value("told"))
        page.go_to("dog/5.png")
        left, top, right, bottom = BOX
        page.click_at(left - 4, top - 4)
        page.until(lambda: page.value("box").endswith(", "))
        page.click_at(right + 4, bottom + 4)
        page.until(lambda: "mask drawn" in page.value("state"))
        page.until(lambda: "3 changes are not saved" in page.value("told"))
        page.element("#save").click()
        page.until(lambda: "train: 3 masks written" in page.value("told"))
        after = masks_in(root)
        assert {name for name in before if before[name] != after[name]} == {
            "cat/0.png", "dog/3.png", "dog/5.png",
        }  # fmt: skip
        assert not barriers(driver, axe)
        driver.find_elements("css selector", "button[role=tab]")[1].click()
        page.until(lambda: page.element("#audit").is_displayed())
        page.element("#audit").click()
        page.until(lambda: "model.keras" in page.element("#found").text)
        assert "mixed_rand" in page.element("#found").text
        assert not [line for line in driver.get_log("browser") if line["level"] == "SEVERE"]
        asked = [
            entry["message"].split('"url":"')[1].split('"')[0]
            for entry in driver.get_log("performance")
            if "Network.requestWillBeSent" in entry["message"] and '"url":"' in entry["message"]
        ]
        assert not [url for url in asked if not url.startswith((app.address, *NOT_OURS))]
    finally:
        driver.quit()
        code = app.stop()
    assert code == 0
    given = given_masks(load_folder(str(root), SIDE, False).train)
    assert sorted(given.failures) == ["cat/0.png", "dog/3.png"]
    code, out, err = command(
        None, "masks", f"folder:{root}", "--source", "given", "--splits", "train"
    )
    assert code == 0, err
    assert out.count("no mask: train/") == 2
