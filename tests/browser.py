"""Headless Chromium for tests that look at pages."""

import os
import pathlib
import shutil
import subprocess

import pytest

WIDTHS = (390, 1440)
AXE = "axe-core@4"


def chromium(tmp_path: pathlib.Path):
    """A driver; skips where there is none, unless `BGINV_REQUIRE_CHROMIUM` is set."""
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        reason = "no chromium and chromedriver: apt-get install chromium chromium-driver"
        if os.environ.get("BGINV_REQUIRE_CHROMIUM"):
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
        f"user-data-dir={tmp_path / 'chromium'}",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def look_at(driver, page: pathlib.Path, width: int, scheme: str) -> dict:
    """Open a page at a width in a colour scheme; what is wrong with it, and what it shows."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    from selenium.webdriver.support.wait import WebDriverWait

    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get("about:blank")  # the same address again may be told as loaded before it is
    driver.get(page.as_uri())
    WebDriverWait(driver, 60).until(
        lambda own: own.execute_script("return document.readyState") == "complete"
    )
    found = driver.execute_script(
        """
        for (const image of document.images) { image.loading = "eager"; }
        for (const details of document.querySelectorAll("details")) { details.open = true; }
        return {
          images: document.images.length,
          without_alt: [...document.images].filter(image => !image.alt).length,
          overflow: document.documentElement.scrollWidth - window.innerWidth,
          background: getComputedStyle(document.body).backgroundColor,
          charts: document.querySelectorAll("svg[role=img][aria-label]").length,
          tables: [...document.querySelectorAll("table")].map(table => table.innerText),
        };
        """
    )
    found["broken"] = driver.execute_async_script(
        """
        const done = arguments[0];
        Promise.all([...document.images].map(
          image => image.decode().then(() => null, () => image.alt)
        )).then(all => done(all.filter(name => name !== null)));
        """
    )
    found["console"] = driver.get_log("browser")
    found["requests"] = [
        entry["message"]
        for entry in driver.get_log("performance")
        if "Network.requestWillBeSent" in entry["message"] and '"url":"http' in entry["message"]
    ]
    return found


def axe_source(folder: pathlib.Path) -> str:
    """The program of axe-core, which npm fetches into a folder; skips where there is no npm."""
    program = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not program.is_file():
        if not shutil.which("npm"):
            reason = "no npm, which fetches axe-core: apt-get install npm"
            if os.environ.get("BGINV_REQUIRE_CHROMIUM"):
                pytest.fail(reason)
            pytest.skip(reason)
        words = ["npm", "install", "--silent", "--no-save", "--prefix", str(folder), AXE]
        subprocess.run(words, check=True, timeout=300)
    return program.read_text(encoding="utf-8")


def barriers(driver, axe: str) -> list[str]:
    """What axe-core finds of the page that is open to be serious or critical, folded parts too."""
    driver.execute_script("for (const own of document.querySelectorAll('details')) own.open = true")
    driver.execute_script(axe)
    found = driver.execute_async_script(
        """
        const done = arguments[0];
        axe.run(document, {resultTypes: ["violations"]}).then(found => done(found.violations));
        """
    )
    return [
        f"{own['id']} ({own['impact']}), {node['target']}: {node['failureSummary']}"
        for own in found
        if own["impact"] in ("serious", "critical")
        for node in own["nodes"]
    ]
