"""Pictures of masks, of backgrounds, and of composites that the classifier trains on."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from bginv.data.photographs import WithBackgrounds
from bginv.data.sources import ArraySource, Source
from bginv.engine.run_folder import RunFolder
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining
from bginv.methods.background_invariance.mask_training import soft_and_binary_masks
from bginv.methods.background_invariance.settings import MaskSettings
from bginv.nn.background_generator import generate_backgrounds
from bginv.ops.compositing import composite
from bginv.report.pictures import write_image, write_sheet, write_strip

NUM_SHEET_IMAGES, NUM_STRIP_IMAGES = 12, 8


def write_mask_pictures(
    folder: RunFolder, unet: keras.Model, source: ArraySource, settings: MaskSettings
) -> None:
    """A sheet and strips of images, their soft masks and their binary masks."""
    path = folder.pictures / "masks.png"
    found = _write_mask_sheet(path, unet, source, settings, "masks of training images")
    for kind, images in zip(("image", "soft", "binary"), found, strict=True):
        write_strip(folder.strips / f"masks_{kind}.png", images)


def write_debug_pictures(
    unet: keras.Model, source: ArraySource, settings: MaskSettings, epoch: int, prefix: str
) -> None:
    """The paper code's pictures of `--debug`, under its names."""
    path = pathlib.Path(f"{prefix}-mask-epoch-{epoch}.png")
    found = _write_mask_sheet(path, unet, source, settings, f"Epoch {epoch}")
    for kind, images in zip(("image", "mask", "post"), found, strict=True):
        for i, image in enumerate(images):
            write_image(pathlib.Path(f"{prefix}-debug-{kind}-{i}.png"), image)


def _write_mask_sheet(
    path: pathlib.Path, unet: keras.Model, source: ArraySource, settings: MaskSettings, title: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    images = source.images / np.float32(255)
    soft, binary = soft_and_binary_masks(images, unet, settings.binarize, settings.area)
    rows = {"image": images, "soft mask": soft.numpy(), settings.binarize: binary.numpy()}
    write_sheet(path, rows, title)
    return tuple(rows.values())


def write_composite_strip(
    folder: RunFolder, epoch: int, method: AdversarialTraining, source: Source
) -> None:
    """Composites of the first training images, as the generators of an epoch make them."""
    path = folder.strips / f"composites_epoch_{epoch:05}.png"
    write_strip(path, _training_composites(method, source, NUM_STRIP_IMAGES)["composite"])


def write_background_pictures(
    folder: RunFolder, method: AdversarialTraining, source: Source
) -> None:
    """A sheet of training images on new backgrounds; a sheet and strips of generated ones."""
    rows = _training_composites(method, source, NUM_SHEET_IMAGES)
    write_sheet(folder.pictures / "composites.png", rows, "training images on new backgrounds")
    if not method.adversaries:
        return
    seed = tf.constant([method.settings.seed, 0])
    drawn = {  # each tile once, however often training lays it
        f"{own.tiles}x{own.tiles} tiles": generate_backgrounds(
            own.generator, NUM_SHEET_IMAGES, own.tiles, seed, size=own.image_shape[:2]
        ).numpy()
        for own in method.adversaries
    }
    write_sheet(folder.pictures / "backgrounds.png", drawn, "what the background generators draw")
    for name, images in drawn.items():
        path = folder.strips / f"backgrounds_{name.replace(' ', '_')}.png"
        write_strip(path, images[:NUM_STRIP_IMAGES])


def _training_composites(
    method: AdversarialTraining, source: Source, count: int
) -> dict[str, np.ndarray]:
    """The first training images on new backgrounds, and what they are made of."""
    records = source.gather(tf.range(min(count, len(source)), dtype=tf.int64))
    images, masks, seed = records["image"], records["mask"], method.settings.seed
    count = len(records["label"])
    if isinstance(source, WithBackgrounds):
        backgrounds = next(iter(source.photographs.batches(count, seed, start=0)))
    else:
        backgrounds = tf.concat(method.draw_backgrounds(count, tf.constant([seed, 0])), 0)
    rows = {
        "image": images,
        "mask": masks,
        "background": backgrounds,
        "composite": composite(images, masks, backgrounds),
    }
    return {name: np.asarray(row) for name, row in rows.items()}
