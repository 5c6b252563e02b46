"""Every command line of the paper's code, on the first digits."""

import pathlib
import re

import cv2
import keras
import numpy as np
import pytest

from bginv.data.catalog import load_data
from bginv.engine.experiment import Stage
from bginv.interop.model_files import save_model
from bginv.methods.background_invariance.stages import AdversarialStage
from bginv.nn.paper_networks import build_classifier, build_mask_unet

SHAPE = (32, 32, 1)
SMALL = ("--limit", "20", "--epochs", "1")
NUMBER = r"[01]\.\d+"


@pytest.fixture
def models(tmp_path) -> tuple[str, str]:
    """A classifier and a mask generator, one of either file format."""
    save_model(build_classifier(SHAPE, 10, 1), tmp_path / "m1.keras")
    save_model(build_mask_unet(SHAPE, 1), tmp_path / "u1.h5")
    return "m1.keras", "u1.h5"


def last_line(out: str) -> str:
    return out.splitlines()[-1]


def test_the_three_phases_in_sequence(command):
    code, out, _ = command("train1", "digits", *SMALL, "--output", "m1.h5")
    assert code == 0
    assert re.fullmatch(
        f"train1.py-digits---limit-20---epochs-1---output-m1.h5,{NUMBER},{NUMBER}", last_line(out)
    )
    code, out, _ = command("train2", "digits", "m1.h5", "otsu", *SMALL, "--output", "u1.h5")
    assert code == 0
    assert re.fullmatch(f"train2.py-digits-m1.h5-otsu-.*,{NUMBER},{NUMBER}", last_line(out))
    code, out, _ = command(
        "train3", "digits_backgrounds", "m1.h5", "u1.h5", "otsu", "adv", *SMALL,
        "--output", "m3.h5",
    )  # fmt: skip
    assert code == 0
    assert re.fullmatch(f"train3.py-.*(,{NUMBER}){{8}}", last_line(out))
    assert pathlib.Path("m3-back.h5").is_file()
    code, out, _ = command("evaluate", "digits_backgrounds", "m3.h5")
    assert code == 0
    assert re.fullmatch(f"{NUMBER}(,{NUMBER}){{7}}", out.strip())


def test_without_output_nothing_is_written(command, tmp_path):
    assert command("train1", "digits", *SMALL)[0] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("binarize", "loss"),
    [("otsu", "abs"), ("0.5", "squared"), ("quantile", "abs"), ("none", "squared")],
)
def test_phase_2_with_every_binarization_and_pictures(command, models, binarize, loss):
    code, out, _ = command(
        "train2", "digits", models[0], binarize, "--loss", loss, "--epochs", "1", "--limit", "20",
        "--batchsize", "10", "--area", "0.3", "--total-variation", "0.2", "--debug",
    )  # fmt: skip
    assert code == 0
    prefix = last_line(out).split(",")[0]
    written = {path.name for path in pathlib.Path().glob("*.png")}
    singles = {
        f"{prefix}-debug-{kind}-{i}.png" for kind in ("image", "mask", "post") for i in range(6)
    }
    assert written == singles | {f"{prefix}-mask-epoch-1.png"}
    post = cv2.imread(f"{prefix}-debug-post-0.png", cv2.IMREAD_UNCHANGED)
    assert post.shape == (32, 32)
    assert (set(np.unique(post)) <= {0, 255}) is (binarize != "none")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("masks", "binarize", "back"),
    [
        ("heuristic", "otsu", "black"),
        ("u1.h5", "quantile", "noise"),
        ("u1.h5", "none", "adv"),
        ("heuristic", "0.5", "real"),
    ],
)
def test_phase_3_with_every_background_and_pictures(
    command, models, photographs_dir, masks, binarize, back
):
    backgrounds = ("--backgrounds", str(photographs_dir)) if back == "real" else ()
    code, _, _ = command(
        "train3", "digits", models[0], masks, binarize, back, *SMALL, "--tiles", "1",
        "--area", "0.3", "--run-dir", "run", *backgrounds,
    )  # fmt: skip
    assert code == 0
    assert pathlib.Path("run/pictures/composites.png").is_file()


def left_in(run: str) -> set[str]:
    """Pictures that a run leaves, beside what every run leaves."""
    found = {path.name for path in pathlib.Path(run).iterdir()}
    every = {"config.json", "metrics.jsonl", "precision.json", "results.json", "results.md"}
    every.add("report.html")
    assert found - {"pictures"} == every
    return {path.name for path in pathlib.Path(run, "pictures").glob("*.png")}


