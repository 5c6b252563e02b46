"""`bginv run` and `robustify` on tiny folders of photographs."""

import json
import pathlib
import shutil

import cv2
import keras
import numpy as np
import pytest

import bginv
from bginv.masks.choice import choose
from bginv.nn.fine_tuning import DEEP
from tests.toys import SIDE, write, write_toys

SMALL = ("--image-size", "128", "--masks", "given", "--architecture", "small")
SMALL += ("--copies", "1", "--batchsize", "4")
PLAIN = ("--recipe", "photographs", "--masks", "given")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> pathlib.Path:
    """Discs and squares on noise of any colour, with their masks."""
    monkeypatch.setenv("BGINV_CACHE", str(tmp_path / "cache"))
    return write_toys(tmp_path / "toys")


def results_of(run_dir: pathlib.Path) -> dict:
    return json.loads((run_dir / "results.json").read_text())


def test_from_a_folder_to_a_report(folder, command, tmp_path, caplog):
    caplog.set_level("INFO")
    code, out, err = command(
        None, "run", str(folder), *SMALL, "--epochs", "1", "--run-dir", "run", "--seed", "1"
    )
    assert code == 0, err
    assert "this will take about" in caplog.text and "masks: given" in caplog.text
    lines = out.splitlines()
    assert "Phase 3 is" in lines[0]
    header = next(line for line in lines if line.startswith("| accuracy"))
    assert header.split("|")[2].strip() == "background gap"
    run = tmp_path / "run"
    results = results_of(run)
    assert set(results["accuracy"]["phase 3"]["tests"]) == {
        *("clean", "mixed_same", "mixed_rand", "only_fg")
    }
    assert set(results["validation"]) == {"phase 1", "phase 3"}
    assert set(results["validation"]["phase 3"]) == {"clean", "mixed_rand", "only_fg"}
    before, after = results["audit"]["models"]
    for row, audited in (("phase 1", before), ("phase 3", after)):
        tests = results["accuracy"][row]["tests"]
        for name, accuracy in tests.items():
            assert audited["tests"][name]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert "Does it look at the background?" in (run / "audit.html").read_text()
    page = (run / "report.html").read_text()
    assert "What the network saw" in page and lines[0].split(".")[0] in page
    classifier = keras.models.load_model(run / "robust_classifier.keras", safe_mode=True)
    assert classifier.output_shape == (None, 2)
    assert not any((run / name).exists() for name in ("features", "emptied", "checkpoints"))
    code, again, err = command(
        None, "run", str(folder), *SMALL, "--epochs", "1", "--run-dir", "run", "--seed", "1"
    )
    assert code == 0 and again == out and "is finished" in caplog.text


@pytest.mark.slow
def test_a_frozen_network_gets_both_rows(folder, command, tmp_path, monkeypatch):
    """Their last layers take the same features."""
    from bginv.methods.photographs import experiment, judging

    monkeypatch.setattr(experiment, "decide", lambda *_: judging.Decision(True, "to be tested"))
    code, out, err = command(
        None, "run", str(folder), *SMALL, "--freeze", "--no-refit", "--run-dir", "run"
    )
    assert code == 0, err
    rows = results_of(tmp_path / "run")["accuracy"]
    assert rows["phase 1"]["tests"].keys() == rows["phase 3"]["tests"].keys()
    assert "to be tested" in out


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_with_the_same_weights(folder, command, tmp_path, monkeypatch):
    from bginv.methods.photographs import experiment

    arguments = ("run", str(folder), *SMALL, "--epochs", "1", "--seed", "2")
    assert command(None, *arguments, "--run-dir", "whole")[0] == 0
    original = experiment.PhotographExperiment._phase3

    def stop(self, *rest):
        original(self, *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment.PhotographExperiment, "_phase3", stop)
    assert command(None, *arguments, "--run-dir", "stopped")[0] == 130
    monkeypatch.setattr(experiment.PhotographExperiment, "_phase3", original)
    assert command(None, *arguments, "--run-dir", "stopped")[0] == 0
    whole, stopped = (
        keras.models.load_model(tmp_path / name / "robust_classifier.keras").get_weights()
        for name in ("whole", "stopped")
    )
    for one, other in zip(whole, stopped, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil, says",
    [
        (lambda mask: np.zeros_like(mask), "show nothing"),
        (lambda mask: np.full_like(mask, 255), "no mask, or one that shows everything"),
        (lambda mask: 255 - mask, "inverted"),
    ],
)
def test_garbage_masks_are_named_and_change_nothing(folder, command, tmp_path, spoil, says):
    for path in folder.glob("train/masks/*/*.png"):
        write(path, spoil(cv2.imread(str(path))))
    code, out, err = command(None, "run", str(folder), *SMALL, "--freeze", "--run-dir", "run")
    assert code == 0, err
    assert out.startswith("Phase 3 is not kept") and says in out
    assert "masks that do not show the objects" in out
    before, after = (
        keras.models.load_model(tmp_path / "run" / f"{name}.keras").get_weights()
        for name in ("classifier", "robust_classifier")
    )
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert results_of(tmp_path / "run")["decision"]["kept"] is False


@pytest.mark.slow
def test_choices_are_made_on_a_folder_called_validation(folder, command, tmp_path):
    shutil.copytree(folder / "clean", folder / "validation")
    code, _, err = command(None, "run", str(folder), *SMALL, "--freeze", "--run-dir", "run")
    assert code == 0, err
    results = results_of(tmp_path / "run")
    tests = results["accuracy"]["phase 1"]["tests"]
    assert set(tests) == {"clean", "mixed_same", "mixed_rand", "only_fg"}
    for name in ("clean", "only_fg"):  # the folder is a copy of the test
        assert results["validation"]["phase 1"][name] == tests[name]


