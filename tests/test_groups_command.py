"""Accuracy by group from the command line, on a tiny set in the format of Waterbirds."""

import json
import pathlib
import shutil

import cv2
import numpy as np
import pytest

from bginv.data.catalog import load_data
from bginv.report.runs import read_run
from tests.test_audit_command import by_colour

SIDE = 32
LAND, WATER = (60, 160, 60), (60, 60, 160)
TRAIN = {(0, 0): 6, (0, 1): 2, (1, 0): 2, (1, 1): 6}
TEST = {(0, 0): 6, (0, 1): 3, (1, 0): 2, (1, 1): 5}
"""Pictures of each class and place. One of (0, 1) and one of (1, 0) show the other place."""
TABLE = """\
| groups of test, accuracy in % | images |              model |
| ----------------------------- | -----: | -----------------: |
| worst group                   |      - |               33.3 |
| mean of groups                |      - |               70.8 |
| landbird/water                |      3 |  33.3 [6.1, 79.2] |
| waterbird/land                |      2 |  50.0 [9.5, 90.5] |
| landbird/land                 |      6 | 100.0 [61.0, 100.0] |
| waterbird/water               |      5 | 100.0 [56.6, 100.0] |
"""


@pytest.fixture(scope="module")
def birds(tmp_path_factory) -> pathlib.Path:
    """`metadata.csv`, pictures and masks; training and tests."""
    root = tmp_path_factory.mktemp("waterbirds")
    rng = np.random.default_rng(0)
    lines = ["img_id,img_filename,y,split,place,place_filename"]
    for split, groups in (("0", TRAIN), ("2", TEST)):
        for (label, place), count in groups.items():
            for number in range(count):
                name = f"{1 + label:03}.Bird/{split}_{place}_{number}"
                shown = 1 - place if split == "2" and label != place and number == 0 else place
                image = np.clip((LAND, WATER)[shown] + rng.normal(0, 9, (SIDE, SIDE, 3)), 0, 255)
                mask = np.zeros((SIDE, SIDE), np.uint8)
                cv2.circle(mask, tuple(rng.integers(10, 22, 2).tolist()), 6, 255, -1)
                image[mask > 0] = ((200, 180, 120), (180, 200, 120))[label]
                for file, pixels in (
                    (f"{name}.png", image[..., ::-1]),
                    (f"masks/{name}.png", mask),
                ):
                    (root / file).parent.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(root / file), pixels)
                lines.append(f"{len(lines)},{name}.png,{label},{split},{place},-")
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """It answers by the ground: blue is a waterbird."""
    path = tmp_path_factory.mktemp("model") / "of_ground.keras"
    by_colour(True).save(path)
    return str(path)


def test_evaluate_tells_groups_before_the_last_line(command, birds, model):
    code, out, err = command("evaluate", f"waterbirds:{birds}", model, "--image-size", str(SIDE))
    assert code == 0
    *table, last = out.strip().split("\n")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table if line]
    wanted = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TABLE.splitlines()]
    assert cells[:1] + cells[2:] == wanted[:1] + wanted[2:]
    assert last == "0.75,0.8125"  # 12 of 16 and 13 of 16


def test_a_data_set_tells_its_groups(command, birds):
    code, out, _ = command("datasets", f"waterbirds:{birds}")
    assert code == 0
    lines = [line.replace(" ", "") for line in out.splitlines()]
    for line in ("|imagesofgroups|train|test|", "|landbird/water|2|3|", "|waterbird/water|6|5|"):
        assert line in lines