@pytest.mark.slow
def test_the_tuned_recipe_saves_a_generator_for_each_tile_count(command, models):
    code, _, err = command(
        "train3", "digits", models[0], "heuristic", "otsu", "adv", "--recipe", "tuned",
        "--steps", "3", "--limit", "64", "--restart-every", "3", "--output", "m3.keras",
        "--run-dir", "run",
    )  # fmt: skip
    assert code == 0, err
    for tiles in (1, 2, 4):
        generator = keras.models.load_model(f"m3-back-{tiles}x{tiles}.keras")
        assert generator.output_shape == (None, 32 // tiles, 32 // tiles, 1)
    assert left_in("run") == {"composites.png", "backgrounds.png", "learning_curves.png"}
    strips = {path.stem.split("_")[0] for path in pathlib.Path("run/pictures/strips").iterdir()}
    assert strips == {"backgrounds", "composites", "mistakes", "same"}


def test_masks_as_pictures(command, models):
    assert command("evaluate-seg", "digits", models[1], "--limit", "2")[0] == 0
    assert {path.name for path in pathlib.Path().glob("*.png")} == {"seg-0.png", "seg-1.png"}
    code, _, _ = command("evaluate-seg", "digits", models[1], "--limit", "3", "--output", "seg")
    assert code == 0
    assert sorted(path.name for path in pathlib.Path("seg").iterdir()) == [
        f"seg-{i}.png" for i in range(3)
    ]
    mask = cv2.imread("seg/seg-0.png", cv2.IMREAD_UNCHANGED)
    assert mask.shape == (32, 32) and set(np.unique(mask)) <= {0, 255}
    code, _, err = command("evaluate-seg", "digits", models[1], "--limit", "3", "--output", "seg")
    assert code == 2 and "seg-0.png exists already" in err
    assert (
        command("evaluate-seg", "digits", models[1], "--limit", "1", "--output", "seg",
                "--overwrite")[0] == 0
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("every", "evaluations"), [("0", 1), ("1", 3), ("2", 2)])
def test_accuracies_between_epochs(command, caplog, every, evaluations):
    command("train1", "digits", "--limit", "8", "--epochs", "3", "--evaluate-every", every)
    assert caplog.text.count("Accuracy - train: ") == evaluations


@pytest.mark.slow
def test_the_same_command_gives_the_same_weights(command, models):
    for name in ("a.keras", "b.keras"):
        code, _, _ = command(
            "train3", "digits", models[0], models[1], "otsu", "adv", "--recipe", "tuned",
            "--steps", "5", "--batchsize", "16", "--restart-every", "3", "--limit", "40",
            "--seed", "3", "--output", name,
        )  # fmt: skip
        assert code == 0
    first, second = (keras.models.load_model(name).get_weights() for name in ("a.keras", "b.keras"))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def few_shapes(monkeypatch) -> tuple[str, ...]:
    """The data set of shapes, with 24 images to train on and 12 in each test."""
    monkeypatch.setattr("bginv.data.shapes.NUM_TRAIN", 24)
    monkeypatch.setattr("bginv.data.shapes.NUM_TEST", 12)
    return "shapes", "--image-size", "32"


@pytest.mark.slow
def test_the_attention_baseline(command, caplog):
    flags = (*SMALL, "--output", "m.keras", "--run-dir", "run")
    code, out, err = command("train-att", "digits", *flags)
    assert code == 0, err
    name = "train_att.py-digits---limit-20---epochs-1---output-m.keras---run-dir-run"
    assert re.fullmatch(f"{name},{NUMBER},{NUMBER}", last_line(out))
    assert "Accuracy of the global branch - train: " in caplog.text
    assert "Crops - clean: mean height " in caplog.text
    assert left_in("run") == {"attention.png", "learning_curves.png"}
    assert cv2.imread("run/pictures/attention.png").std() > 5
    loaded = keras.models.load_model("m.keras", safe_mode=True)
    assert (loaded.input_shape, loaded.output_shape) == ((None, *SHAPE), (None, 10))
    _, evaluated, _ = command("evaluate", "digits", "m.keras", "--limit", "20")
    assert last_line(out) == f"{name},{evaluated.strip()}"


@pytest.mark.slow
def test_the_attention_baseline_behind_a_classifier(command, models, caplog):
    code, _, err = command(
        "train-att", "digits", *SMALL, "--global-model", models[0], "--output", "m.keras"
    )
    assert code == 0, err
    assert "classifier" not in {record.getMessage().split()[0] for record in caplog.records}
    given, loaded = (keras.models.load_model(name) for name in (models[0], "m.keras"))
    kept = loaded.get_layer("features").get_weights()
    assert len(kept) > 0
    assert all(np.array_equal(a, b) for a, b in zip(kept, given.get_weights(), strict=False))


def test_the_attention_baseline_goes_on_where_it_stopped(command, monkeypatch, caplog):
    flags = ("digits", *SMALL, "--output", "m.keras")
    with monkeypatch.context() as broken:

        def first_stage_alone(stage):
            if stage.method.name == "attention":
                raise OSError("no attention today")

        broken.setattr(Stage, "begin", first_stage_alone)
        code, _, err = command("train-att", *flags)
        assert code == 1 and "no attention today" in err
    assert pathlib.Path("m.keras.unfinished").is_dir() and not pathlib.Path("m.keras").exists()
    caplog.clear()
    code, _, err = command("train-att", *flags)
    assert code == 0, err
    assert "classifier: all 3 steps are done" in caplog.text
    assert "attention: all" not in caplog.text
    assert {path.name for path in pathlib.Path().iterdir()} == {"m.keras"}
    code, _, err = command("train-att", *flags)
    assert code == 2 and "m.keras exists already" in err


@pytest.mark.slow
def test_a_finished_attention_baseline_is_not_trained_again(command, caplog):
    flags = ("digits", *SMALL, "--run-dir", "run")
    first = command("train-att", *flags)
    assert first[0] == 0, first[2]
    caplog.clear()
    assert command("train-att", *flags)[:2] == first[:2]
    assert "classifier: all 3 steps are done" in caplog.text
    assert "attention: all 3 steps are done" in caplog.text


@pytest.mark.slow
def test_ag_cnn(command, few_shapes, caplog, monkeypatch):
    # DenseNet-121, of 120 layers, would take minutes
    monkeypatch.setattr("bginv.methods.attention.model.AG_CNN_BACKBONE", "MobileNet")
    code, out, err = command(
        "train-att", *few_shapes, "--fusion", "paper", "--weights", "none", "--limit", "12",
        "--steps", "1", "--batchsize", "4", "--output", "m.keras",
    )  # fmt: skip
    assert code == 0, err
    assert re.fullmatch(f"train_att.py-shapes-.*(,{NUMBER}){{6}}", last_line(out))
    assert "global branch" not in caplog.text, "it is a part of the model"
    for test in ("clean", "mixed_same", "mixed_random", "foreground_only", "background_only"):
        assert f"| AUROC on {test}, in % | disk | triangle |" in re.sub(" +", " ", caplog.text)
    assert keras.models.load_model("m.keras").output_shape == (None, 6)


def test_masks_and_how_they_agree_with_true_ones(command, few_shapes, tmp_path):
    save_model(build_mask_unet((32, 32, 3), 1), tmp_path / "u.keras")
    code, out, err = command("evaluate-seg", *few_shapes, "u.keras", "--output", "seg")
    assert code == 0, err
    assert len(list(pathlib.Path("seg").glob("seg-*.png"))) == 24
    tables = out.strip().split("\n\n")
    titles = [table.split("|")[1].strip() for table in tables]
    tests = ("clean", "mixed_same", "mixed_random", "foreground_only")
    assert titles == ["masks of train, mean of 24 images, in %"] + [
        f"masks of {name}, mean of 12 images, in %" for name in tests
    ]
    rows = [line.split("|")[1].strip() for line in tables[0].splitlines()]
    assert rows[2:] == ["otsu", "0.5", "quantile", "none", "all foreground", "best centred box"]


def test_without_true_masks_there_is_no_table(command, models):
    assert command("evaluate-seg", "digits", models[1], "--limit", "2")[:2] == (0, "")


def test_the_list_of_data_sets(command, tmp_path):
    code, out, _ = command(None, "datasets")
    rows = {line.split("|")[1].strip(): line for line in out.splitlines()}
    assert code == 0
    assert rows["digits"].endswith("| yes     |")
    assert {"mnist_backgrounds", "svhn_synthdigits", "prates", "folder:PATH"} <= rows.keys()
    assert list(tmp_path.iterdir()) == []


def test_what_a_data_set_holds(command, few_shapes):
    code, out, err = command(None, "datasets", *few_shapes, "--output", "sheets")
    assert code == 0, err
    tests = ["clean", "mixed_same", "mixed_random", "foreground_only", "background_only"]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines()]
    assert [row[0] for row in cells] == ["split", "-" * 15, "train", *tests]
    assert cells[2][1:3] == ["24", "32x32x3"] and cells[2][4:] == ["yes", *["4"] * 6]
    sheets = {path.name for path in pathlib.Path("sheets").iterdir()}
    assert sheets == {f"shapes-{name}.png" for name in ("train", *tests)}
    with_masks, without = (
        cv2.imread(f"sheets/shapes-{name}.png") for name in ("clean", "background_only")
    )
    assert with_masks.shape[0] > 1.5 * without.shape[0]
    code, _, err = command(None, "datasets", *few_shapes, "--output", "sheets")
    assert code == 2 and "shapes-train.png exists already" in err