@pytest.mark.slow
def test_validation_images_without_masks_do_not_judge_backgrounds(folder, command, tmp_path):
    shutil.copytree(folder / "clean", folder / "validation")
    shutil.rmtree(folder / "validation" / "masks")
    code, _, err = command(None, "run", str(folder), *SMALL, "--freeze", "--run-dir", "run")
    assert code == 0, err
    results = results_of(tmp_path / "run")
    assert "validation" in results["accuracy"]["phase 1"]["tests"]
    assert "mixed_rand" in results["validation"]["phase 1"]


@pytest.mark.slow
def test_robustify_takes_the_recipe_for_a_deep_trained_network(folder, tmp_path):
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Conv2D(8, 8, 8)])
    for _ in range(DEEP - 2):
        model.add(keras.layers.Conv2D(8, 1, activation="relu"))
    model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dense(5, activation="softmax"))  # three that the data does not have
    model.compile("adam", "sparse_categorical_crossentropy")
    data = bginv.load_data(folder, image_size=SIDE)
    batch = next(iter(data.train.batches(8)))
    model.fit(batch["image"], batch["label"], verbose=0)
    result = bginv.robustify(
        model, data, epochs=1, batchsize=4, run_dir=tmp_path / "run", train_first=False
    )
    assert "Phase 3 is" in str(result) and "background gap" in str(result)
    assert result.mask_kind == "given"
    assert set(result.accuracies) == {"before", "after"}
    with pytest.raises(ValueError, match="come from 'given'|were given"):
        result.masks(batch["image"])


def test_one_line_where_options_do_not_go_together(folder, command):
    for arguments, says in (
        (("--recipe", "photographs", "--tiles", "2"), "--tiles is not for --recipe photographs"),
        (("--masks", "saliency:none.onnx"), "none.onnx"),
        (("--masks", "boxes:none.csv"), "none.csv"),
        (("--masks", "nonsense"), "received 'nonsense'"),
        (("--recipe", "photographs", "--steps", "3"), "steps (3) are not for photographs"),
        (("--masks", "command:no-such-program"), "no-such-program"),
        (("--validation", "0.9"), "--validation must be at most 0.5"),
        (("--output", "m.keras", *PLAIN), "--output m.keras is not for bginv run"),
        (("--freeze", "--epochs", "9", *PLAIN), "--epochs has no effect with --freeze"),
        (("--mix", "1", *PLAIN), "--mix takes 5 shares, one of them above 0"),
        (("--mix", "0,0,0,0,0", *PLAIN), "--mix takes 5 shares, one of them above 0"),
        (("--group-rate", "1"), "--group-rate is not for the three phases"),
        (("--distribute", "mirrored", "--method", "erm"), "--distribute mirrored is not for this"),
    ):
        code, out, err = command(None, "run", str(folder), "--image-size", "128", *arguments)
        assert code == 2 and says in err and err.count("\n") == 1, (arguments, err)


def test_other_recipes_say_which_masks_they_take(command):
    code, _, err = command(None, "run", "digits", "--masks", "saliency")
    assert code == 2 and "other sources are for photographs; received 'saliency'" in err


def test_masks_of_a_classifier_come_after_phase_1(folder):
    choice = choose("cam", bginv.load_data(folder, image_size=SIDE))
    assert choice.source is None and choice.name == "cam"


def test_a_rival_from_a_folder_to_a_report(folder, command, tmp_path):
    words = ("run", str(folder), "--method", "background-swap", "--image-size", "128")
    words += ("--masks", "given", "--architecture", "small", "--epochs", "1", "--batchsize", "4")
    code, out, err = command(None, *words, "--run-dir", "rival", "--seed", "1")
    assert code == 0, err
    first = out.splitlines()[0]
    assert first.startswith(
        "background-swap (as the images of Xiao et al. 2021), the whole network"
    )
    assert first.endswith("it needs masks beside the classes.")
    results = results_of(tmp_path / "rival")
    tests = results["accuracy"]["background-swap"]["tests"]
    assert set(tests) == {"clean", "mixed_same", "mixed_rand", "only_fg"}
    assert results["rival"]["needs"] == "masks"
    code, again, err = command(None, "run", str(folder), "--resume", "--run-dir", "rival")
    assert (code, again) == (0, out), err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "gdro"), "unknown --method 'gdro'; did you mean 'group-dro'"),
        (("--method", "erm", "--gamma", "4"), "--gamma is not for --method erm"),
        (("--method", "group-dro"), "--method group-dro needs the place of each picture"),
        (("--method", "erm", "--recipe", "tuned"), "--recipe must be one of paper"),
        (("--method", "copy-paste", "--masks", "cam"), "cam reads them off a trained classifier"),
        (("--method", "contrast", "--freeze"), "contrast trains the whole network"),
    ],
)
def test_one_line_where_a_rival_cannot_be_trained(folder, command, words, message):
    code, _, err = command(
        None, "run", str(folder), *words, "--architecture", "small", "--run-dir", "rival"
    )
    assert code == 2
    assert message in err.splitlines()[-1]


def test_a_rival_is_not_for_images_of_a_size_of_their_own(command):
    code, _, err = command(None, "run", "digits", "--method", "erm", "--run-dir", "rival")
    assert code == 2 and "digits has images of a size of its own" in err.splitlines()[-1]
