"""Images as the training sees them: on other backgrounds, cut and mirrored."""

import tensorflow as tf

from bginv.methods.photographs.settings import PhotographSettings
from bginv.ops.augment import grow_masks, sharpen_masks
from bginv.ops.backgrounds import draw_backgrounds
from bginv.ops.compositing import composite
from bginv.ops.random_crops import mirrored, random_resized_crops
from bginv.ops.replicas import own_rows


def view(
    batch: dict[str, tf.Tensor], settings: PhotographSettings, composites: float, seed: tf.Tensor
) -> tf.Tensor:
    """Images of a batch, some of them on other backgrounds, each cut at random and mirrored.

    Args:
        batch: `image`; for composites, `mask` and `background` too.
        settings: kinds of backgrounds, growth of masks, sizes of crops.
        composites: share of the images that get another background.
        seed: int32 [2].

    Returns:
        float32 [B, H, W, C] in [0, 1].
    """
    seeds = tf.unstack(tf.random.split(seed, 4))
    images = batch["image"]
    if composites:
        masks = batch["mask"]
        if settings.mask_growth:
            masks = grow_masks(masks, seeds[3], settings.mask_growth)
        if settings.mask_sharpness > 1:
            masks = sharpen_masks(masks, settings.mask_sharpness)
        behind = draw_backgrounds(batch["background"], settings.mix, seeds[0])
        mixed = composite(images, masks, behind)
        count = images.shape[0]
        place = own_rows(lambda n: tf.random.stateless_uniform([n, 1, 1, 1], seeds[1]), count)
        images = tf.where(place < composites, mixed, images)
    if settings.smallest_crop == 1:  # nothing to resample
        return mirrored(images, seeds[2]) if settings.flip else images
    size = images.shape[1:3]
    return random_resized_crops(images, seeds[2], size, settings.smallest_crop, settings.flip)
