"""What `robustify` gives back."""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from bginv.auditing.result import AuditResult
from bginv.errors import UserError
from bginv.evaluation.accuracy import Accuracies, evaluate_accuracy
from bginv.interop.export import (
    available_formats,
    comparison_images,
    export_files,
    export_model,
)
from bginv.interop.model_files import load_any, load_classifier
from bginv.interop.unit_images import on_unit_images, pixels_of_model
from bginv.library.arrays import range_of
from bginv.library.data import Data, as_dataset
from bginv.library.history import History
from bginv.library.models import check_numbers, refuse_foreign, side_of, with_logits
from bginv.methods.background_invariance.mask_training import soft_and_binary_masks
from bginv.methods.background_invariance.settings import GIVEN, AdversarialSettings
from bginv.methods.photographs.settings import PhotographSettings
from bginv.nn.pixel_range import PixelRange, Range
from bginv.output_files import refuse_existing
from bginv.report.card import CARD, card_of, write_card
from bginv.report.metrics import read_metrics
from bginv.report.run_page import REPORT, notebook_page
from bginv.report.runs import read_run
from bginv.report.tables import Table, accuracy_table, exports_table


@dataclasses.dataclass(frozen=True)
class Robustified:
    """A model that was trained against backgrounds, and what was learned beside it.

    Attributes:
        model: the user's model, trained in place.
        classifier: the same weights, from images in [0, 1] to logits, or to the model's own
            outputs, where it tells numbers.
        mask_generator: images in [0, 1] to soft masks [B, H, W, 1]; None where masks were given or
            are the heuristic.
        background_generators: by name; empty where backgrounds were not generated.
        accuracies: "before" and "after", on every test.
        folder: pictures, metrics, models and the report; a temporary one unless `run_dir` was
            given.
        mask_kind: "learned", "heuristic" or "given"; of photographs, the name of the source.
        settings: of phase 3, or of the run on photographs.
        headline: what a run on photographs found, in sentences.
        pixels: the range of pixels that `model` takes, and how it was found.
        audit: of photographs, the model before and after, see `bginv.audit`.
    """

    model: keras.Model
    classifier: keras.Model
    mask_generator: keras.Model | None
    background_generators: Mapping[str, keras.Model]
    accuracies: Mapping[str, Accuracies]
    folder: pathlib.Path
    mask_kind: str
    settings: AdversarialSettings | PhotographSettings
    headline: tuple[str, ...] = ()
    pixels: PixelRange | None = None
    audit: AuditResult | None = None

    @property
    def table(self) -> Table:
        """Accuracies before and after."""
        return accuracy_table(self.accuracies)

    @property
    def report(self) -> pathlib.Path:
        """The page of the run."""
        return self.folder / REPORT

    @property
    def history(self) -> History:
        """Every record of the trainings, and `.history["loss"]` by epoch as `fit` has it."""
        return History(read_metrics(self.folder / "metrics.jsonl"))

    def masks(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Soft and binary masks of images, as phase 3 made them.

        Args:
            images: float32 [B, H, W, C] in [0, 1].

        Returns:
            float32 [B, H, W, 1] in [0, 1] each.

        Raises:
            UserError: masks were given, so there is nothing that makes them.
        """
        own = self.settings
        if self.mask_kind == GIVEN:
            raise UserError("masks were given, so there is nothing that makes others")
        if isinstance(own, PhotographSettings):
            raise UserError(
                f"masks of photographs come from {self.mask_kind!r}: bginv masks makes others"
            )
        return soft_and_binary_masks(images, self.mask_generator, own.binarize, own.area)

    def save(self, folder: str | os.PathLike, overwrite: bool = False) -> pathlib.Path:
        """Copy everything of the run, models, pictures and report, to a folder.

        Raises:
            UserError: something is there, and `overwrite` is not set.
        """
        target = pathlib.Path(folder)
        refuse_existing([target], overwrite)
        shutil.copytree(self.folder, target, dirs_exist_ok=True)
        return target

    def to_pandas(self):
        """See `Table.to_pandas`."""
        return self.table.to_pandas()

    def __str__(self) -> str:
        return "\n".join([*self.headline, *([""] if self.headline else []), str(self.table)])

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {self.model.name!r}\n{self}"

    def _repr_html_(self) -> str:
        """Table and pictures in a notebook."""
        return notebook_page(read_run(self.folder))


def evaluate(
    model: keras.Model | str | os.PathLike, data: Data, pixels: Range | None = None
) -> Table:
    """How well a model does on every test: accuracy, or the mean absolute error of a regressor.

    Args:
        model: as for `robustify`, or the path of one that bginv has saved.
        data: see `as_dataset`; "digits_backgrounds" names tests on other backgrounds.
        pixels: the range of the pixels that the model takes; None finds it out, see `robustify`.

    Raises:
        UserError: a model for other images or fewer classes.
    """
    pixels = range_of(pixels)
    if isinstance(model, str | os.PathLike):
        name = os.fspath(model)
        dataset = as_dataset(data, side_of(load_any(name)), pixels)
        classifier = load_classifier(name, dataset, pixels=pixels)
    else:
        refuse_foreign(model)
        name, dataset = model.name, as_dataset(data, side_of(model), pixels)
        found = pixels_of_model(model, dataset, pixels)
        classifier = on_unit_images(model, dataset.image_shape, found.pixels)
        if not dataset.regression and not dataset.multi_label:
            classifier = with_logits(classifier, dataset)
    if dataset.regression:
        check_numbers(classifier, dataset)
    return accuracy_table({name: evaluate_accuracy(classifier, dataset, with_train=False)})


def export(
    model: keras.Model,
    path: str | os.PathLike,
    formats: Sequence[str] | None = None,
    data: Data | None = None,
    images: int = 500,
    overwrite: bool = False,
    card: bool = True,
) -> Table:
    """Write a model in several formats, run each by its own runtime, and compare.

    Args:
        model: images float32 [B, H, W, C] to a tensor or a dict of tensors; they are compared on
            the range of pixels that its layers tell, or in [0, 1].
        path: folder of the files, `model.onnx`, `model.tflite`, ...
        formats: "keras", "safetensors", "saved_model", "onnx", "litert", "litert_float16",
            "litert_int8", "h5";
            by default those whose packages are there, but "h5", which is for TensorFlow 2.15.
        data: see `as_dataset`: what the files are compared on, and calibrated with, in 8 bits. None
            takes noise, which tells little of 8 bits.
        images: how many of its first test.
        overwrite: replace files that are there.
        card: write README.md beside them, a card of the model as model hubs read it.

    Returns:
        A row for each format: its size, the largest difference, how often the class is the same,
        milliseconds an image, and its file or why there is none.

    Raises:
        UserError: an unknown format, a package that is not there, or a file that exists.
    """
    folder, name = pathlib.Path(path), "model"
    files = export_files(folder, name, formats or available_formats())
    if card:
        refuse_existing([folder / CARD], overwrite)
    dataset = None if data is None else as_dataset(data, side_of(model))
    compared = comparison_images(model, dataset, images)
    found = export_model(model, files, *compared, overwrite)
    if card:
        write_card(folder / CARD, card_of(name, model, found, compared[2]))
    return exports_table(found)
