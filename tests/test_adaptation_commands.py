"""Output-space adaptation from end to end, and conversions of its checkpoints."""

import pathlib
import re

import cv2
import keras
import numpy as np
import pytest

from bginv.nn.deeplab import build_deeplab
from tests.golden_weights import blocky, draw, state_of
from tests.nn.test_deeplab import close, in_unit_range

SIZES = ("--input-size", "32,32", "--input-size-target", "32,32")
ADAPT = ("shapes", "--target", "shapes_dusk", *SIZES, "--recipe", "tuned", "--batch-size", "4")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr("bginv.data.shapes.NUM_TRAIN", 12)
    monkeypatch.setattr("bginv.data.shapes.NUM_TEST", 6)


def weights(name: str) -> list[np.ndarray]:
    return keras.models.load_model(name, safe_mode=True).get_weights()


def test_train_and_evaluate(command, caplog):
    arguments = (*ADAPT, "--epochs", "2", "--run-dir", "run", "--output", "a.keras")
    code, out, err = command("train-adapt", *arguments)
    assert code == 0, err
    last = out.strip().splitlines()[-1]
    found = re.fullmatch(r"train_adapt.py-shapes-.*,([01]\.\d+)", last)
    assert found
    assert caplog.text.count("averaged weights, mean IoU") == 2
    pictures = {path.name for path in pathlib.Path("run/pictures").iterdir()}
    assert pictures == {
        "label-maps-1.png", "label-maps-2.png", "label-maps-last.png", "learning_curves.png"
    }  # fmt: skip
    assert cv2.imread("run/pictures/label-maps-last.png").std() > 5
    evaluate = ("evaluate-domain", "shapes_dusk", "a.keras", "--image-size", "32")
    code, out, err = command(None, *evaluate)
    assert code == 0, err
    header, _, row = out.strip().splitlines()
    values = dict(zip(header.split("|"), row.split("|"), strict=True))
    assert float(values[" mean "]) == pytest.approx(100 * float(found[1]), abs=0.06)
    assert pathlib.Path("label-maps-last.png").is_file()
    code, out, err = command(None, *evaluate)
    assert code == 2 and "label-maps-last.png" in err


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_weights(command, monkeypatch):
    whole = (*ADAPT, "--adaptation", "single", "--steps", "6", "--evaluate-every", "0")
    code, _, err = command("train-adapt", *whole, "--output", "a.keras")
    assert code == 0, err
    calls = []

    def interrupt(self, step, again=False):
        save(self, step, again)
        calls.append(step)
        if step == 3:
            raise KeyboardInterrupt

    from bginv.engine.checkpoints import Checkpoints

    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", interrupt)
    arguments = (*whole, "--output", "b.keras", "--checkpoint-steps", "3")
    assert command("train-adapt", *arguments)[0] == 130
    monkeypatch.setattr(Checkpoints, "save", save)
    code, _, err = command("train-adapt", "--resume", "--output", "b.keras")
    assert code == 0, err
    assert calls == [3]
    for a, b in zip(weights("a.keras"), weights("b.keras"), strict=True):
        np.testing.assert_array_equal(a, b)


def write(path: str, state: dict, prefix: str = "") -> None:
    np.savez(path, **{prefix + name: array for name, array in state.items()})


def with_unused_branches(state: dict, heads: tuple[str, ...], prefix: str = "") -> dict:
    """The two branches that the published head has and does not use."""
    more = {
        f"{head}.conv2d_list.{place}.{leaf}": draw(
            f"{prefix}{head}.conv2d_list.{place}.{leaf}",
            state[f"{head}.conv2d_list.0.{leaf}"].shape,
        )
        for head in heads
        for place in (2, 3)
        for leaf in ("weight", "bias")
    }
    return {**state, **more}


@pytest.mark.slow
def test_released_checkpoints_become_models(command, golden_arrays):
    state = state_of(build_deeplab("DeepLab", 19), "", "bn3")
    write("multi.npz", with_unused_branches(state, ("layer5", "layer6")), "module.")
    convert = (None, "convert-weights")
    code, _, err = command(*convert, "multi.npz", "multi.keras", "--kind", "segmenter")
    assert code == 0, err
    reference = golden_arrays("adaptseg_deeplab_multi")
    images = in_unit_range(blocky(3101, (1, 3, 65, 65)))
    model = keras.models.load_model("multi.keras", safe_mode=True)
    # corners are aligned, so that each eighth pixel has a score of its own
    close(model(images).numpy()[:, ::8, ::8], reference["input0__head2"])


@pytest.mark.slow
def test_a_vgg_and_a_single_level_checkpoint(command, golden_arrays):
    state = state_of(build_deeplab("DeeplabVGG", 19), "vgg.")
    write("vgg.npz", with_unused_branches(state, ("classifier",)))
    convert = (None, "convert-weights")
    code, _, err = command(*convert, "vgg.npz", "vgg.keras", "--kind", "segmenter")
    assert code == 0, err
    model = keras.models.load_model("vgg.keras", safe_mode=True)
    assert model(np.zeros((1, 40, 48, 3), np.float32)).shape == (1, 40, 48, 19)
    single = state_of(build_deeplab("DeepLab", 4, auxiliary=False))
    write("one.npz", {name.replace("layer6.", "layer5."): own for name, own in single.items()})
    code, _, err = command(*convert, "one.npz", "one.keras", "--kind", "segmenter")
    assert code == 0, err
    code, _, err = command(*convert, "vgg.npz", "x.keras")
    assert code == 2
    del single["layer6.conv2d_list.0.bias"]
    write("bad.npz", single)
    code, _, err = command(*convert, "bad.npz", "bad.keras", "--kind", "segmenter")
    assert code == 2 and "1 missing: layer6.conv2d_list.0.bias" in err


@pytest.mark.slow
def test_training_begins_with_a_checkpoint_of_other_classes(command):
    state = state_of(build_deeplab("light", 3, seed=5))
    write("start.npz", state, "Scale.")
    arguments = (*ADAPT, "--steps", "1", "--learning-rate", "0", "--evaluate-every", "0")
    arguments += ("--average-decay", "0", "--restore-from", "start.npz", "--output", "a.keras")
    code, _, err = command("train-adapt", *arguments)
    assert code == 0, err
    own = keras.models.load_model("a.keras").get_layer("light")
    (backbone,) = (layer for layer in own.layers if isinstance(layer, keras.Model))
    kernel = backbone.get_layer("layer4.1.conv2").kernel.numpy()
    np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), state["layer4.1.conv2.weight"])
