"""The commands of ACoL and EADER, and conversions, from end to end on a narrow network."""

import pathlib
import re

import cv2
import keras
import numpy as np
import pytest

from bginv.methods.acol.model import build_acol, build_classifiers
from bginv.methods.erasing.model import build_network
from bginv.nn.features import build_features
from bginv.nn.torchvision_networks import RESNETS, ResNet
from tests.golden_weights import state_of

NUMBER = r"[01]\.\d+"
SHAPES = ("shapes", "--image-size", "64", "--batch-size", "4")
ACOL = (*SHAPES, "--model", "resnet18", "--weights", "none", "--cls-recipe", "pn", "--epochs", "2")
ERASING = (
    *(*SHAPES, "--localizer_model", "resnet18", "--localizer_from_scratch", "--epochs", "2"),
    *("--adversarial_model=resnet18", "--adversarial_from_scratch"),
    *("--train_steps_localizer", "1", "--train_steps_adversarial", "2"),
)


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """A ResNet of few channels in the place of ResNet-18, and few shapes."""
    # TensorFlow 2.21 crashes on CPUs in strided convolutions of 4 or 8 channels
    monkeypatch.setitem(RESNETS, "resnet18", ResNet((1, 1, 1, 1), bottleneck=False, channels=16))
    monkeypatch.setattr("bginv.data.shapes.NUM_TRAIN", 12)
    monkeypatch.setattr("bginv.data.shapes.NUM_TEST", 6)


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def same_weights(first: str, second: str) -> bool:
    arrays = (keras.models.load_model(name).get_weights() for name in (first, second))
    return all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True))


@pytest.mark.slow
def test_acol(command, caplog):
    code, out, err = command("train-acol", *ACOL, "--output", "a.keras", "--run-dir", "run")
    assert code == 0, err
    assert re.fullmatch(rf"train_acol.py-shapes-.*(,{NUMBER}){{6}}", last_line(out))
    assert caplog.text.count("validation accuracy") == 2
    assert "| masks of clean, in % |" in caplog.text
    assert {path.name for path in pathlib.Path("run/pictures").glob("*.png")} == {
        "maps-1.png", "maps-2.png", "maps-last.png", "learning_curves.png"
    }  # fmt: skip
    assert cv2.imread("run/pictures/maps-last.png").std() > 5
    model = keras.models.load_model("a.keras", safe_mode=True)
    assert {name: tensor.shape for name, tensor in model.output.items()} == {
        "logits": (None, 6), "maps": (None, 2, 2, 6)
    }  # fmt: skip
    assert last_line(command("evaluate", *SHAPES[:3], "a.keras")[1]) in last_line(out)


@pytest.mark.slow
def test_a_model_in_the_middle_of_a_run_is_not_the_one_that_is_kept(command, monkeypatch):
    """The first epoch is called the best, so the second leaves no trace."""
    scores = iter([0.9, 0.1])

    class Found:
        tests = {"validation": 0}

        def __init__(self):
            self.tests = {"validation": next(scores)}

    with monkeypatch.context() as scored:
        scored.setattr("bginv.methods.acol.experiment.evaluate_accuracy", lambda *_, **__: Found())
        assert command("train-acol", *ACOL, "--output", "two.keras")[0] == 0
    one_epoch = (*ACOL[:-1], "1")
    assert command("train-acol", *one_epoch, "--output", "one.keras")[0] == 0
    assert same_weights("one.keras", "two.keras")


@pytest.mark.slow
def test_acol_goes_on_where_it_stopped(command, monkeypatch):
    assert command("train-acol", *ACOL, "--output", "whole.keras")[0] == 0
    from bginv.methods.acol import experiment as acol

    evaluate, calls = acol.evaluate_accuracy, []

    def fail_once(*arguments, **keywords):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError("no evaluation today")
        return evaluate(*arguments, **keywords)

    monkeypatch.setattr(acol, "evaluate_accuracy", fail_once)
    flags = (*ACOL, "--checkpoint-steps", "2", "--output", "parts.keras")
    code, _, err = command("train-acol", *flags)
    assert code == 1 and "no evaluation today" in err
    code, _, err = command("train-acol", *flags)
    assert code == 0, err
    assert same_weights("whole.keras", "parts.keras")


