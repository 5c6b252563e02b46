"""Export a model: every file is run again by its own runtime and compared with the model."""

import contextlib
import dataclasses
import pathlib
import shutil
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import keras
import numpy as np
from absl import logging

from bginv.data.sources import Dataset, spread_rows
from bginv.errors import UserError, first_line
from bginv.interop.formats import FORMATS, Predict, named, run_keras
from bginv.nn.pixel_range import range_of_layers
from bginv.output_files import (
    check_writable_folder,
    locked,
    refuse_existing,
    told_as_not_written,
)

DEFAULT_FORMATS = tuple(name for name in FORMATS if name != "h5")
BATCH, TIMED_CALLS, WARM_UP_CALLS = 64, 30, 3
NUM_CALIBRATION, NOISE_SIDE = 200, 224
SAVED_MODEL = "saved_model.pb"


@dataclasses.dataclass(frozen=True)
class Exported:
    """One file, as its runtime gave it back.

    Attributes:
        path: the file, or the folder of a SavedModel; None where there is none.
        size: in bytes.
        difference: the largest one between its outputs and the model's.
        agreement: share in [0, 1] of images (of pixels, for masks and label maps) that get the same
            class; of masks, that lie on the same side of one half.
        milliseconds: for one image, the median of 30 calls.
        problem: why there is no file.
    """

    path: pathlib.Path | None = None
    size: int | None = None
    difference: float | None = None
    agreement: float | None = None
    milliseconds: float | None = None
    problem: str | None = None


def check_formats(formats: Sequence[str]) -> None:
    """Raise if a format is not known, or a package that it needs is not there.

    Raises:
        UserError: it names the formats, or what to install.
    """
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"formats are {', '.join(FORMATS)}; received {name!r}")
    missing = {name: FORMATS[name].missing() for name in formats}
    if any(missing.values()):
        packages = dict.fromkeys(package for own in missing.values() for package in own)
        wanting = ", ".join(name for name, own in missing.items() if own)
        raise UserError(
            f"{wanting} needs packages that are not there: pip install {' '.join(packages)}, or "
            "leave the format out"
        )


def available_formats() -> list[str]:
    """The default formats whose packages are there."""
    return [name for name in DEFAULT_FORMATS if not FORMATS[name].missing()]


def comparison_images(
    model: keras.Model, dataset: Dataset | None, count: int
) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
    """Images to compare on, those to calibrate 8 bits with, and names for the model's classes.

    They have the range of pixels that the model's layers tell, else that of [0, 1].

    Args:
        model: tells the size of the images where there is no data set, and how many classes.
        dataset: its first test and its training images; None takes noise for both.
        count: of images to compare on.
    """
    told = range_of_layers(model)
    of_unit = told.of_unit if told else np.asarray
    if dataset is None:
        taken = getattr(model, "input_shape", None)
        if not isinstance(taken, tuple) or len(taken) != 4:
            raise UserError(f"{model.name} does not tell which images it takes: name data")
        shape = [side or NOISE_SIDE for side in taken[1:3]]
        noise = np.random.default_rng(0).random((count, *shape, taken[3]), np.float32)
        noise = of_unit(noise)
        return noise, noise[:NUM_CALIBRATION], ()
    shown, calibration = (
        source.take(spread_rows(source, number)).without_masks()
        for source, number in (
            (next(iter(dataset.tests.values())), count),
            (dataset.train, NUM_CALIBRATION),
        )
    )
    images, calibrated = (
        of_unit(np.concatenate([batch["image"] for batch in own.batches(BATCH)]))
        for own in (shown, calibration)
    )
    outputs = getattr(model, "output", None)
    scores = outputs.get("logits") if isinstance(outputs, dict) else outputs
    is_classifier = getattr(scores, "shape", ())[1:] == (dataset.num_classes,)
    return images, calibrated, dataset.class_names if is_classifier else ()


def export_files(
    folder: pathlib.Path, stem: str, formats: Sequence[str]
) -> dict[str, pathlib.Path]:
    """Where each format goes: `model.onnx`, `model.tflite`, ...; a SavedModel is a folder.

    Raises:
        UserError: see `check_formats`.
    """
    check_formats(formats)
    return {name: folder / f"{stem}{FORMATS[name].ending}" for name in formats}


