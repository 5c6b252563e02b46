"""Wrong command lines: exit code 2, one line that says what to do, nothing written."""

import os
import pathlib
import subprocess
import sys
import urllib.error

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.interop.model_files import save_model
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from bginv.subcommands import COMMANDS
from tests.wrong_arguments import WRONG

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wrong_models() -> dict[str, keras.Model]:
    """Models to name in a command line, by file."""
    image, other = keras.Input((32, 32, 1)), keras.Input((32, 32, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    logits = keras.layers.Dense(10)(pooled)
    both = keras.layers.Add()([image, other])
    return {
        "m1.keras": build_classifier((32, 32, 1), 10),
        "m5.keras": build_classifier((32, 32, 1), 5),
        "m64.keras": build_classifier((64, 64, 1), 10),
        "u1.keras": build_mask_unet((32, 32, 1)),
        "own.keras": keras.Model(image, logits),
        "any.keras": keras.Sequential(
            [
                keras.Input((None, None, 1)),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(10),
            ]
        ),
        "nested.keras": keras.Sequential(
            [
                keras.Input((32, 32, 1)),
                keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Flatten()]),
                keras.layers.Dense(10),
            ]
        ),
        "dense.keras": keras.Sequential(
            [
                keras.Input((32, 32, 1)),
                keras.layers.Reshape((32, 32)),
                keras.layers.Flatten(),
                keras.layers.Dense(10),
            ]
        ),
        "two.keras": keras.Model(image, [logits, pooled]),
        "inputs.keras": keras.Model([image, other], keras.layers.Flatten()(both)),
        "half.keras": keras.Model(image, keras.layers.MaxPooling2D()(image)),
    }


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(command, tmp_path, wrong_models, monkeypatch, name):
    def fail(*arguments, **keywords):
        raise urllib.error.URLError("no network today")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fail)
    for file, model in wrong_models.items():
        save_model(model, tmp_path / file)
    (tmp_path / "photographs").mkdir()
    cv2.imwrite(str(tmp_path / "photographs" / "a.png"), np.zeros((40, 40, 3), np.uint8))
    (tmp_path / "photographs" / "b.png").write_bytes(b"no picture")
    for domain, kinds in (("streets", ("images", "labels")), ("unlabelled", ("images",))):
        for kind in kinds:
            (tmp_path / domain / kind).mkdir(parents=True)
            for stem in "abc":
                pixels = np.arange(40 * 40, dtype=np.uint8).reshape(40, 40) % 2
                cv2.imwrite(str(tmp_path / domain / kind / f"{stem}.png"), pixels)
        (tmp_path / domain / "classes.txt").write_text("road\nsky\n")
    before = sorted(tmp_path.rglob("*"))
    arguments, message = WRONG[name]
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 and message in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_every_command_has_help(command, name):
    code, out, err = command(None, *([name] if name else []), "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: bginv {name or ''}".rstrip())
    if name:
        # argparse breaks lines within words with hyphens too
        whole = "".join(COMMANDS[name].help.split())
        assert all(whole in "".join(text.split()) for text in (out, command(None, "--help")[1]))


def test_a_failure_while_running_exits_with_1(command):
    code, out, err = command(
        "train1", "digits", "--limit", "16", "--epochs", "9", "--learning-rate", "1e30"
    )
    assert (code, out) == (1, "")
    assert "error: classifier: loss is" in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "error", [ValueError("of Keras"), tf.errors.InvalidArgumentError(None, None, "of a graph")]
)
def test_a_fault_of_ours_keeps_its_traceback(command, monkeypatch, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("bginv.engine.loop.Progress.update", fail)
    with pytest.raises(type(error)):
        command("train1", "digits", "--limit", "8", "--epochs", "1")


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")]
)
def test_too_little_memory_is_one_line_that_says_what_to_do(command, monkeypatch, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("bginv.engine.loop.Progress.update", fail)
    code, out, err = command("train1", "digits", "--limit", "8", "--epochs", "1")
    assert (code, out) == (1, "")
    assert "not enough memory: a smaller --batchsize" in err.splitlines()[-1]


def test_an_interrupt_exits_with_130(command, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("bginv.engine.loop.Progress.update", interrupt)
    code, out, err = command("train1", "digits", "--limit", "8", "--epochs", "1")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "train1.py: error: interrupted"


USAGES = {
    "train1": "train1.py [options] dataset",
    "train2": "train2.py [options] dataset model binarize",
    "train3": "train3.py [options] dataset model unet_model binarize back",
    "train_att": "train_att.py [options] dataset",
    "train_acol": "train_acol.py [options] dataset",
    "train_erasing": "train_erasing.py [options] dataset",
    "train_adapt": "train_adapt.py [options] dataset",
    "evaluate": "evaluate.py [options] dataset model",
    "evaluate_backgrounds": "evaluate_backgrounds.py [options] data_path model",
    "evaluate_seg": "evaluate_seg.py [options] dataset model",
    "bginv": "bginv [-h]",
}


def test_no_program_is_forgotten():
    assert {path.stem for path in ROOT.glob("*.py")} - {"setup"} == USAGES.keys() - {"bginv"}


@pytest.mark.parametrize("script", USAGES)
def test_every_program_starts_and_explains_itself(script):
    program = ["-m", "bginv"] if script == "bginv" else [str(ROOT / f"{script}.py")]
    ended = subprocess.run(
        [sys.executable, *program, "--help"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"usage: {USAGES[script]}")
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_script_runs_as_a_program(tmp_path):
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train1.py"), "digits", "--limit", "8", "--epochs", "1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    assert line.startswith(f"{ROOT / 'train1.py'}-digits---limit-8---epochs-1,")
    assert ended.stderr.startswith("running on ")
