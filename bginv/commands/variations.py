"""The command that makes the Backgrounds Challenge of anybody's images."""

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Callable

import cv2
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.checksums import content_number
from bginv.commands.settings import MakeVariationsSettings
from bginv.data.catalog import full_name
from bginv.data.files import FileSource
from bginv.data.in9 import MASKS, SPLIT, VARIATIONS
from bginv.data.sources import Dataset, Source
from bginv.data.variations import Region, RegionsOf, VariationFiles, box_of
from bginv.engine.experiment import load, refuse_groups
from bginv.engine.saved_settings import changes_since, to_json
from bginv.errors import UserError
from bginv.interop.model_files import load_mask_unet
from bginv.masks.boxes import Boxes, check_shape, placed
from bginv.masks.cam import Box, grab_cut
from bginv.ops.binarize import binarize
from bginv.output_files import check_writable_folder, while_locked, write_bytes, write_text
from bginv.report.pictures import write_sheet

IMAGE_SIZE, TRAIN = 224, "train"
NUM_PICTURED = 8
SETTINGS_FILE, SETTINGS_NAME = "variations.json", "make-variations"


def prepare_make_variations(
    settings: MakeVariationsSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Eight variations and the masks of the training images and of the first test."""
    del strategy
    root = pathlib.Path(settings.output)
    check_writable_folder(root)
    if settings.image_size is None and ":" in full_name(settings.dataset):
        settings = dataclasses.replace(settings, image_size=IMAGE_SIZE)
    refuse_groups(settings)
    dataset = load(settings)
    splits = {TRAIN: dataset.train, SPLIT: next(iter(dataset.tests.values()))}
    _check_masks(settings)
    kept = {SETTINGS_NAME: settings, "inputs": _inputs(settings, splits)}
    check = functools.partial(_check_same, kept, root, settings.overwrite)
    check()
    makers = {split: _regions_of(settings, source, dataset) for split, source in splits.items()}

    def job() -> None:
        check()  # another process may have been at work here since
        if settings.overwrite:
            for folder in (MASKS, *VARIATIONS):
                shutil.rmtree(root / folder, ignore_errors=True)
        write_text(root / SETTINGS_FILE, to_json(**kept))
        for split, source in splits.items():
            files = VariationFiles(
                source,
                makers[split],
                root,
                split,
                dataset.class_names,
                settings.fill,
                settings.seed,
                settings.format,
                functools.partial(write_bytes, durable=False),
            )
            left_out = files.make()
            if left_out:
                logging.warning(
                    "%s: %d of %d images are left out, as their masks are empty or whole",
                    split,
                    left_out,
                    len(source),
                )
            _write_contact_sheet(root / f"{split}.png", files)
            logging.info("wrote %s", root / f"{split}.png")

    return while_locked(root, job)


def _check_masks(settings: MakeVariationsSettings) -> None:
    """Raise where a file is named that would not be read.

    Raises:
        UserError: it names the option.
    """
    for kind in ("boxes", "model"):
        if getattr(settings, kind) and settings.masks != kind:
            raise UserError(
                f"--{kind} is for --masks {kind}, and masks are {settings.masks}: give that, or "
                f"leave --{kind} out"
            )


def _inputs(settings: MakeVariationsSettings, splits: dict[str, Source]) -> dict[str, int]:
    """A number for everything that the variations are made of."""
    found = {split: source.digest() for split, source in splits.items()}
    if settings.masks != "model" and not settings.boxes:
        own = {f"{split} masks": source for split, source in splits.items() if source.has_masks}
        found |= {name: source.masks_digest() for name, source in own.items()}
    files = (settings.boxes, settings.model)
    return found | {name: content_number(pathlib.Path(name)) for name in files if name}


def _check_same(kept: dict, root: pathlib.Path, overwrite: bool) -> None:
    """Raise if the folder holds something else than what these settings and inputs began.

    Raises:
        UserError: it names the difference.
    """
    file = root / SETTINGS_FILE
    if not file.is_file():
        if root.is_dir() and any(root.iterdir()):
            raise UserError(f"{root} holds something else; choose an empty folder")
        return
    if overwrite:
        return
    changed = changes_since(file, SETTINGS_NAME, kept)
    if changed:
        raise UserError(
            f"{root} holds variations made otherwise ({'; '.join(changed)}): choose another "
            "folder, or --overwrite to begin again"
        )


def _regions_of(settings: MakeVariationsSettings, source: Source, dataset: Dataset) -> RegionsOf:
    """What finds the objects of a source.

    Raises:
        UserError: there is nothing to find them from.
    """
    if settings.masks == "model":
        if settings.model is None:
            raise UserError("--masks model needs --model with a mask generator")
        unet = load_mask_unet(settings.model, dataset)
        predict = tf.function(lambda images: binarize(unet(images, training=False), "otsu", 0.0))
        return lambda rows, records, pixels: _alone(predict(records["image"]))
    if settings.masks == "boxes" and settings.boxes:
        boxes = _read_boxes(settings.boxes, source)
        return lambda rows, records, pixels: _cut(pixels, [boxes[row] for row in rows])
    if not source.has_masks:
        raise UserError(
            f"{dataset.name} has no masks: give --masks boxes --boxes FILE, or --masks model "
            "--model PATH"
        )
    if settings.masks == "given":
        return lambda rows, records, pixels: _alone(records["mask"])

    def in_boxes(rows, records, pixels) -> list[Region]:
        masks = (mask for mask, _ in _alone(records["mask"]))
        return _cut(pixels, [box_of(mask) if mask.any() else (0, 0, 0, 0) for mask in masks])

    return in_boxes


def _alone(masks: tf.Tensor) -> list[Region]:
    """Masks [B, H, W, 1], with nothing else to hide."""
    return [(mask, mask) for mask in masks.numpy()[..., 0] > 0.5]


def _cut(pixels: np.ndarray, boxes: list[Box]) -> list[Region]:
    """The objects in boxes, which are hidden as a whole."""
    regions = []
    for image, box in zip(pixels, boxes, strict=True):
        hidden = np.zeros(image.shape[:2], bool)
        hidden[box[0] : box[2], box[1] : box[3]] = True
        regions.append((grab_cut(image, box), hidden))
    return regions


def _read_boxes(path: str, source: Source) -> list[Box]:
    """A box for each image: top, left, bottom and right edge, at the size of the source.

    Raises:
        UserError: images without names, a box that cannot be read, or none for an image.
        FileNotFoundError: no such file.
    """
    if not isinstance(source, FileSource):
        raise UserError("--boxes is for images in files; leave it out to take the masks' boxes")
    found, boxes = Boxes(path), []
    for row in range(len(source)):
        name = source.images.path(row)
        fitting = {own.box: own for own in found.of(name)}
        if len(fitting) != 1:
            what = "several boxes" if fitting else "no box"
            raise UserError(
                f"--boxes {path} has {what} for {'/'.join(pathlib.PurePath(name).parts[-3:])}: "
                "names may have their folders in front"
            )
        height, width = source.images.sizes[row]
        own = next(iter(fitting.values()))
        check_shape(own, (height, width))
        sized = own if own.size else own._replace(size=(float(width), float(height)))
        boxes.append(placed(sized, source.image_shape[:2]))
    return boxes


def _write_contact_sheet(path: pathlib.Path, files: VariationFiles) -> None:
    """Every variation of a few images, and their masks."""
    made = [row for row in range(len(files.names)) if files.path(MASKS, row).is_file()]
    if not made:
        return
    places = np.linspace(0, len(made), min(len(made), NUM_PICTURED), endpoint=False, dtype=int)
    rows = {MASKS: np.stack([files.mask(made[place])[..., None] for place in places])}
    for variation in VARIATIONS:
        images = [cv2.imread(str(files.path(variation, made[place]))) for place in places]
        rows[variation] = np.stack(images)[..., ::-1] / 255
    write_sheet(path, rows, f"{files.split}: {len(made)} images")