def export_model(
    model: keras.Model,
    files: Mapping[str, pathlib.Path],
    images: np.ndarray,
    calibration: np.ndarray,
    class_names: Sequence[str] = (),
    overwrite: bool = False,
) -> dict[str, Exported]:
    """Write a model in each format, run it there, and compare.

    Args:
        model: images float32 [B, H, W, C] in [0, 1] to a tensor or a dict of tensors.
        files: place of each format, see `export_files`.
        images: float32 [N, H, W, C] in [0, 1], to compare on.
        calibration: float32 [M, H, W, C] in [0, 1], for 8 bits.
        class_names: written into the files, where there are some.
        overwrite: replace files that are there.

    Returns:
        What became of each format. One that cannot hold the model says so in `problem`.

    Raises:
        UserError: a file exists.
    """
    check_exports(files.values(), overwrite)
    with_names = named(model, images.shape[1:])
    expected = _in_batches(run_keras(with_names), images)
    found = {}
    with _begun(files.values()):
        for name, path in files.items():
            logging.info("writing %s", path)
            chosen = with_names if FORMATS[name].named else model
            unfinished = path.with_name(f".unfinished-{path.name}")
            try:
                _remove(unfinished)  # of a process that was killed
                with told_as_not_written(path):
                    _write(name, chosen, unfinished, calibration, class_names)
                of_file = _compare(unfinished, FORMATS[name].load(unfinished), images, expected)
                _remove(path)
                unfinished.rename(path)
                found[name] = dataclasses.replace(of_file, path=path)
            except Exception as error:  # converters and runtimes have no error of their own
                found[name] = Exported(problem=first_line(error))
            finally:
                _remove(unfinished)
    return found


def check_exports(paths: Iterable[pathlib.Path], overwrite: bool) -> None:
    """Raise if something is in the way of exported files.

    What an export has left that was killed is not.

    Raises:
        UserError: a file or another folder is there, or the folder cannot be written.
    """
    for path in paths:
        check_writable_folder(path.parent)
        if path.is_dir() and any(path.iterdir()) and not (path / SAVED_MODEL).is_file():
            raise UserError(f"{path} is a folder with something else in it: choose another place")
        refuse_existing([path], overwrite or _mark_of(path).exists())


def _mark_of(path: pathlib.Path) -> pathlib.Path:
    """What is there until an export is done; a killed one is done when it is run again."""
    return path.with_name(f".exporting-{path.name}")


@contextlib.contextmanager
def _begun(paths: Iterable[pathlib.Path]) -> Iterator[None]:
    """Let these files be replaced if this export is killed; others are refused meanwhile."""
    marks = list(map(_mark_of, paths))
    with contextlib.ExitStack() as held:
        for folder in dict.fromkeys(mark.parent for mark in marks):
            held.enter_context(locked(folder))
        try:
            for mark in marks:
                with told_as_not_written(mark):
                    mark.touch()
            yield
        finally:
            for mark in marks:
                mark.unlink(missing_ok=True)


def _write(
    name: str,
    model: keras.Model,
    path: pathlib.Path,
    calibration: np.ndarray,
    class_names: Sequence[str],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # TensorFlow tells how long it took
    try:
        FORMATS[name].write(model, path, calibration)
        if class_names:
            FORMATS[name].put_names(path, class_names)
    finally:
        logging.set_verbosity(verbosity)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _compare(
    path: pathlib.Path, predict: Predict, images: np.ndarray, expected: Mapping[str, np.ndarray]
) -> Exported:
    found = _in_batches(predict, images)
    if len(found) == 1:  # some formats have no names for outputs
        found = dict(zip(expected, found.values(), strict=True))
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    main = "logits" if "logits" in expected else next(iter(expected))
    same = _classes(found[main]) == _classes(expected[main])
    return Exported(
        path=path,
        size=sum(file.stat().st_size for file in files),
        difference=max(float(abs(found[name] - own).max()) for name, own in expected.items()),
        agreement=float(same.mean()),
        milliseconds=_milliseconds(predict, images[:1]),
    )


def _in_batches(predict: Predict, images: np.ndarray) -> dict[str, np.ndarray]:
    parts = [predict(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _classes(outputs: np.ndarray) -> np.ndarray:
    """The largest of the last axis, or what lies above one half where there is one value."""
    return outputs >= 0.5 if outputs.shape[-1] == 1 else outputs.argmax(-1)


def _milliseconds(predict: Predict, image: np.ndarray) -> float:
    seconds = []
    for call in range(WARM_UP_CALLS + TIMED_CALLS):
        began = time.perf_counter()
        predict(image)
        if call >= WARM_UP_CALLS:
            seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)