@pytest.mark.slow
def test_mistakes_of_a_classifier_in_every_phase(command, models, caplog):
    flags = (*SMALL, "--mistakes-of", models[0])
    for phase in (
        ("train1", "digits"), ("train2", "digits", models[0], "otsu"),
        ("train3", "digits", models[0], models[1], "otsu", "noise"),
    ):  # fmt: skip
        code, _, err = command(*phase, *flags)
        assert code == 0, err
    shares = re.findall(r"m1.keras gets \d+ of 20 training images wrong: (\d+) %", caplog.text)
    assert shares == ["50", "100", "50"]


@pytest.mark.slow
def test_mistakes_of_a_classifier_in_a_run(command, models, caplog):
    flags = ("--limit", "20", "--steps", "1", "--masks", "heuristic", "--back", "noise")
    flags = (*flags, "--run-dir", "run", "--mistakes-of", models[0])
    code, _, err = command(None, "run", "digits", *flags)
    assert code == 0, err
    assert len(re.findall("gets .* of 20 training images wrong: 50 %", caplog.text)) == 2
    save_model(build_classifier(SHAPE, 10, 2), pathlib.Path(models[0]))
    (pathlib.Path("run") / "results.md").unlink()
    code, _, err = command(None, "run", "digits", *flags)
    assert code == 2 and models[0] in err, err