def write_folder(root: pathlib.Path) -> None:
    for split in ("train", "validation"):
        for number, name in enumerate(("dark", "light")):
            for i in range(3):
                path = root / split / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), np.full((70, 70, 3), 30 + 150 * number + i, np.uint8))


@pytest.mark.slow
def test_acol_as_its_port_is_called(command):
    write_folder(pathlib.Path("input"))
    code, out, err = command(
        "train-acol", "--input-path", "input", "--batch-size", "2", "--epochs", "1", "--model",
        "resnet18", "--cls-recipe", "pp", "--delta-list", "0.9", "--weights", "none",
        "--output", "a.keras",
    )  # fmt: skip
    assert code == 0, err
    assert last_line(out).count(",") == 2  # train and validation
    assert keras.models.load_model("a.keras").input_shape == (None, 197, 197, 3)


@pytest.mark.slow
def test_a_run_by_the_ports_options_goes_on_with_resume(command, monkeypatch):
    write_folder(pathlib.Path("input"))
    flags = (
        "--input-path", "input", "--batch-size", "2", "--epochs", "1", "--model", "resnet18",
        "--image-size", "64", "--weights", "none", "--run-dir", "run",
    )  # fmt: skip
    with monkeypatch.context() as broken:

        def fail(*_, **__):
            raise OSError("no evaluation today")

        broken.setattr("bginv.methods.acol.experiment.evaluate_accuracy", fail)
        assert command("train-acol", *flags)[0] == 1
    code, out, err = command("train-acol", "--resume", "--run-dir", "run")
    assert code == 0, err
    assert command("train-acol", *flags)[0] == 0
    code, _, err = command("train-acol", "--resume", "--run-dir", "run", "--input-path", "input")
    assert code == 0, err


@pytest.mark.slow
def test_eader(command, caplog):
    flags = (*ERASING, "--experiment_name", "first", "--output", "e.keras")
    code, out, err = command("train-erasing", *flags)
    assert code == 0, err
    assert re.search(rf"train_erasing.py-shapes-.*(,{NUMBER}){{6}}", out)
    assert "| masks of clean, in % |" in caplog.text
    assert pathlib.Path("results/first/pictures/maps-last.png").is_file()
    model = keras.models.load_model("e.keras", safe_mode=True)
    assert model.output["maps"].shape == (None, 2, 2, 6)
    code, again, err = command("train-erasing", *ERASING, "--evaluate", "--output", "e.keras")
    assert code == 0, err
    assert last_line(again).split(",")[1:] == last_line(out).split(",")[1:]
    code, tables, err = command("evaluate-seg", *SHAPES[:3], "e.keras", "--output", "seg")
    assert code == 0, err
    assert "| 0.3 " in tables and len(list(pathlib.Path("seg").iterdir())) == 12


@pytest.mark.slow
def test_an_experiment_goes_on_by_its_name(command, monkeypatch):
    flags = (*ERASING, "--experiment_name", "second")
    with monkeypatch.context() as broken:

        def fail(*_, **__):
            raise OSError("no report today")

        broken.setattr("bginv.methods.erasing.experiment.report_localizer", fail)
        assert command("train-erasing", *flags)[0] == 1
    code, _, err = command("train-erasing", "--resume", "--experiment_name", "second")
    assert code == 0, err
    assert pathlib.Path("results/second/report.html").is_file()


@pytest.mark.slow
def test_eader_goes_on_in_the_turn_in_which_it_stopped(command, monkeypatch):
    flags = (*ERASING, "--checkpoint-steps", "1")
    assert command("train-erasing", *flags, "--output", "whole.keras")[0] == 0
    from bginv.engine.loop import _Training

    save = _Training._save

    def save_and_fail(training, *arguments):
        save(training, *arguments)
        if training.step == 2:
            raise OSError("enough")

    with monkeypatch.context() as broken:
        broken.setattr(_Training, "_save", save_and_fail)
        code, _, err = command("train-erasing", *flags, "--output", "parts.keras")
        assert code == 1 and "enough" in err
    code, _, err = command("train-erasing", *flags, "--output", "parts.keras")
    assert code == 0, err
    assert same_weights("whole.keras", "parts.keras")


