"""What the documents show is run, their flags and links exist, and the site builds."""

import argparse
import doctest
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator

import cv2
import keras
import numpy as np
import pytest

import bginv
from bginv import cli
from bginv.methods.attention import model as attention
from bginv.nn import deeplab
from bginv.nn.paper_networks import build_classifier
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("bginv/methods/*/README.md")])
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.py"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
ASSET = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?:[^\" >]+)")
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
OF_OTHERS = {"--constraint", "--extra", "--quiet", "--to", "--upgrade"}
"""Flags of programs that are not ours."""
GONE = {"--cutmix", "--ensemble", "--focal", "--imsave", "--members", "--mixup", "--swa"}
"""Named where it is told that they went."""
FEW = {"classifier_steps": 3, "masks_steps": 2, "adversarial_steps": 2}


def name_of(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: pathlib.Path, language: str) -> list[str]:
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [text for own, text in found if own == language]


def with_python() -> list[pathlib.Path]:
    return [path for path in DOCUMENTS if blocks(path, "python")]


def test_there_are_python_blocks():
    assert {"README.md", "docs/python.md", "docs/faq.md"} <= set(map(name_of, with_python()))


@pytest.fixture
def world(tmp_path, monkeypatch) -> dict:
    """A folder with what the documents name, and the names that their blocks begin with."""
    monkeypatch.chdir(tmp_path)
    whole = bginv.robustify

    def short(*given, **settings):
        return whole(*given, **{**FEW, **settings})

    monkeypatch.setitem(vars(bginv), "robustify", short)
    rng = np.random.default_rng(0)
    for number in range(24):
        name = ("cat", "dog")[number % 2]
        picture = rng.integers(0, 90, (64, 64, 3), np.uint8)
        mask = np.zeros((64, 64), np.uint8)
        top, left = 12 + number % 7, 20 - number % 5
        mask[top : top + 30, left : left + 25 + number % 3] = 255
        picture[mask > 0] += np.uint8(120)
        for folder, array in ((name, picture), (f"masks/{name}", mask)):
            place = tmp_path / "photographs" / "test" / folder
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"{number}.png"), array)
    shutil.copytree("photographs/test", "photographs/train")
    (tmp_path / "pictures").mkdir()
    for own, name in zip("abcd", ("0", "1", "2", "3"), strict=True):
        place = "cat" if int(name) % 2 == 0 else "dog"
        shutil.copy(f"photographs/test/{place}/{name}.png", f"pictures/{own}.png")
    classifier = build_classifier((32, 32, 3), 10)
    classifier.save("robust_classifier.keras")
    bginv.export(classifier, ".", formats=["safetensors"])
    features = attention.features_of(classifier)
    branch = attention.build_attention_branch((32, 32, 3), features.output_shape[1:], 10, tau=0.7)
    attention.join(features, branch).save("a1.keras")
    deeplab.build_segmenter(deeplab.build_deeplab("light", 3)).save("dusk.keras")
    return {"images": np.zeros((2, 32, 32, 3), np.float32), "keras": keras}


@pytest.mark.slow
@pytest.mark.parametrize("path", with_python(), ids=name_of)
def test_python_blocks_run_as_they_stand(path, world, capsys):
    exec(compile("\n".join(blocks(path, "python")), name_of(path), "exec"), world)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, tmp_path):
    ended = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NOTEBOOK_STEPS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    told = {
        "audit_my_model": "looks at the background",
        "make_it_robust": "| after",
        "masks_to_trust": "inverted: refused",
        "other_losses": "mean absolute error",
    }
    assert told[path.stem] in ended.stdout


