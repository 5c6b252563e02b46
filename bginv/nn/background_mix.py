"""A preprocessing layer that puts objects on the backgrounds of other images of their batch."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from bginv.errors import UserError
from bginv.nn.background_augmentation import HEURISTIC, BackgroundAugmentation
from bginv.ops.compositing import other_rows, without_objects

MIX, GIVEN = "mix", "given"
IMAGES, MASKS = "images", ("masks", "segmentation_masks")


@keras.saving.register_keras_serializable("bginv")
class BackgroundMix(BackgroundAugmentation):
    """Objects of a share of the images on the backgrounds of other images of the batch.

    The places of these images' own objects are filled with more of their background
    (`without_objects`). As Keras' own layers for augmentation, it changes images unless it is
    called with `training=False`, as `evaluate` and `predict` do.

    In a model, it takes images and finds masks as `masks` says. In `dataset.map`, after `batch`, it
    also takes masks that come with the images:

    >>> import numpy as np
    >>> mix = BackgroundMix(masks="given", rate=1.0, seed=0)
    >>> images = np.stack([np.full((4, 4, 3), shade, "float32") for shade in (0.2, 0.8)])
    >>> masks = np.zeros((2, 4, 4, 1), "float32")
    >>> mixed = mix({"images": images, "masks": masks, "labels": np.array([0, 1])})
    >>> tuple(round(float(own[0, 0, 0]), 1) for own in mixed["images"])
    (0.8, 0.2)

    Input: images [B, H, W, C] in [0, 1], or as `pixels` says; a dict with "images", "masks" or
    "segmentation_masks" [B, H, W, 1] in [0, 1], and whatever else stays as it is; or a tuple of
    images, masks and what else there is, which `map` takes apart: `lambda *own: mix(own)`. Output:
    the same, with other images.

    Args:
        masks: "heuristic", `image > 0`; "given", in the dict or tuple; or a Keras model from images
            in [0, 1] to masks [B, H, W, 1] in [0, 1], which becomes not trainable.
        rate: share of the images that get another background, in [0, 1].
        **keywords: `binarize`, `area`, `seed` and `pixels`, see `BackgroundAugmentation`; and those
            of any layer.

    Raises:
        UserError: see `BackgroundAugmentation`; or masks that do not come, images without a batch.
    """

    KINDS, KINDS_OF_MASKS = (MIX,), (HEURISTIC, GIVEN)

    def __init__(self, masks: str | keras.Model = HEURISTIC, rate: float = 0.5, **keywords: Any):
        super().__init__(backgrounds=MIX, masks=masks, rate=rate, **keywords)
        self.autocast = False  # labels beside the images stay what they are

    def build(self, input_shape):
        """See Keras."""
        super().build(_shape_of_images(input_shape))

    def call(self, data, masks=None, training=True):
        """See the class; masks: [B, H, W, 1] in [0, 1], in place of the layer's own."""
        match data:
            case Mapping():
                name = next((own for own in MASKS if own in data), None)
                if IMAGES not in data:
                    raise UserError(
                        f"{self.name} needs {IMAGES!r} in the dict; received {', '.join(data)}"
                    )
                own = data[name] if name else masks
                return {**data, IMAGES: self._mixed(data[IMAGES], own, training)}
            case (images, own_masks, *rest):
                return (self._mixed(images, own_masks, training), own_masks, *rest)
        return self._mixed(data, masks, training)

    def _mixed(self, images, masks, training: bool) -> tf.Tensor:
        return tf.cast(super().call(images, masks, training), self.compute_dtype)

    def compute_output_shape(self, input_shape, *arguments):
        """See Keras."""
        del arguments
        return input_shape

    def get_config(self):
        """See Keras."""
        own = super().get_config()
        return {name: value for name, value in own.items() if name not in OF_OTHER_KINDS}

    @classmethod
    def from_config(cls, config):
        """See Keras."""
        return super().from_config({"held_shape": None, **config})

    def _masks(self, images: tf.Tensor) -> tf.Tensor:
        if self.kind_of_masks == GIVEN:
            raise UserError(
                f"{self.name} has masks='given' and got none: call it with a dict of "
                f"{IMAGES!r} and {MASKS[0]!r}, or with (images, masks, labels)"
            )
        return super()._masks(images)

    def _backgrounds(self, images: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
        seed = tf.cast(self._random.next(), tf.int32)
        return tf.gather(without_objects(images, masks), other_rows(tf.shape(images)[0], seed))


OF_OTHER_KINDS = ("backgrounds", "held_shape", "tiles")


def _shape_of_images(shape: Any) -> Any:
    """The shape of images, of what may be a dict or a tuple of shapes."""
    if isinstance(shape, Mapping):
        return shape.get(IMAGES)
    if isinstance(shape, list | tuple) and shape and isinstance(shape[0], list | tuple):
        return shape[0]
    return shape
