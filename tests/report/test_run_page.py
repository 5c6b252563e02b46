import contextlib
import io
import json
import pathlib
import re
import shutil
import sys

import pytest

from bginv import cli
from bginv.report.runs import Run, data_name, read_run, summary
from tests.browser import WIDTHS, axe_source, barriers, chromium, look_at

SHOWN = {"Traditional": "before", "Proposal": "after"}
"""What the page calls the rows of a run, where none of the paper's stand beside them."""
SMALL = (
    "--limit", "64", "--batchsize", "8", "--classifier-steps", "3", "--masks-steps", "2",
    "--adversarial-steps", "20",
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two finished runs."""
    root = tmp_path_factory.mktemp("runs")
    for name, more in (("first", ()), ("second", ("--masks", "heuristic", "--seed", "1"))):
        arguments = ["run", "digits", *SMALL, *more, "--run-dir", str(root / name)]
        with contextlib.redirect_stdout(io.StringIO()), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["bginv", *arguments])
            assert cli.run(cli.parse(arguments)) == 0
    return root


def evaluations(folder) -> dict[str, dict]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {record["row"]: record for record in records if "row" in record}


@pytest.mark.slow
def test_the_page_has_the_numbers_of_the_metrics_and_nothing_from_elsewhere(folders):
    folder = folders / "first"
    page = (folder / "report.html").read_text()
    rows = evaluations(folder)
    assert list(rows) == list(SHOWN)
    for name, record in rows.items():
        cells = re.search(f'<th scope="row">{SHOWN[name]}</th>(.*?)</tr>', page)[1]
        found = re.findall("<td>(.*?)</td>", cells)
        assert found[:-1] == [f"{100 * value:.1f}" for value in record["tests"].values()]
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert not re.search(r"@import|<script|url\(['\"]?http", page)
    for title in ("What the adversary learned", "Masks of training images", "Confusion matrices",
                  "What each background breaks", "Training, time and memory", "Run it again",
                  "The same 20 pictures, before and after", "Worst classes"):  # fmt: skip
        assert title in page
    assert "--adversarial-steps" in page.split("<pre")[1]  # the command


@pytest.mark.slow
def test_the_summary_tells_before_and_after(folders):
    run = read_run(folders / "first")
    text = summary(run)
    rows = evaluations(folders / "first")
    backgrounds = [value for name, value in rows["Proposal"]["tests"].items() if name != "clean"]
    assert f", {100 * sum(backgrounds) / len(backgrounds):.1f} % after; on pictures" in text
    clean = [100 * rows[name]["tests"]["clean"] for name in SHOWN]
    assert text.endswith("on pictures as they are: {:.1f} % before, {:.1f} % after.".format(*clean))


@pytest.mark.slow
def test_mistakes_are_sorted_and_are_mistakes(folders):
    run = read_run(folders / "first")
    for mistakes in run.results["mistakes"].values():
        confidences = [own["confidence"] for own in mistakes]
        assert confidences == sorted(confidences, reverse=True)
        assert all(own["true"] != own["predicted"] for own in mistakes)
    rows = run.mistakes()
    assert [len(row.pictures) for row in rows] == [
        len(own) for own in run.results["mistakes"].values()
    ]
    for row, tests in run.results["confusion"].items():
        for name, counts in tests.items():
            right = sum(counts[i][i] for i in range(10)) / sum(map(sum, counts))
            assert right == pytest.approx(run.accuracies[row].tests[name])


@pytest.mark.slow
def test_runs_side_by_side(folders, command):
    first, second = str(folders / "first"), str(folders / "second")
    code, _, err = command(None, "compare", first, second, "--output", "c.html")
    assert code == 0, err
    page = open("c.html").read()
    for name in ("first", "second"):
        for row, record in evaluations(folders / name).items():
            cells = re.search(f'<th scope="row">{name}: {SHOWN[row]}</th>(.*?)</tr>', page)[1]
            assert f"<td>{100 * record['tests']['clean']:.1f}</td>" in cells
    settings = page.split("Settings that differ")[1]
    assert '<th scope="row">run.masks</th><td>learned</td><td>heuristic</td>' in settings
    assert "adversarial.steps" not in settings
    assert command(None, "compare", first, "--output", "c.html")[0] == 2
    code, _, err = command(None, "compare", ".", "--output", "d.html")
    assert code == 2 and "is no folder of a run: it has no config.json" in err
    assert command(None, "compare", first, "--output", "d.txt")[0] == 2
    shutil.copytree(first, "damaged")
    pathlib.Path("damaged/results.json").write_text("{")
    code, _, err = command(None, "compare", first, "damaged", "--output", "d.html")
    assert code == 2 and "damaged/results.json is damaged: " in err


@pytest.mark.slow
def test_a_browser_shows_both_pages_everywhere(folders, tmp_path, command):
    code, _, err = command(
        None, "compare", str(folders / "first"), str(folders / "second"), "--output", "c.html"
    )
    assert code == 0, err
    axe, driver = axe_source(tmp_path / "axe"), chromium(tmp_path)
    try:
        for page in (folders / "first" / "report.html", tmp_path / "c.html"):
            for width in WIDTHS:
                backgrounds = set()
                for scheme in ("light", "dark"):
                    found = look_at(driver, page, width, scheme)
                    assert found["images"] > 10 and found["charts"] >= 3
                    assert not found["broken"] and not found["without_alt"]
                    assert not found["console"] and not found["requests"]
                    assert found["overflow"] <= 0, (page, width)
                    assert not barriers(driver, axe), (page, width, scheme)
                    backgrounds.add(found["background"])
                assert len(backgrounds) == 2
        driver.execute_script("document.images[0].removeAttribute('alt')")
        assert "image-alt" in barriers(driver, axe)[0], "axe-core looks at nothing"
        clean = evaluations(folders / "first")["Proposal"]["tests"]["clean"]
        shown = look_at(driver, folders / "first" / "report.html", 1440, "light")["tables"][0]
        assert f"{100 * clean:.1f}" in re.search(r"after\s+([\d.]+)", shown)[1]
    finally:
        driver.quit()


@pytest.mark.slow
def test_a_script_with_a_folder_leaves_a_page_too(command, tmp_path):
    words = ("digits", "--recipe", "tuned", "--steps", "2", "--limit", "32", "--run-dir", "run")
    code, out, err = command("train1", *words, "--tensorboard")
    assert code == 0, err
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Phase 1: classifier" in page and "What each background breaks" in page
    events = list((tmp_path / "run" / "tensorboard").glob("*/events.out.*"))
    assert {path.parent.name for path in events} == {"classifier", "pictures"}
    assert all(path.stat().st_size > 100 for path in events)
    code, _, err = command("train1", "digits", "--steps", "2", "--tensorboard")
    assert code == 2 and "name one with --run-dir" in err


@pytest.mark.slow
def test_the_same_pictures_have_an_answer_before_and_after(folders):
    folder = folders / "first"
    told = read_run(folder).results["same_pictures"]
    first, hardest = told["tests"]
    rows = evaluations(folder)
    tests = {name: value for name, value in rows["Traditional"]["tests"].items() if name != "clean"}
    assert first == "clean" and hardest == min(tests, key=tests.__getitem__)
    assert len(told["true"]) == 20 and set(told["true"]) == set(map(str, range(10)))
    for own in told["tests"].values():
        assert list(own["answers"]) == list(SHOWN)
        assert all(len(answers) == 20 for answers in own["answers"].values())
    page = (folder / "report.html").read_text()
    assert page.count('<span class="answer') == 20 * 2 * 2
    right = sum(
        answer == true
        for (answer, _), true in zip(
            told["tests"][hardest]["answers"]["Proposal"], told["true"], strict=True
        )
    )
    assert f"Right test {hardest}, of 20:" in page and f"{right} after." in page


@pytest.mark.slow
def test_the_order_is_verdict_pictures_masks_classes_and_the_rest_is_folded(folders):
    page = (folders / "first" / "report.html").read_text()
    parts = ['class="lead"', 'id="accuracy"', 'id="same"', 'id="masks"', 'id="worst"', "<details>"]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert "<title>digits, the paper&#39;s small network: report of bginv</title>" in page
    assert "Traditional" not in page.split("Run it again")[0]


def test_where_the_papers_rows_stand_the_rows_have_the_papers_names():
    accuracy = {
        name: {"train": train, "tests": {"stripes": 0.5}, "mean_of_backgrounds": 0.5}
        for name, train in (("Traditional", 0.9), ("Proposal", 0.9), ("Published", None))
    }
    results = {"accuracy": accuracy, "dataset": "mnist_backgrounds"}
    run = Run(pathlib.Path("runs/mnist"), {}, results, [])
    assert list(run.shown_rows) == ["Traditional", "Proposal", "Published"]
    del accuracy["Published"]
    assert list(run.shown_rows) == ["before", "after"]


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("folder:/my/photos/seven", "seven"), ("folder:seven/", "seven"),
        ("waterbirds:/data/birds", "birds"), ("tfds:oxford_iiit_pet", "oxford_iiit_pet"),
        ("digits_backgrounds", "digits"),
    ],
)  # fmt: skip
def test_a_title_has_the_name_of_the_data(dataset, name):
    assert data_name(dataset) == name
