"""Evaluate and export a model in one call."""

import os
import pathlib
from collections.abc import Sequence

import keras

from bginv.evaluation.accuracy import evaluate_accuracy
from bginv.interop.export import (
    available_formats,
    comparison_images,
    export_files,
    export_model,
)
from bginv.interop.model_files import load_any, load_classifier
from bginv.library.data import Data, as_dataset
from bginv.library.models import on_unit_images, side_of, with_logits
from bginv.report.table import Table
from bginv.report.tables import accuracy_table, exports_table


def evaluate(
    model: keras.Model | str | os.PathLike, data: Data, pixels: tuple[float, float] = (0.0, 1.0)
) -> Table:
    """How well a model does on every test: accuracy, or the mean absolute error of a regressor.

    Args:
        model: as for `robustify`, or the path of one that bginv has saved.
        data: see `as_dataset`; "digits_backgrounds" names tests on other backgrounds.
        pixels: the range of the pixels that the model takes.

    Raises:
        ValueError: a model for other images or fewer classes.
    """
    if not isinstance(model, keras.Model):
        name = os.fspath(model)
        dataset = as_dataset(data, side_of(load_any(name)))
        classifier = load_classifier(name, dataset)
    else:
        name, dataset = model.name, as_dataset(data, side_of(model))
        classifier = on_unit_images(model, dataset.image_shape, pixels)
        if not dataset.regression and not dataset.multi_label:
            classifier = with_logits(classifier, dataset)
    return accuracy_table({name: evaluate_accuracy(classifier, dataset, with_train=False)})


def export(
    model: keras.Model,
    path: str | os.PathLike,
    formats: Sequence[str] | None = None,
    data: Data | None = None,
    images: int = 500,
    overwrite: bool = False,
) -> Table:
    """Write a model in several formats, run each by its own runtime, and compare.

    Args:
        model: images float32 [B, H, W, C] in [0, 1] to a tensor or a dict of tensors.
        path: folder of the files, `model.onnx`, `model.tflite`, ...
        formats: "keras", "saved_model", "onnx", "litert", "litert_float16", "litert_int8", "h5";
            by default those whose packages are there, but "h5", which is for TensorFlow 2.15.
        data: see `as_dataset`: what the files are compared on, and calibrated with, in 8 bits. None
            takes noise, which tells little of 8 bits.
        images: how many of its first test.
        overwrite: replace files that are there.

    Returns:
        A row for each format: its size, the largest difference, how often the class is the same,
        milliseconds an image, and its file or why there is none.

    Raises:
        ValueError: an unknown format, a package that is not there, or a file that exists.
    """
    files = export_files(pathlib.Path(path), "model", formats or available_formats())
    dataset = None if data is None else as_dataset(data, side_of(model))
    compared = comparison_images(model, dataset, images)
    return exports_table(export_model(model, files, *compared, overwrite))
