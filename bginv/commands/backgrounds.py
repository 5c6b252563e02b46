"""The command of the Backgrounds Challenge."""

import json
import pathlib
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import logging

from bginv.checksums import content_number
from bginv.commands.settings import EvaluateBackgroundsSettings
from bginv.data.in9 import (
    IMAGENET_CLASSES,
    IN9_CLASSES,
    are_of_in9,
    class_folders,
    has_challenge,
    imagenet_to_in9,
    load_backgrounds,
    load_foregrounds,
    load_variation,
    present_variations,
)
from bginv.errors import UserError
from bginv.evaluation.background_challenge import (
    Challenge,
    Predict,
    Verdicts,
    bootstrap,
    correct_on,
    predictor,
)
from bginv.interop.classifiers import Classifier, load_logits
from bginv.output_files import (
    check_writable,
    refuse_existing,
    write_file,
    write_text,
)
from bginv.report.tables import variations_table

IMAGE_SIDE = 224


def prepare_evaluate_backgrounds(
    settings: EvaluateBackgroundsSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Accuracy on every variation that is there, BG-Gap, and the challenge."""
    del strategy
    results = pathlib.Path(settings.json) if settings.json else None
    if results:
        refuse_existing([results], settings.overwrite)
        check_writable(results)
    variations = present_variations(settings.data_path)
    with_challenge = settings.challenge and has_challenge(settings.data_path)
    if settings.state:
        if not settings.state.endswith(".npz"):
            raise UserError(f"--state must end in .npz; received {settings.state}")
        check_writable(pathlib.Path(settings.state))
    model = load_logits(settings.model)
    size = _size(model, settings)
    predict = predictor(model.call, _class_map(model, settings))

    def job() -> None:
        # first, as a fault may be found here
        run_challenge = _challenge(settings, predict, size) if with_challenge else None
        correct = {}
        for name in variations:
            correct[name] = correct_on(predict, load_variation(settings.data_path, name, size))
            logging.info("%s: %.4f of %d", name, correct[name].mean(), len(correct[name]))
        found = _summary(correct)
        if run_challenge:
            verdicts = run_challenge()
            found["challenge"] = {
                "foregrounds": len(verdicts.vulnerable),
                "vulnerable": int(verdicts.vulnerable.sum()),
                "challenge_accuracy": verdicts.challenge_accuracy,
                "passes": verdicts.passes,
            }
        comparable = are_of_in9(class_folders(settings.data_path))
        print(variations_table(found, settings.model, comparable), end="")
        if results:
            write_text(results, json.dumps({"model": settings.model, **found}, indent=2) + "\n")
            logging.info("wrote %s", results)

    return job


def _size(model: Classifier, settings: EvaluateBackgroundsSettings) -> tuple[int, int]:
    """Height and width of the images.

    Raises:
        UserError: the model takes others than those asked for.
    """
    asked = (settings.image_size, settings.image_size) if settings.image_size else None
    if None in model.size:
        return asked or (IMAGE_SIDE, IMAGE_SIDE)
    if asked and asked != model.size:
        raise UserError(
            f"{settings.model} takes images of {model.size[0]}x{model.size[1]}, not of "
            f"--image-size {settings.image_size}"
        )
    return model.size


def _class_map(model: Classifier, settings: EvaluateBackgroundsSettings) -> np.ndarray | None:
    """What each logit stands for.

    Raises:
        UserError: neither a logit for each class of the folders, nor ImageNet's for ImageNet-9.
    """
    folders = class_folders(settings.data_path)
    if model.num_classes == len(folders):
        return None
    if model.num_classes == IMAGENET_CLASSES and are_of_in9(folders):
        return imagenet_to_in9()
    raise UserError(
        f"{settings.model} tells {model.num_classes} classes apart, but {settings.data_path} has "
        f"{len(folders)}; as many are needed, or ImageNet's {IMAGENET_CLASSES} for the "
        f"{len(IN9_CLASSES)} of ImageNet-9 (00_dog, 01_bird, ...)"
    )


def _summary(correct: dict[str, np.ndarray]) -> dict:
    """Accuracies and BG-Gap, each with its 95 % interval."""

    def mean(sample: np.ndarray) -> np.ndarray:
        return sample.mean(-1)

    found = {
        "accuracy": {name: float(own.mean()) for name, own in correct.items()},
        "interval": {name: bootstrap(mean, own) for name, own in correct.items()},
    }
    if {"mixed_same", "mixed_rand"} <= correct.keys():
        both = correct["mixed_same"], correct["mixed_rand"]
        found["bg_gap"] = float(both[0].mean() - both[1].mean())
        found["bg_gap_interval"] = bootstrap(lambda same, rand: mean(same) - mean(rand), *both)
    return found


def _model_number(path: pathlib.Path) -> int:
    """A number that tells other models from this one, a file or a folder."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return zlib.crc32(repr([content_number(file) for file in files]).encode())


def _challenge(
    settings: EvaluateBackgroundsSettings, predict: Predict, size: tuple[int, int]
) -> Callable[[], Verdicts]:
    """What runs the challenge, from where the state file left off."""
    foregrounds = load_foregrounds(settings.data_path, size).source
    backgrounds = load_backgrounds(settings.data_path, size)
    challenge = Challenge(predict, foregrounds, backgrounds, settings.batchsize)
    if settings.state is None:
        return lambda: challenge.run(lambda: logging.info("%s", challenge.progress()))
    file = pathlib.Path(settings.state)
    number = zlib.crc32(backgrounds, _model_number(pathlib.Path(settings.model)))
    number = zlib.crc32(foregrounds.masks, foregrounds.digest() ^ number)
    if file.is_file():
        challenge.restore(_read_state(file, number))
        logging.info("goes on: %s", challenge.progress())

    def keep() -> None:
        def write(temporary: str) -> None:
            np.savez(temporary, number=number, **challenge.state())

        write_file(file, write)
        logging.info("%s", challenge.progress())

    return lambda: challenge.run(keep)


def _read_state(file: pathlib.Path, number: int) -> dict[str, np.ndarray]:
    """The state of the challenge that bears this number.

    Raises:
        UserError: it is that of another one, or no state.
    """
    try:
        with np.load(file, allow_pickle=False) as kept:
            state = dict(kept)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"--state {file} cannot be read ({error}); remove it") from error
    if int(state.get("number", -1)) != number:
        raise UserError(
            f"--state {file} is that of another model or of other images; remove it, or name "
            "another one"
        )
    return state