@pytest.fixture
def streets(tmp_path) -> str:
    """Images that show one or two of two classes, with label maps."""
    (tmp_path / "streets").mkdir()
    (tmp_path / "streets/classes.txt").write_text("car\nroad\n")
    for split in ("train", "test"):
        for i in range(4):
            numbers = np.zeros((70, 70), np.uint8)
            numbers[:30] = 1 + i % 2
            numbers[50:] = 2
            image = np.repeat(numbers[..., None] * 90, 3, -1)
            for kind, pixels, ending in (("images", image, "jpg"), ("labels", numbers, "png")):
                path = tmp_path / "streets" / split / kind / f"{i}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), pixels)
    return f"segmentation:{tmp_path / 'streets'}"


@pytest.mark.slow
def test_eader_on_images_of_several_classes(command, streets, caplog):
    flags = (streets, *ERASING[1:], "--attention_type", "cam", "--output", "e.keras")
    code, _, err = command("train-erasing", *flags, "--evaluate-every", "0")
    assert code == 0, err
    assert "Mean AUROC - train: " in caplog.text
    rows = re.findall(r"\| (background|car|road|mean) ", caplog.text)
    assert rows == ["background", "car", "road", "mean"]
    code, out, err = command("evaluate-seg", streets, "e.keras", "--image-size", "64")
    assert code == 0, err
    assert out.count("all pixels of 4 images") == 2
    code, _, err = command("train-acol", streets, *ACOL[1:])
    assert code == 2 and "has several classes an image" in err
    code, _, err = command("train-erasing", *flags[:-1], "f.keras", "--xla", "on")
    assert code == 2 and "--xla on needs one label an image" in err


@pytest.mark.slow
def test_weights_of_a_checkpoint_start_a_training(command):
    features = build_features("resnet18", (64, 64, 3))
    state = {**state_of(features), "fc.weight": np.zeros((9, 128)), "fc.bias": np.zeros(9)}
    np.savez("imagenet.npz", **state)
    flags = [*ACOL[:-1], "1", "--learning-rate", "0", "--output", "a.keras"]
    flags[flags.index("none")] = "imagenet.npz"
    code, _, err = command("train-acol", *flags)
    assert code == 0, err
    (kernel,) = (
        layer.kernel.numpy()
        for layer in keras.models.load_model("a.keras")._flatten_layers()
        if layer.name == "conv1"
    )
    np.testing.assert_array_equal(kernel, state["conv1.weight"].transpose(2, 3, 1, 0))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classifier", "localizer", "acol"])
def test_conversions(command, kind):
    shape = (64, 64, 3)
    if kind == "acol":
        features = build_features("resnet18", shape)
        classifiers = build_classifiers(features.output_shape[1:], 6, "pn")
        model, options = build_acol(features, classifiers, [0.6]), ("--delta-list", "0.6")
    else:
        model, options = build_network("resnet18", shape, 6), ()
    np.savez("a.npz", **{f"module.{name}": own for name, own in state_of(model).items()})
    flags = ("a.npz", "a.keras", "--kind", kind, "--network", "resnet18", "--image-size", "64")
    code, _, err = command(None, "convert-weights", *flags, *options)
    assert code == 0, err
    converted = keras.models.load_model("a.keras")
    assert isinstance(converted.output, dict) == (kind != "classifier")
    code, out, err = command("evaluate", *SHAPES[:3], "a.keras")
    assert code == 0, err
    if kind != "classifier":
        assert command("evaluate-seg", *SHAPES[:3], "a.keras", "--output", "seg")[0] == 0
    code, _, err = command(None, "convert-weights", *flags)
    assert code == 2 and "a.keras exists already" in err
