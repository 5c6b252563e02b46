"""Masks and backgrounds as programs have them."""

import dataclasses
import os
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from bginv.data.photographs import Photographs
from bginv.data.sources import ArraySource, Dataset
from bginv.errors import UserError
from bginv.library.arrays import array_of, pixels_of
from bginv.methods.background_invariance.mask_training import with_generated_masks
from bginv.methods.background_invariance.settings import GIVEN, HEURISTIC, LEARNED

BACKGROUNDS = ("adv", "noise", "black")


def with_own_masks(
    masks: str | keras.Model | np.ndarray, dataset: Dataset, split: bool
) -> tuple[Dataset, str, keras.Model | None]:
    """The data set with masks where they are given, how the run names it, and a mask generator.

    Raises:
        UserError: masks that are none, or do not fit the images.
    """
    if isinstance(masks, keras.Model):
        shape = masks(tf.zeros([1, *dataset.image_shape])).shape
        if tuple(shape) != (1, *dataset.image_shape[:2], 1):
            raise UserError(f"masks={masks.name} gives outputs of shape {shape[1:]}, no masks")
        return dataset, LEARNED, masks
    kinds = {"auto": LEARNED, "learn": LEARNED, "heuristic": HEURISTIC, "given": GIVEN}
    if isinstance(masks, str):
        if masks not in kinds:
            raise UserError(
                f"masks must be {', '.join(kinds)}, an array or a model; received {masks!r}"
            )
        if kinds[masks] == GIVEN and not dataset.train.has_masks:
            raise UserError(f"masks='given', but the training images of {dataset.name} have none")
        return dataset, kinds[masks], None
    if not split:
        raise UserError(
            "an array of masks needs data that is split: without a test, a quarter of the images "
            "becomes one; give {'train': (images, labels), 'test': (images, labels)}"
        )
    held = mask_bytes(masks)
    expected = (len(dataset.train), *dataset.image_shape[:2], 1)
    if held.shape != expected or not isinstance(dataset.train, ArraySource):
        raise UserError(
            f"masks must be an array of shape {expected}, for images in memory; received "
            f"{held.shape} for {type(dataset.train).__name__}"
        )
    return dataclasses.replace(dataset, train=dataset.train.with_masks(held)), GIVEN, None


def masks_of_photographs(
    masks: str | keras.Model | np.ndarray, dataset: Dataset, split: bool
) -> tuple[Dataset, str]:
    """The data set with masks where they are given, and the name of their source."""
    if isinstance(masks, str):
        return dataset, {"learn": LEARNED}.get(masks, masks)
    dataset, kind, unet = with_own_masks(masks, dataset, split)
    if unet is not None:
        images = cast(ArraySource, dataset.train.without_masks())
        held = with_generated_masks(images, unet, "none", 0.0)
        dataset = dataclasses.replace(dataset, train=held)
    return dataset, GIVEN


def mask_bytes(masks: Any) -> np.ndarray:
    """Masks uint8 [N, H, W, 1] of an array of booleans, of floats in [0, 1] or of bytes.

    Raises:
        UserError: something else.
    """
    masks = array_of(masks, "masks")
    if masks.dtype.kind not in "biuf" or not masks.size:
        raise UserError(f"masks must be numbers; received {masks.dtype} of shape {masks.shape}")
    if masks.dtype not in (bool, np.uint8) and not (0 <= masks.min() and masks.max() <= 1):
        raise UserError(
            f"masks must be bool, in [0, 1] or uint8; received {masks.dtype} from "
            f"{masks.min():g} to {masks.max():g}"
        )
    return pixels_of(masks > 0 if masks.dtype == np.uint8 and masks.max() <= 1 else masks, "mask")


def photographs_of(
    backgrounds: str | os.PathLike | np.ndarray, dataset: Dataset, crops: str
) -> Photographs:
    """Photographs from a folder or an array.

    Raises:
        UserError: neither, or images of other channels.
    """
    folder = os.fspath(backgrounds) if isinstance(backgrounds, str | os.PathLike) else None
    if folder is not None and not os.path.isdir(os.path.expanduser(folder)):
        raise UserError(
            f"backgrounds must be {', '.join(BACKGROUNDS)}, a folder of photographs or an "
            f"array; received {folder!r}"
        )
    if folder is not None:
        return Photographs(folder, dataset.image_shape, crops)
    array = array_of(backgrounds, "backgrounds")
    if array.ndim == 3 and array.shape[-1] in (1, 3):
        raise UserError(
            f"backgrounds must be [M, h, w, C] for M photographs; received {array.shape}: for one, "
            "give it a first axis"
        )
    held = pixels_of(array, "background")
    return Photographs.held(held, dataset.image_shape, crops)
