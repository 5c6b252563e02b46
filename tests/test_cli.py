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

ROOT = pathlib.Path(__file__).resolve().parent.parent
PHASE3 = ("train3", "digits", "m1.keras", "heuristic", "otsu")
ATTENTION = ("train-att", "digits", "--limit", "8", "--steps", "1")
ACOL = ("train-acol", "digits", "--output", "a.keras")
ERASING = ("train-erasing", "digits")
WRONG = {
    "dataset": (("train1", "digit"), "unknown dataset 'digit'; did you mean 'digits'?"),
    "dataset of a run": ((None, "run", "mnits"), "did you mean 'mnist'?"),
    "model": (("train2", "digits", "no.keras", "otsu"), "no model file no.keras"),
    "mask model": (
        ("train3", "digits", "m1.keras", "no.h5", "otsu", "adv"),
        "no model file no.h5",
    ),
    "mistakes of no model": (
        ("train1", "digits", "--mistakes-of", "no.keras"),
        "no model file no.keras",
    ),
    "mistakes of no model in a run": (
        (None, "run", "digits", "--mistakes-of", "no.keras"),
        "no model file no.keras",
    ),
    "an option of photographs in the three phases": (
        (None, "run", "digits", "--freeze"),
        "--freeze is not for the three phases: leave it out, or give --recipe photographs",
    ),
    "an output of a run": ((None, "run", "digits", "--output", "m.keras"), "--output is not for"),
    "mistakes of a classifier of other images": (
        ("train1", "shapes", "--image-size", "32", "--mistakes-of", "m1.keras"),
        "m1.keras takes images",
    ),
    "mixing without masks": (
        ("train1", "digits", "--background-mixing", "0.5"),
        "--background-mixing needs masks, and the training images of digits have none",
    ),
    "mixing in a run without masks": (
        (None, "run", "digits", "--classifier-background-mixing", "0.5"),
        "mix in phase 3 alone (train3.py, or bginv run --adversarial-background-mixing)",
    ),
    "nothing to mix with": (
        ("train1", "shapes", "--background-mixing", "1", "--batchsize", "1"),
        "--batchsize 1 gives 1 image a device, and mixing needs 2; raise it",
    ),
    "backgrounds that are replaced anyway": (
        ("train3", "digits", "m1.keras", "heuristic", "otsu", "adv", "--background-mixing", "0.5"),
        "--background-mixing changes the images that --clean-fraction leaves as they are",
    ),
    "model's ending": (("evaluate", "digits", "m1.bin"), "must end in .keras or .h5"),
    "pickled model": (("evaluate", "digits", "m1.pt"), "m1.pt may hold pickled code"),
    "no TF_CONFIG": (
        ("train1", "digits", "--distribute", "multiworker"),
        "needs the environment variable TF_CONFIG",
    ),
    "image size of its own": (
        ("train1", "digits", "--image-size", "32"),
        "shapes, shapes_unbiased, voc2012 alone; digits has a size of its own",
    ),
    "no letters of a recipe": (
        (*ACOL, "--cls-recipe", "px"),
        "--cls-recipe must be letters p and n, such as pn; received 'px'",
    ),
    "too few deltas": (
        (*ACOL, "--cls-recipe", "pnp"),
        "--delta-list needs 2 numbers, one for each classifier of 'pnp' but the last; received 1",
    ),
    "deltas that are no numbers": (
        (*ACOL, "--delta-list", "0.6;0.9"),
        "must be numbers separated by commas; received '0.6;0.9'",
    ),
    "no data set to localize in": (
        ("train-acol", "--epochs", "1"),
        "one of the name of a data set and --input-path is needed",
    ),
    "two data sets": (
        ("train-erasing", "digits", "--dataset_root", "photographs"),
        "one of the name of a data set and --dataset-root is needed",
    ),
    "no VOCdevkit": (
        ("train-erasing", "--dataset_root", "photographs"),
        "voc2012 needs these in photographs: VOCdevkit/VOC2012/JPEGImages",
    ),
    "features of one place": (
        (*ACOL, "--weights", "none", "--model", "resnet18"),
        "--image-size 32 leaves features of 1x1, which show no place",
    ),
    "checkpoint for a network": (
        (*ACOL, "--weights", "no.pth"),
        "no.pth: there is no such file",
    ),
    "weights that Keras does not have": (
        (*ACOL, "--model", "resnet34"),
        "Keras has no ImageNet weights of resnet34, only of resnet50",
    ),
    "CAM of dense layers": (
        (*ERASING, "--localizer-model", "vgg16", "--attention-type", "cam"),
        "--attention-type cam needs one dense layer behind averaged features",
    ),
    "two adversaries": (
        (*ERASING, "--share_weights", "--adversarial_model", "resnet18"),
        "leave --adversarial-model out",
    ),
    "nothing to evaluate": ((*ERASING, "--evaluate"), "--evaluate needs --output"),
    "checkpoint to convert": (
        (None, "convert-weights", "no.npz", "a.keras"),
        "no.npz: there is no such file",
    ),
    "conversion to h5": (
        (None, "convert-weights", "no.npz", "a.h5"),
        "the output must end in .keras; received a.h5",
    ),
    "unknown source": (("train-adapt", "gta6"), "unknown domain 'gta6'. Known: gta5"),
    "missing source": (
        ("train-adapt", "--data-dir", "nowhere"),
        "gta5: nowhere is not a folder; name that of the publisher's files with --data-dir",
    ),
    "no domain": (
        ("train-adapt", "domain:photographs"),
        "photographs has no folder images; the layout is PATH/images, PATH/labels",
    ),
    "size of one number": (
        ("train-adapt", "shapes", "--input-size", "64"),
        "--input-size must be width,height; received 64",
    ),
    "no images of the target": (
        ("train-adapt", "shapes", "--target", "domain:photographs", "--image-size", "64"),
        "has no folder images",
    ),
    "other classes of the target": (
        ("train-adapt", "shapes", "--target", "domain:streets", "--image-size", "64"),
        "source and target need the same classes; shapes has background, ",
    ),
    "a target to choose by without label maps": (
        ("train-adapt", "domain:streets", "--target", "domain:unlabelled", "--image-size", "64")
        + ("--validation", "target"),
        "--validation target needs label maps, and domain:unlabelled has none",
    ),
    "two outputs of a VGG": (
        ("train-adapt", "shapes", "--model", "DeeplabVGG"),
        "DeeplabVGG has one output; give --adaptation single or feature",
    ),
    "rates of 0": (
        ("train-adapt", "shapes", "--target", "shapes_dusk", "--image-size", "32")
        + ("--model", "light", "--steps", "20", "--num-steps", "10"),
        "--num-steps 10 is where rates reach 0, before the last of 20 steps",
    ),
    "segmenter as h5": (
        ("train-adapt", "shapes", "--output", "a.h5"),
        "a segmentation network is saved as .keras; received a.h5",
    ),
    "model of other classes": (
        (None, "evaluate-domain", "shapes", "m1.keras", "--image-size", "32"),
        "but maps of 7 classes are needed: name a segmentation network",
    ),
    "no variation": (
        ("evaluate-backgrounds", "photographs", "m1.keras"),
        "photographs holds no variation; the layout is ROOT/original/val/CLASS/NAME.JPEG",
    ),
    "TFDS without a name": (("train1", "tfds:"), "needs the name of a TFDS builder"),
    "missing files": (
        (None, "datasets", "gtsrb", "--data-dir", "photographs"),
        "gtsrb needs these in photographs: gtsrb/GTSRB/Training or",
    ),
    "missing files to train on": (
        ("train1", "gtsrb", "--data-dir", "photographs"),
        "get them from INI Bochum (benchmark.ini.rub.de) and unpack them there",
    ),
    "network of Keras in another module": (
        (
            "train1",
            "digits",
            "--architecture",
            "mobilenetv3small",
            "--weights",
            "none",
            "--output",
            "a.h5",
        ),
        "a.h5: .h5 files hold the paper's architectures",
    ),  # fmt: skip
    "architecture": (
        ("train1", "digits", "--architecture", "vgg18"),
        "--architecture must be auto, small, efficientnet_lite0 or one of ConvNeXtBase",
    ),
    "no weights file": (
        ("train1", "digits", "--architecture", "MobileNet", "--weights", "no.h5"),
        "--weights no.h5: there is no such file",
    ),
    "weights of something else": (
        ("train1", "digits", "--architecture", "MobileNet", "--weights", "photographs/b.png"),
        "--weights photographs/b.png does not hold mobilenet",
    ),
    "weights of the small classifier": (
        ("train1", "digits", "--weights", "no.h5"),
        "is for a network of keras.applications",
    ),
    "weights without a network": (
        ("train1", "digits", "--architecture", "mobilenet"),
        "cannot be downloaded (<urlopen error no network today>): instead of imagenet, give a file",
    ),
    "images too small for the network": (
        ("train1", "digits", "--architecture", "xception", "--weights", "none"),
        "Xception: Input size must be at least 71x71",
    ),
    "h5 of a network of Keras": (
        (
            "train1",
            "digits",
            "--architecture",
            "mobilenet",
            "--weights",
            "none",
            "--output",
            "a.h5",
        ),
        "a.h5: .h5 files hold the paper's architectures",
    ),
    "h5 of a classifier of any size": (
        ("train3", "digits", "any.keras", "heuristic", "otsu", "black", "--output", "m3.h5"),
        "save this classifier as .keras",
    ),
    "no masks": (
        ("train3", "digits", "m1.keras", "given", "otsu", "adv"),
        "the training images of digits have no masks of their own",
    ),
    "no masks for a run": (
        (None, "run", "digits", "--masks", "given"),
        "have no masks of their own: name a mask generator or heuristic",
    ),
    "threshold of the heat map": (
        ("train-att", "digits", "--tau", "2"),
        "--tau must be at most 1; received 2.0",
    ),
    "global classifier of AG-CNN": (
        ("train-att", "digits", "--fusion", "paper", "--global-model", "m1.keras"),
        "--global-model is for --fusion joint",
    ),
    "no global classifier": (
        (*ATTENTION, "--global-model", "no.keras"),
        "no model file no.keras",
    ),
    "global classifier without maps": (
        (*ATTENTION, "--global-model", "dense.keras"),
        "has no layer that flattens or averages feature maps",
    ),
    "global classifier with maps inside a model": (
        (*ATTENTION, "--global-model", "nested.keras"),
        "has no layer that flattens or averages feature maps",
    ),
    "global classifier and architecture": (
        (*ATTENTION, "--global-model", "m1.keras", "--architecture", "vgg19"),
        "--architecture is",
    ),
    "h5 of an attention model": (
        (*ATTENTION, "--output", "a.h5"),
        "a.h5: .h5 files hold the paper's architectures",
    ),
    "masks into a file": (
        ("evaluate-seg", "digits", "u1.keras", "--output", "m1.keras"),
        "m1.keras is a file",
    ),
    "contact sheets into a file": (
        (None, "datasets", "digits", "--output", "m1.keras"),
        "m1.keras is a file",
    ),
    "no folder": (("train1", "folder:nowhere"), "nowhere does not exist"),
    "no train folder": (("train1", "folder:photographs"), "photographs holds no folder train"),
    "folder of another layout": (("train1", "photographs"), "photographs holds no folder train"),
    "resume without a place": (("train1", "digits", "--resume"), "--resume needs the --run-dir or"),
    "resume and overwrite": (
        ("train1", "digits", "--output", "m.h5", "--resume", "--overwrite"),
        "give one of them",
    ),
    "resume without a run": (
        (None, "run", "digits", "--resume"),
        "runs/digits holds no run that could go on",
    ),
    "precision": (("train1", "digits", "--precision", "half"), "invalid choice: 'half'"),
    "checkpoint minutes": (
        ("train1", "digits", "--checkpoint-minutes", "-1"),
        "--checkpoint-minutes must be at least 0",
    ),
    "image size": (
        ("evaluate", "digits", "m64.keras"),
        "takes images of 64x64x1, but those of digits are 32x32x1",
    ),
    "classes": (
        ("evaluate", "digits", "m5.keras"),
        "knows 5 classes, but digits has labels 0 to 9",
    ),
    "kind of model": (("evaluate", "digits", "u1.keras"), "name a classifier"),
    "no photographs": ((*PHASE3, "real"), "back = real needs --backgrounds"),
    "photographs without use": (
        (*PHASE3, "adv", "--backgrounds", "."),
        "--backgrounds is for back = real",
    ),
    "broken photograph": (
        (*PHASE3, "real", "--backgrounds", "photographs"),
        "1 of 2 image files cannot be read, the first: photographs/b.png (it is not a whole jpeg",
    ),
    "data folder": (("train1", "mnist", "--data-dir", "nowhere"), "nowhere is not a folder"),
    "a phase of a run": (
        (None, "run", "digits", "--masks-steps", "0"),
        "masks: --steps must be at least 1; received 0",
    ),
    "output is a folder": (("train1", "digits", "--output", "photographs"), "is a folder"),
    "weights alone": (("train1", "digits", "--output", "a.weights.h5"), "must end in .keras or"),
    "h5 of another architecture": (
        ("train3", "digits", "own.keras", "heuristic", "otsu", "adv", "--output", "m3.h5"),
        "save this classifier as .keras",
    ),
    "two outputs": (("evaluate", "digits", "two.keras"), "has 2 outputs"),
    "two inputs": (("evaluate", "digits", "inputs.keras"), "has 2 inputs"),
    "masks of another size": (
        ("train3", "digits", "m1.keras", "half.keras", "otsu", "adv"),
        "outputs of shape (16, 16, 1), which are no masks",
    ),
    "not a number": (
        ("train1", "digits", "--learning-rate", "nan"),
        "--learning-rate must be a finite number",
    ),
    "photographs": (
        (*PHASE3, "real", "--backgrounds", "nowhere"),
        "--backgrounds nowhere is not a folder that can be read",
    ),
    "tiles": ((*PHASE3, "adv", "--tiles", "3"), "--tiles may be 1, 2, 4, 8"),
    "tiles twice": ((*PHASE3, "adv", "--tiles", "2,2"), "--tiles names a count twice: 2,2"),
    "epochs": (("train1", "digits", "--epochs", "-1"), "--epochs must be at least 1; received -1"),
    "number": (("train1", "digits", "--epochs", "many"), "invalid int value: 'many'"),
    "choice": (("train2", "digits", "m1.keras", "half"), "invalid choice: 'half'"),
    "missing argument": (("train2", "digits"), "required: model, binarize"),
    "unknown flag": (("train1", "digits", "--epoch-count", "3"), "unrecognized arguments"),
    "misspelt flag": (
        (None, "run", "digits", "--run-dirr", "a"),
        "bginv run: error: unrecognized arguments: --run-dirr a; did you mean --run-dir?",
    ),
    "misspelt command": (
        (None, "audti", "model.keras"),
        "unknown command 'audti'; did you mean audit?",
    ),
    "output's ending": (("train1", "digits", "--output", "m.pt"), "must end in .keras or .h5"),
    "output exists": (("train1", "digits", "--output", "m1.keras"), "m1.keras exists already"),
    "run folder exists": (("train1", "digits", "--run-dir", "."), "exists already"),
    "run folder is a file": (("train1", "digits", "--run-dir", "m1.keras/x"), "is a file"),
    "batch": (
        (*PHASE3, "adv", "--tiles", "1,2,4", "--batchsize", "2"),
        "leaves 2 images for 3 generators",
    ),
    "steps and epochs": (
        ("train1", "digits", "--steps", "3", "--epochs", "3"),
        "--steps and --epochs exclude each other",
    ),
    "no command": ((None,), "required: command"),
}


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
