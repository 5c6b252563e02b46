"""Load and save models: `.keras` in Keras' safe mode, `.h5` by weights alone."""

import functools
import importlib
import pathlib
import zipfile
from collections.abc import Callable

import keras
from absl import logging

from bginv.data.sources import Dataset
from bginv.errors import UserError, first_line
from bginv.interop.archives import check_archive
from bginv.interop.paper_h5 import (
    is_paper_classifier,
    load_classifier_h5,
    load_h5,
    load_mask_unet_h5,
    read_model_settings,
    save_h5,
)
from bginv.interop.unit_images import on_unit_images, pixels_of_model
from bginv.nn.features import last_activation, logits_alone
from bginv.nn.pixel_range import UNIT, Range
from bginv.output_files import write_file

ENDINGS = (".keras", ".h5")
PROBABILITIES = ("softmax", "sigmoid")
REGISTERED = b'"registered_name": "bginv>'
LAYERS = (
    "bginv.nn.background_mix",
    "bginv.nn.deeplab",
    *(f"bginv.methods.{name}.model" for name in ("acol", "attention", "erasing")),
)
"""Modules that register layers, without which models that hold them do not load."""
PICKLES = (".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".tar")


def load_classifier(
    path: str, dataset: Dataset, needs_logits: bool = False, pixels: Range | None = None
) -> keras.Model:
    """A classifier that fits the data set, of images in [0, 1] whatever it was trained on.

    Args:
        path: `.keras` or `.h5` file.
        dataset: what it is for.
        needs_logits: refuse one that gives probabilities.
        pixels: the range that the model takes; None finds it out.

    Raises:
        FileNotFoundError: no such file.
        UserError: not a model, or one for other images or fewer classes.
    """
    model = load_file(path, load_classifier_h5)
    check_input(model, path, dataset)
    if is_localizer(model):
        model = logits_alone(model)
    if len(output_shape(model, path)) != 2:
        raise UserError(
            f"{path} gives outputs of shape {model.output_shape[1:]}, "
            "which are no logits: name a classifier, such as train1.py writes"
        )
    ending = last_activation(model)
    if needs_logits and ending in PROBABILITIES:
        raise UserError(
            f"{path} ends in {ending}, and logits are needed: build it without that (and train it "
            "with from_logits=True), or give it to bginv.robustify, which takes either"
        )
    if model.output_shape[1] < dataset.num_classes:
        raise UserError(
            f"{path} knows {model.output_shape[1]} classes, but {dataset.name} has labels 0 to "
            f"{dataset.num_classes - 1}: name a classifier trained on these classes"
        )
    found = pixels_of_model(model, dataset, pixels)
    if found.pixels == UNIT:
        return model
    logging.info("%s gets images in [0, 1] scaled to that, and so does what is saved of it", path)
    return on_unit_images(model, dataset.image_shape, found.pixels, model.name)


def is_localizer(model: keras.Model) -> bool:
    """Whether a model gives a dict of `logits` and `maps`, as ACoL's and EADER's do."""
    try:
        outputs = model.output
    except (AttributeError, ValueError):  # a model that has never been called
        return False
    return isinstance(outputs, dict) and {"logits", "maps"} <= outputs.keys()


def load_mask_model(path: str, dataset: Dataset) -> keras.Model:
    """A mask generator or a localizer that fits the data set; see `load_classifier`."""
    model = load_file(path, load_mask_unet_h5)
    if not is_localizer(model):
        return _checked_mask_unet(model, path, dataset)
    check_input(model, path, dataset)
    num_classes = model.output["maps"].shape[-1]
    if num_classes < dataset.num_classes:
        raise UserError(
            f"{path} has maps of {num_classes} classes, but {dataset.name} has "
            f"{dataset.num_classes}: name a localizer trained on these classes"
        )
    return model


def load_mask_unet(path: str, dataset: Dataset) -> keras.Model:
    """A mask generator that fits the data set; see `load_classifier`."""
    return _checked_mask_unet(load_file(path, load_mask_unet_h5), path, dataset)


def load_any(path: str) -> keras.Model:
    """A model of images, whatever it gives.

    Raises:
        FileNotFoundError: no such file.
        UserError: not a model, or one of something else than images.
    """
    model = load_file(path, load_h5)
    if len(model.inputs) != 1 or len(model.input_shape) != 4:
        raise UserError(f"{path} takes inputs of shape {model.input_shape}: name a model of images")
    return model


def load_segmenter(path: str, num_classes: int) -> keras.Model:
    """A segmentation network of so many classes.

    Args:
        path: `.keras` file.
        num_classes: K.

    Raises:
        FileNotFoundError: no such file.
        UserError: not a model, or one that gives something else.
    """
    if path.endswith(".h5"):
        raise UserError(f"a segmentation network is saved as .keras; received {path}")
    model = load_file(path, None)
    shape = output_shape(model, path)
    if len(shape) != 4 or shape[-1] != num_classes:
        raise UserError(
            f"{path} gives outputs of shape {shape[1:]}, but maps of {num_classes} classes are "
            "needed: name a segmentation network, such as train_adapt.py writes"
        )
    return model


def _checked_mask_unet(model: keras.Model, path: str, dataset: Dataset) -> keras.Model:
    check_input(model, path, dataset)
    shape, expected = output_shape(model, path), (*dataset.image_shape[:2], 1)
    if len(shape) != 4 or not _fits(shape[1:], expected):
        raise UserError(
            f"{path} gives outputs of shape {shape[1:]}, which are no masks: "
            "name a mask generator, such as train2.py writes"
        )
    return model


def check_model_name(path: str) -> pathlib.Path:
    """The path, if a model can be saved under this name.

    Raises:
        UserError: another ending than `.keras` or `.h5`, or a folder's name.
    """
    if pathlib.Path(path).is_dir():
        raise UserError(f"{path} is a folder; name a file that ends in .keras or .h5")
    if path.endswith(".weights.h5"):
        raise UserError(f"{path} is named for weights alone; name a whole model, .keras or .h5")
    if pathlib.Path(path).suffix not in ENDINGS:
        raise UserError(f"a model's file must end in .keras or .h5; received {path}")
    return pathlib.Path(path)


def check_ending_for(classifier: keras.Model, path: str | None) -> None:
    """Raise if the classifier could be saved under this name, but not loaded again.

    Raises:
        UserError: `.h5` for an architecture other than the paper's.
    """
    if path is None or not path.endswith(".h5"):
        return
    if not is_paper_classifier(classifier):
        raise UserError(
            f"{path}: .h5 files hold the paper's architectures; save this classifier as .keras"
        )


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Save for `load_model` in safe mode, with nothing of this package imported.

    `.h5` files are for the paper's code, and so in the form of Keras 2.
    """
    save = functools.partial(save_h5, model) if path.suffix == ".h5" else model.save
    write_file(path, save)


def load_file(path: str, load_h5: Callable[[pathlib.Path], keras.Model | None]) -> keras.Model:
    """Any model in a file.

    Args:
        path: `.keras` or `.h5`.
        load_h5: what takes the weights out of an `.h5` file of the paper's; None of another file.

    Raises:
        FileNotFoundError: no such file.
        UserError: not a model.
    """
    if pathlib.Path(path).suffix in PICKLES:
        raise UserError(
            f"{path} may hold pickled code, which is never run here; save the model as .keras, and "
            "name that"
        )
    file = check_model_name(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no model file {path}")
    if file.suffix == ".h5" and (model := load_h5(file)) is not None:
        return model
    try:
        for module in LAYERS if REGISTERED in _model_settings(file) else ():
            importlib.import_module(module)
        return keras.models.load_model(file, compile=False, safe_mode=True)
    except UserError:
        raise
    except Exception as error:  # Keras has no error of its own for a file that it cannot load
        reason = _reason(error)
        if "lambda" in reason.lower():
            raise UserError(
                f"{path} holds Python code (a Lambda layer), which is never run here; put a layer "
                "of Keras in its place and save the model again"
            ) from error
        raise UserError(f"{path} cannot be loaded as a Keras model: {reason}") from error


def _model_settings(file: pathlib.Path) -> bytes:
    """What a file tells of a model's layers."""
    if file.suffix == ".h5":
        return read_model_settings(file).encode()
    check_archive(file)
    with zipfile.ZipFile(file) as archive:
        return archive.read("config.json")


def _reason(error: Exception) -> str:
    """The first line of an error of Keras', and the next where that only announces it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines and lines[0].endswith(":") else first_line(error)


def _fits(taken: tuple[int | None, ...], given: tuple[int, ...]) -> bool:
    return all(side in (None, own) for side, own in zip(taken, given, strict=True))


def output_shape(model: keras.Model, path: str) -> tuple[int | None, ...]:
    """The shape of a model's one output.

    Raises:
        UserError: it has several.
    """
    if len(model.outputs) != 1:
        raise UserError(f"{path} has {len(model.outputs)} outputs; a model with one is needed")
    return model.output_shape


def check_input(model: keras.Model, path: str, dataset: Dataset) -> None:
    """Raise if a model does not take the images of a data set.

    Raises:
        UserError: it names both sizes.
    """
    if len(model.inputs) != 1:
        raise UserError(f"{path} has {len(model.inputs)} inputs; a model with one is needed")
    taken, given = tuple(model.input_shape[1:]), dataset.image_shape
    if len(taken) != 3 or not _fits(taken, given):
        raise UserError(
            f"{path} takes images of {_show(taken)}, but those of {dataset.name} are "
            f"{_show(given)}: name a model trained on images of this size or, where the data has "
            "no size of its own, give --image-size (in Python: load_data(..., image_size=...))"
        )


def _show(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if side is None else str(side) for side in shape)