def test_a_run_keeps_accuracy_by_group(command, birds, tmp_path):
    code, out, _ = command(
        "train1", f"waterbirds:{birds}", "--image-size", str(SIDE), "--architecture", "small",
        "--steps", "2", "--run-dir", "run",
    )  # fmt: skip
    assert code == 0 and out.strip().split("\n")[-1].startswith("train1.py-")
    (row,) = json.loads((tmp_path / "run/results.json").read_text())["accuracy"].values()
    groups = row["groups"]["test"]
    assert {name: own["count"] for name, own in groups["groups"].items()} == {
        "landbird/land": 6, "landbird/water": 3, "waterbird/land": 2, "waterbird/water": 5,
    }  # fmt: skip
    right = sum(own["correct"] for own in groups["groups"].values())
    assert right / 16 == row["tests"]["test"]
    assert groups["worst_accuracy"] == min(own["accuracy"] for own in groups["groups"].values())
    written = (tmp_path / "run/results.md").read_text()
    assert "| worst group of test |" in written and "| groups of test" in written
    assert "<h3>By group</h3>" in (tmp_path / "run/report.html").read_text()
    (kept,) = read_run(tmp_path / "run").accuracies.values()
    assert kept.groups["test"].worst_name == groups["worst"]
    assert command(None, "compare", "run", "run", "--output", "both.html")[0] == 0
    assert "groups of test, accuracy in %" in (tmp_path / "both.html").read_text()


@pytest.mark.parametrize(
    ("condition", "wanted"), [("worst_group<80%", 3), ("worst_group<50%", 0), ("worst_group>1%", 3)]
)
def test_an_audit_tells_groups(command, birds, model, condition, wanted):
    code, out, _ = command(
        None, "audit", model, f"waterbirds:{birds}", "--masks", "given", "--quick",
        "--fail-if", condition, "--json", "a.json", "--output", "a.html",
    )  # fmt: skip
    assert code == wanted
    lines = [line.replace(" ", "") for line in out.splitlines()]
    assert "|worst_group|33.3[6.1,79.2]|" in lines
    assert "|landbird/water|3|33.3[6.1,79.2]|" in lines
    (own,) = json.loads(pathlib.Path("a.json").read_text())["models"]
    assert own["groups"]["worst"] == "landbird/water" and own["groups"]["worst_accuracy"] == 1 / 3
    assert "Groups, the worst first" in pathlib.Path("a.html").read_text()


def test_an_audit_of_class_folders_takes_a_table(command, birds, model, tmp_path):
    lines = ["file,site"]
    for label in (1, 2):
        for folder in (birds, birds / "masks"):
            source = folder / f"00{label}.Bird"
            target = tmp_path / "photos" / folder.relative_to(birds) / ("", "a", "b")[label]
            shutil.copytree(source, target)
        lines += [f"{'ab'[label - 1]}/{own.name},{own.name[2]}" for own in source.iterdir()]
    table = tmp_path / "sites.csv"
    table.write_text("\n".join(lines))
    arguments = ("audit", model, "photos", "--masks", "given", "--quick")
    code, out, err = command(None, *arguments, "--fail-if", "worst_group<0.5")
    assert code == 1 and "worst_group<0.5 cannot be told, as the pictures have no places" in err
    code, out, _ = command(None, *arguments, "--groups", str(table))
    lines = [line.replace(" ", "") for line in out.splitlines()]
    assert code == 0 and any(line.startswith("|a/1|5|20.0[") for line in lines)


def test_masks_are_found_where_the_set_has_them(command, birds, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(birds, copy, ignore=shutil.ignore_patterns("masks"))
    name = f"waterbirds:{copy}"
    assert command(None, "masks", name, "--source", "heuristic", "--output", str(copy))[0] == 0
    made, given = (
        {path.relative_to(root).as_posix() for path in (root / "masks").rglob("*.png")}
        for root in (copy, birds)
    )
    assert made == given
    assert load_data(name).tests["test"].has_masks


def test_groups_of_other_data_are_refused(command, model):
    code, _, err = command("evaluate", "digits", model, "--groups", "places.csv")
    assert code == 2 and "are for folder:PATH and waterbirds:PATH; received digits" in err


@pytest.mark.parametrize(
    "words",
    [
        ("calibrate", "digits", "m.keras", "c.keras"),
        ("export", "m.keras"),
        ("evaluate-seg", "digits", "m.keras"),
        ("make-variations", "digits", "out"),
        ("masks", "folder:toys"),
        ("train-adapt",),
    ],
)
def test_commands_that_tell_no_groups_refuse_them(command, words):
    code, _, err = command(None, *words, "--groups", "places.csv")
    assert code == 2 and "--groups places.csv has no effect here" in err, err
