import contextlib
import io
import json
import pathlib
import shlex

import cv2
import keras
import numpy as np
import pytest

from bginv import cli
from bginv.cli import parse
from bginv.engine.saved_settings import from_plain
from bginv.methods.background_invariance.mask_training import with_generated_masks
from bginv.methods.background_invariance.settings import PHASES
from bginv.methods.background_invariance.stages import AdversarialStage, MaskStage

SMALL = ("--limit", "64", "--steps", "2", "--batchsize", "8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run's folder and standard output."""
    folder = tmp_path_factory.mktemp("run") / "digits"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert cli.run(cli.parse(["run", "digits", *SMALL, "--run-dir", str(folder)])) == 0
    return folder, out.getvalue()


@pytest.mark.slow
def test_a_finished_run_says_what_to_do_next(finished, command, caplog):
    folder, _ = finished
    caplog.set_level("INFO", "absl")
    code, _, err = command(None, "run", "digits", *SMALL, "--run-dir", str(folder))
    assert code == 0, err
    look, ship = [record.getMessage() for record in caplog.records][-2:]
    assert look == f"to look at it, open {folder / 'report.html'}"
    program, *arguments = shlex.split(ship.removeprefix("to ship it: "))
    assert program == "bginv" and parse(arguments).model == str(folder / "robust_classifier.keras")
    assert pathlib.Path(arguments[1]).is_file()


@pytest.mark.slow
def test_phase_3_gets_the_masks_of_the_trained_generator(command, monkeypatch):
    begin = AdversarialStage.begin

    def look(stage):
        images, settings = stage.source, stage.settings
        begin(stage)
        (unet,) = unets
        expected = with_generated_masks(images, unet, settings.binarize, settings.area)
        np.testing.assert_array_equal(stage.source.masks, expected.masks)
        raise InterruptedError("phase 3 was reached")

    unets = []
    monkeypatch.setattr(MaskStage, "end", lambda stage: unets.append(stage.method.unet))
    monkeypatch.setattr(AdversarialStage, "begin", look)
    assert "phase 3 was reached" in command(None, "run", "digits", *SMALL)[2]


def test_a_run_leaves_models_results_and_pictures(finished):
    folder, _ = finished
    found = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    strips = {name for name in found if name.startswith("pictures/strips/")}
    # masks, composites, backgrounds, mistakes, and the same pictures on two tests
    assert len(strips) == 3 + 1 + 3 + 7 + 2
    assert found - strips == {
        "config.json",
        "metrics.jsonl",
        "precision.json",
        "classifier.keras",
        "mask_unet.keras",
        "robust_classifier.keras",
        "background_generator_1x1.keras",
        "background_generator_2x2.keras",
        "background_generator_4x4.keras",
        "results.json",
        "results.md",
        "report.html",
        "pictures/masks.png",
        "pictures/composites.png",
        "pictures/backgrounds.png",
        "pictures/learning_curves.png",
    }
    for picture in (folder / "pictures").glob("*.png"):
        assert cv2.imread(str(picture)).std() > 5
    strip = cv2.imread(str(folder / "pictures/strips/backgrounds_1x1_tiles.png"))
    drawn = {image.tobytes() for image in np.split(strip, strip.shape[1] // strip.shape[0], 1)}
    assert len(drawn) == 8, "each background once"


def test_the_configuration_holds_every_phase(finished):
    folder, _ = finished
    kept = json.loads((folder / "config.json").read_text())
    assert list(kept) == ["run", *PHASES, "inputs", "command", "crc32"]
    assert from_plain(PHASES["adversarial"], kept, "adversarial").steps == 2


def test_the_table_has_both_rows_and_every_background(finished):
    folder, out = finished
    assert (folder / "results.md").read_text() == out
    header, _, traditional, proposal = out.splitlines()
    assert header.count("|") == 10 and "salt pepper" in header
    assert traditional.startswith("| Traditional") and proposal.startswith("| Proposal")
    results = json.loads((folder / "results.json").read_text())
    assert set(results["accuracy"]) == {"Traditional", "Proposal"}
    assert set(results["training_seconds"]) == {"classifier", "masks", "adversarial"}


@pytest.mark.slow
def test_the_models_are_those_of_the_table(finished, command):
    folder, _ = finished
    accuracy = json.loads((folder / "results.json").read_text())["accuracy"]
    for name, row in (("classifier", "Traditional"), ("robust_classifier", "Proposal")):
        path = str(folder / f"{name}.keras")
        _, out, _ = command("evaluate", "digits_backgrounds", path, "--limit", "64")
        values = list(map(float, out.split(",")))
        assert values == [accuracy[row]["train"], *accuracy[row]["tests"].values()]


def test_phase_3_changes_the_classifier(finished):
    folder, _ = finished
    before, after = (
        keras.models.load_model(folder / f"{name}.keras").get_weights()
        for name in ("classifier", "robust_classifier")
    )
    assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_second_run_does_not_write_over_the_first(command):
    pathlib.Path("runs/digits").mkdir(parents=True)
    pathlib.Path("runs/digits/notes.txt").write_text("mine")
    code, _, err = command(None, "run", "digits", *SMALL)
    assert code == 2
    assert "runs/digits exists already" in err


@pytest.mark.slow
def test_a_data_set_smaller_than_everything_else(command):
    code, out, err = command(
        None, "run", "digits", "--limit", "2", "--steps", "1", "--batchsize", "8", "--masks",
        "heuristic",
    )  # fmt: skip
    assert code == 0, err
    assert out.splitlines()[-1].startswith("| Proposal")


@pytest.mark.slow
def test_heuristic_masks_and_photographs(command, photographs_dir):
    code, _, err = command(
        None, "run", "digits", *SMALL, "--masks", "heuristic", "--back", "real",
        "--backgrounds", str(photographs_dir), "--run-dir", "run",
    )  # fmt: skip
    assert code == 0, err
    assert not pathlib.Path("run/mask_unet.keras").exists()
    assert list(pathlib.Path().glob("*.png")) == []


def break_off(monkeypatch, phase: str) -> None:
    """Let a run end when it comes to a phase."""

    def begin(stage):
        raise OSError(f"no {phase} today")

    kind = {"mask": MaskStage, "adversarial": AdversarialStage}[phase]
    monkeypatch.setattr(kind, "begin", begin)


@pytest.mark.slow
@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_phases_that_are_done_are_not_done_again(command, monkeypatch, caplog, resume):
    caplog.set_level("INFO")
    with monkeypatch.context() as broken:
        break_off(broken, "adversarial")
        code, _, err = command(None, "run", "digits", *SMALL, "--overwrite")
        assert code == 1 and "no adversarial today" in err
    before = keras.models.load_model("runs/digits/classifier.keras").get_weights()
    caplog.clear()
    again = ("digits", *resume) if resume else ("digits", *SMALL)
    code, out, err = command(None, "run", *again)
    assert code == 0, err
    assert "classifier: all 2 steps are done" in caplog.text
    assert "masks: all 2 steps are done" in caplog.text
    after = keras.models.load_model("runs/digits/classifier.keras").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    records = [json.loads(line) for line in open("runs/digits/metrics.jsonl")]
    phases = [record["phase"] for record in records if "phase" in record]
    assert phases == ["classifier", "masks", "adversarial"]
    assert [own["row"] for own in records if "row" in own] == ["Traditional", "Proposal"]
    caplog.clear()
    pathlib.Path("runs/digits/report.html").unlink()  # as if it had been stopped there
    assert command(None, "run", *again)[:2] == (0, out)
    assert pathlib.Path("runs/digits/report.html").is_file()
    assert "runs/digits is finished: nothing is done again" in caplog.text
    assert not pathlib.Path("runs/digits/checkpoints").exists()


@pytest.mark.slow
def test_a_run_with_other_settings_is_refused(command, monkeypatch):
    with monkeypatch.context() as broken:
        break_off(broken, "mask")
        assert command(None, "run", "digits", *SMALL)[0] == 1
    code, _, err = command(None, "run", "digits", *SMALL, "--masks-steps", "3", "--seed", "4")
    assert code == 2
    assert "masks.steps: 3, was 2" in err and "run.seed: 4, was 0" in err
    code, _, err = command(None, "run", "digits", "--resume", "--seed", "4")
    assert code == 2
    assert "--resume goes on with run.seed = 0; received 4: leave it out" in err
    assert command(None, "run", "digits", *SMALL, "--seed", "4", "--overwrite")[0] == 0
