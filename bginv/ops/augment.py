"""Random affine maps, flips and brightness, with the ranges of the paper's code.

One resampling does rotation, shift, shear and flip together, and an image and its mask go
through the same transform.
"""

import dataclasses
import math

import keras
import tensorflow as tf

from bginv.ops.replicas import own_rows


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Ranges to draw from, each symmetric around "no change".

    Attributes:
        rotation: degrees.
        shift: share of the height and of the width.
        shear: degrees.
        flip: mirror half of the images from left to right.
        brightness: the factor is drawn from [1 - brightness, 1 + brightness].
    """

    rotation: float = 15.0
    shift: float = 0.15
    shear: float = 0.3
    flip: bool = True
    brightness: float = 0.2


def random_transforms(
    count: int, height: int, width: int, ranges: Augmentation, seed: tf.Tensor
) -> tf.Tensor:
    """Draw affine maps about the image's centre.

    Args:
        count: number of maps.
        height: of the images, in pixels.
        width: of the images, in pixels.
        ranges: what to draw from.
        seed: int32 [2].

    Returns:
        float32 [count, 8]: coefficients (a0, a1, a2, b0, b1, b2, 0, 0) that map an output pixel
        (x, y) to the input point (a0 x + a1 y + a2, b0 x + b1 y + b2).
    """
    unit = own_rows(lambda n: tf.random.stateless_uniform([5, n], seed, -1.0, 1.0), count, axis=1)
    angle = unit[0] * math.radians(ranges.rotation)
    shift_y, shift_x = unit[1] * ranges.shift * height, unit[2] * ranges.shift * width
    shear = unit[3] * math.radians(ranges.shear)
    cos, sin = tf.cos(angle), tf.sin(angle)
    # rotation @ shift @ shear, on (y, x), about the centre
    yy, yx = cos, -cos * tf.sin(shear) - sin * tf.cos(shear)
    xy, xx = sin, -sin * tf.sin(shear) + cos * tf.cos(shear)
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    offset_y = cos * shift_y - sin * shift_x + centre_y - yy * centre_y - yx * centre_x
    offset_x = sin * shift_y + cos * shift_x + centre_x - xy * centre_y - xx * centre_x
    if ranges.flip:
        mirrored = unit[4] < 0
        offset_y = tf.where(mirrored, offset_y + yx * (width - 1), offset_y)
        offset_x = tf.where(mirrored, offset_x + xx * (width - 1), offset_x)
        yx, xx = tf.where(mirrored, -yx, yx), tf.where(mirrored, -xx, xx)
    zero = tf.zeros_like(angle)
    return tf.stack([xx, xy, offset_x, yx, yy, offset_y, zero, zero], axis=1)


def warp(images: tf.Tensor, transforms: tf.Tensor, outside: str = "nearest") -> tf.Tensor:
    """Resample images bilinearly.

    Args:
        images: float32 [B, H, W, C].
        transforms: float32 [B, 8], see `random_transforms`.
        outside: what lies there: "nearest" repeats the pixels of the edge, "constant" is 0.

    Returns:
        float32 [B, H, W, C].
    """
    return keras.ops.image.affine_transform(
        images, transforms, fill_mode=outside, data_format="channels_last"
    )


def grow_masks(masks: tf.Tensor, seed: tf.Tensor, largest: int) -> tf.Tensor:
    """Dilate each mask by a number of pixels drawn from 0 to `largest`.

    Args:
        masks: float32 [B, H, W, 1] in [0, 1], B static.
        seed: int32 [2].
        largest: half the side of the largest square structuring element.

    Returns:
        float32 [B, H, W, 1] in [0, 1].
    """
    grown = [masks]
    for _ in range(largest):
        grown.append(tf.nn.max_pool2d(grown[-1], 3, 1, "SAME"))
    chosen = own_rows(
        lambda n: tf.random.stateless_uniform([n], seed, 0, largest + 1, tf.int32), masks.shape[0]
    )
    return tf.gather(tf.stack(grown, axis=1), chosen, batch_dims=1)


def sharpen_masks(masks: tf.Tensor, steepness: float) -> tf.Tensor:
    """Make the edges of soft masks steeper.

    Args:
        masks: float32 [B, H, W, 1] in [0, 1].
        steepness: 1 leaves masks as they are; from 100 on they are next to binary.

    Returns:
        float32 [B, H, W, 1]: `clip(f (m - 1/2) + 1/2)`.
    """
    return tf.clip_by_value((masks - 0.5) * steepness + 0.5, 0.0, 1.0)


def augment(
    images: tf.Tensor,
    seed: tf.Tensor,
    ranges: Augmentation,
    masks: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Augment images and, in step with them, their masks.

    Args:
        images: float32 [B, H, W, C] in [0, 1], static shape.
        seed: int32 [2].
        ranges: what to draw from.
        masks: float32 [B, H, W, 1] in [0, 1]; they get the geometry, not the brightness.

    Returns:
        Augmented images (brightness clipped at 1) and masks (None where none came in).
    """
    count, height, width, _ = images.shape
    geometry_seed, light_seed = tf.unstack(tf.random.split(seed, 2))
    transforms = random_transforms(count, height, width, ranges, geometry_seed)
    darkest, brightest = 1 - ranges.brightness, 1 + ranges.brightness
    factor = own_rows(
        lambda n: tf.random.stateless_uniform([n, 1, 1, 1], light_seed, darkest, brightest), count
    )
    if masks is None:
        return tf.minimum(warp(images, transforms) * factor, 1.0), None
    warped = warp(tf.concat([images, masks], -1), transforms)
    return tf.minimum(warped[..., :-1] * factor, 1.0), warped[..., -1:]