def test_doctests_of_the_package():
    found = doctest.testmod(bginv)
    assert found.attempted and not found.failed


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120 and len(text.split()) <= 900
    assert text.count("![") == 1


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """The flags of each subcommand, and of the scripts of other folders by their paths."""
    (commands,) = (
        action
        for action in cli._whole_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    found = {name: set(parser._option_string_actions) for name, parser in commands.choices.items()}
    for path in [*(ROOT / "benchmarks").glob("*.py"), *DOCS.glob("*.py")]:
        found[name_of(path)] = set(re.findall(r'"(--[a-z][\w-]*)"', path.read_text()))
    return found


def commands_in(text: str, known: dict[str, set[str]]) -> Iterator[tuple[str, list[str]]]:
    """Each command line of ours: its name and its words."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True) if line.count("'") % 2 == 0 else line.split()
        for place, word in enumerate(words[:-1]):
            following = words[place + 1]
            script = following.removesuffix(".py").replace("_", "-")
            if word == "bginv" and following in known:
                yield following, words[place + 2 :]
            elif word == "python" and (following in known or script in known):
                yield following if following in known else script, words[place + 2 :]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_have_the_flags_that_documents_give_them(path, flags):
    for _, text in BLOCK.findall(path.read_text(encoding="utf-8")):
        for name, words in commands_in(text, flags):
            given = {word.split("=")[0].replace("_", "-") for word in words if word[:2] == "--"}
            if name.startswith("benchmarks/"):  # some take what their siblings declare
                known = set().union(*(own for key, own in flags.items() if "/" in key))
            else:
                known = flags[name]
            assert given <= known, f"{path.name}: {name} has no {given - known}"


@pytest.mark.parametrize("path", [*DOCUMENTS, DOCS / "llms.txt"], ids=name_of)
def test_flags_that_documents_name_are_there(path, flags):
    text = path.read_text(encoding="utf-8")
    if path.name == "fidelity.md":  # the first column is about flags of other programs
        text = re.sub(r"^\| [^|]+ \|", "|", text, flags=re.MULTILINE)
    named = {flag.replace("_", "-") for flag in FLAG.findall(text)}
    known = set().union(*flags.values()) | {"--version"}
    gone = GONE if path.name in ("decisions.md", "challenge.md", "fidelity.md") else set()
    unknown = named - known - OF_OTHERS - gone
    assert not unknown


def generated() -> set[pathlib.Path]:
    """Pages that the site makes of the code."""
    methods = {f"methods/{path.parent.name}.md" for path in ROOT.glob("bginv/methods/*/README.md")}
    notebooks = {f"notebooks/{path.stem}.md" for path in NOTEBOOKS}
    return {DOCS / name for name in methods | notebooks | {"command_line.md"}}


@pytest.mark.parametrize("path", [*DOCUMENTS, DOCS / "llms.txt"], ids=name_of)
def test_links_and_files_that_documents_name_are_there(path):
    text = path.read_text(encoding="utf-8")
    for named in re.findall(r"`((?:docs|benchmarks|bginv|tests)/[\w./]+\.\w+)`", text):
        assert (ROOT / named).exists(), f"{path.name} names {named}"
    for link in LINK.findall(text):
        target = pathlib.Path(os.path.normpath(path.parent / link.split("#")[0]))
        if link[0] != "#":
            assert target.exists() or target in generated(), f"{path.name} links to {link}"


def test_every_page_is_in_the_text_for_language_models_or_linked_there():
    text = (DOCS / "llms.txt").read_text(encoding="utf-8")
    assert text.startswith("# bginv\n\n> ")
    assert len(LINK.findall(text)) >= 15


def test_the_reference_has_every_public_name():
    named = re.findall(r"^::: bginv\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(bginv.__all__)


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_asks_no_other_host(tmp_path):
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    pytest.importorskip("jupytext")
    ended = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text(encoding="utf-8")
        asked = ASSET.findall(text)
        assert not asked, f"{page.name} asks {asked}"
    for link in LINK.findall((tmp_path / "site" / "llms.txt").read_text(encoding="utf-8")):
        assert (tmp_path / "site" / link).is_file()
    commands = (tmp_path / "site" / "command_line.html").read_text(encoding="utf-8")
    assert "--fail-if" in commands and "SUPPRESS" not in commands