def test_phase_3_with_the_masks_of_the_data_set(command, few_shapes, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(AdversarialStage, "end", lambda stage: seen.append(stage.source))
    save_model(build_classifier((32, 32, 3), 6, 1), tmp_path / "m1.keras")
    code, out, err = command(
        "train3", *few_shapes, "m1.keras", "given", "otsu", "black", "--steps", "1"
    )
    assert code == 0, err
    assert re.fullmatch(f"train3.py-shapes-.*(,{NUMBER}){{6}}", last_line(out))
    own = load_data("shapes", image_size=32).train
    np.testing.assert_array_equal(seen[0].masks, own.masks)


def test_phase_3_on_a_classifier_of_any_image_size(command, tmp_path):
    image = keras.Input((None, None, 1))
    maps = keras.layers.Conv2D(8, 3, activation="relu")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    save_model(keras.Model(image, keras.layers.Dense(10)(pooled)), tmp_path / "any.keras")
    code, out, err = command(
        "train3", "digits", "any.keras", "heuristic", "otsu", "black", "--steps", "1"
    )
    assert code == 0, err
    assert re.fullmatch(f"train3.py-digits-.*,{NUMBER},{NUMBER}", last_line(out))


@pytest.mark.slow
def test_a_run_with_the_masks_of_the_data_set(command, few_shapes):
    code, out, err = command(
        None, "run", *few_shapes, "--masks", "given", "--steps", "1", "--batchsize", "8"
    )
    assert code == 0, err
    assert out.splitlines()[-1].startswith("| Proposal")
    assert not pathlib.Path("runs/shapes/mask_unet.keras").exists()
    assert not pathlib.Path("runs/shapes/pictures/masks.png").exists()


@pytest.mark.slow
def test_the_phases_on_a_network_of_keras(command, few_shapes):
    flags = (*few_shapes, "--steps", "1", "--limit", "8")
    network = ("--architecture", "mobilenet", "--weights", "none")
    code, _, err = command("train1", *flags, *network, "--output", "m.h5")
    assert code == 2 and "m.h5: .h5 files hold the paper's architectures" in err
    code, out, err = command("train1", *flags, *network, "--output", "m.keras")
    assert code == 0, err
    assert re.fullmatch(f"train1.py-shapes-.*(,{NUMBER}){{6}}", last_line(out))
    phase_3 = ("train3", *flags, "m.keras", "given", "otsu", "adv")
    code, _, err = command(*phase_3, "--output", "m3.h5")
    assert code == 2 and "m3.h5: .h5 files hold the paper's architectures" in err
    code, out, err = command(*phase_3, "--output", "m3.keras")
    assert code == 0, err
    assert re.fullmatch(f"train3.py-shapes-.*(,{NUMBER}){{6}}", last_line(out))
    trained, robust = (keras.models.load_model(name) for name in ("m.keras", "m3.keras"))
    assert robust.name == trained.name == "mobilenet_classifier"
    assert not np.array_equal(robust.get_weights()[0], trained.get_weights()[0])


@pytest.mark.slow
def test_the_phases_with_techniques(command, few_shapes):
    few = (
        "--steps", "2", "--batchsize", "8", "--image-size", "16", "--recipe", "tuned",
        "--label-smoothing", "0.1", "--background-mixing", "0.5",
    )  # fmt: skip
    assert command("train1", "shapes", *few, "--output", "m1.keras")[0] == 0
    code, out, _ = command("train3", "shapes", "m1.keras", "given", "otsu", "adv", *few)
    assert code == 0
    assert re.fullmatch(f"train3.py-.*(,{NUMBER}){{6}}", last_line(out))
