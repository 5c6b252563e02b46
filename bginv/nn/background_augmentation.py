"""A layer that puts other backgrounds behind objects while a model is trained."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from bginv.errors import UserError
from bginv.nn.background_generator import build_background_generator, generate_backgrounds
from bginv.ops.binarize import BINARIZATIONS, binarize, not_black
from bginv.ops.compositing import composite, either
from bginv.ops.losses import reverse_gradient

KINDS = ("adv", "noise", "black")
HEURISTIC = "heuristic"
TOLERANCE = 0.01
"""Of a range, which resizing and 16 bits may leave a little."""


@keras.saving.register_keras_serializable("bginv")
class BackgroundAugmentation(keras.layers.Layer):
    """Other backgrounds behind the objects of a share of the images, in training alone.

    With "adv" the layer holds background generators. In `fit` they ascend the loss that all other
    weights descend (Cruz et al. 2020, eq. 4), by reversed gradients, so that one optimizer trains
    both.

    Input: images [B, H, W, C] in [0, 1], or as `pixels` says. Output: the same shape and range; the
    images themselves where nothing is trained.

    Args:
        backgrounds: "adv"; "noise", uniform in [0, 1]; "black"; or images to draw from, uint8 or
            floats in [0, 1], [N, H, W, C].
        masks: "heuristic", `image > 0`; or a Keras model from images to masks [B, H, W, 1] in
            [0, 1], which becomes not trainable. `call` takes other masks for a batch.
        rate: share of the images that get another background, in [0, 1].
        binarize: of the model's masks: "otsu", "0.5", "quantile" or "none".
        area: share of foreground, for "quantile".
        tiles: of generated backgrounds: t for t x t tiles, a generator for each number.
        seed: of what is drawn.
        pixels: the range of the images, such as (0, 255) before a `Rescaling`.

    Raises:
        UserError: an argument out of range, tiles that do not fit the images, images outside of
            `pixels`, or masks outside of [0, 1] (`tf.errors.InvalidArgumentError` while `fit`
            trains; what XLA compiles leaves that check out).
    """

    KINDS, KINDS_OF_MASKS = KINDS, (HEURISTIC,)

    def __init__(
        self,
        backgrounds: str | np.ndarray = "adv",
        masks: str | keras.Model = HEURISTIC,
        rate: float = 0.75,
        binarize: str = "otsu",
        area: float = 0.2,
        tiles: Sequence[int] = (2,),
        seed: int | None = None,
        pixels: tuple[float, float] = (0.0, 1.0),
        **keywords,
    ):
        super().__init__(**keywords)
        low, high = pixels
        if not low < high:
            raise UserError(f"pixels must be a range such as (0, 255); received {pixels}")
        self.pixels = (float(low), float(high))
        if not 0 <= rate <= 1:
            raise UserError(f"rate must be in [0, 1]; received {rate}")
        if binarize not in BINARIZATIONS:
            raise UserError(f"binarize must be {', '.join(BINARIZATIONS)}; received {binarize!r}")
        if not 0 <= area <= 1:
            raise UserError(f"area must be in [0, 1]; received {area}")
        if not tiles:
            raise UserError("tiles must have a number for each generator; received none")
        if isinstance(backgrounds, str) and backgrounds not in self.KINDS:
            raise UserError(
                f"backgrounds must be {', '.join(self.KINDS)} or an array; received {backgrounds!r}"
            )
        is_word = isinstance(masks, str) and masks in self.KINDS_OF_MASKS
        if not (is_word or isinstance(masks, keras.Model)):
            kinds = " or ".join(map(repr, self.KINDS_OF_MASKS))
            raise UserError(f"masks must be {kinds} or a model; received {str(masks)[:80]!r}")
        self.rate, self.method, self.area, self.seed = rate, binarize, area, seed
        self.tiles = tuple(tiles)
        self.kind = backgrounds if isinstance(backgrounds, str) else "held"
        self._held = None if isinstance(backgrounds, str) else _as_bytes(np.asarray(backgrounds))
        self._held_shape = None if self._held is None else self._held.shape
        self.kind_of_masks = masks if isinstance(masks, str) else None
        self.mask_generator = None if isinstance(masks, str) else masks
        if self.mask_generator is not None:
            self.mask_generator.trainable = False
        self.generators: list[keras.Model] = []
        self._random = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        """See Keras."""
        if self.kind == "adv":
            first = 0 if self.seed is None else self.seed
            self.generators = [
                build_background_generator(tuple(input_shape[1:]), tiles, first + i)
                for i, tiles in enumerate(self.tiles)
            ]
        if self._held_shape is not None:
            self.held = self.add_weight(
                shape=self._held_shape, dtype="uint8", trainable=False, name="held",
                initializer="zeros",
            )  # fmt: skip
            if self._held is not None:
                self.held.assign(self._held)
        super().build(input_shape)

    def call(self, images, masks=None, training=False):
        """See the class; masks: [B, H, W, 1] in [0, 1], in place of the layer's own."""
        if not training:
            return images
        low, high = self.pixels
        if len(images.shape) != 4:
            raise UserError(
                f"{self.name} takes batches of images [B, H, W, C]; received {images.shape}: batch "
                "them first"
            )
        images = _in_unit_range(
            (tf.cast(images, tf.float32) - low) / (high - low),
            f"images of {self.name} leave the range pixels={self.pixels}: give the range that they "
            "have, such as (0, 255) before a Rescaling layer",
        )
        if masks is None:
            masks = self._masks(images)
        masks = tf.stop_gradient(tf.cast(masks, tf.float32))
        if masks.shape.rank != 4 or masks.shape[-1] != 1:
            raise UserError(f"{self.name} takes masks [B, H, W, 1]; received {masks.shape}")
        masks = _in_unit_range(
            masks, f"masks of {self.name} leave [0, 1]: divide those of image files by 255"
        )
        backgrounds = self._backgrounds(images, masks)
        chosen = keras.random.uniform([tf.shape(images)[0], 1, 1, 1], seed=self._random) < self.rate
        found = either(chosen, composite(images, masks, backgrounds), images)
        return tf.cast(found * (high - low) + low, self.compute_dtype)

    def compute_output_shape(self, input_shape, *arguments):
        """See Keras."""
        del arguments
        return input_shape

    def get_config(self):
        """See Keras."""
        mask_generator = self.mask_generator
        masks = (
            self.kind_of_masks
            if mask_generator is None
            else keras.saving.serialize_keras_object(mask_generator)
        )
        own = {
            "backgrounds": self.kind,
            "held_shape": self._held_shape,
            "masks": masks,
            "rate": self.rate,
            "binarize": self.method,
            "area": self.area,
            "tiles": self.tiles,
            "seed": self.seed,
            "pixels": self.pixels,
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config):
        """See Keras."""
        config = dict(config)
        held_shape = config.pop("held_shape")
        if held_shape is not None:
            config["backgrounds"] = np.zeros(held_shape, np.uint8)
        if not isinstance(config["masks"], str):
            config["masks"] = keras.saving.deserialize_keras_object(config["masks"])
        return cls(**config)

    def _masks(self, images: tf.Tensor) -> tf.Tensor:
        if self.mask_generator is None:
            return not_black(images)
        soft = self.mask_generator(images, training=False)
        return binarize(soft, self.method, self.area)

    def _backgrounds(self, images: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
        del masks
        return self._draw(tf.shape(images)[0], tuple(images.shape[1:]))

    def _draw(self, count: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
        """Backgrounds float32 [count, H, W, C] in [0, 1]."""
        if self.kind == "black":
            return tf.zeros([count, *image_shape])
        if self.kind == "noise":
            return keras.random.uniform([count, *image_shape], seed=self._random)
        if self.kind == "held":
            rows = keras.random.randint([count], 0, self.held.shape[0], seed=self._random)
            return tf.cast(tf.gather(self.held.value, rows), tf.float32) / 255.0
        seed = tf.cast(self._random.next(), tf.int32)
        each = -(-count // len(self.generators))
        drawn = [
            generate_backgrounds(
                generator, each, tiles, tf.random.fold_in(seed, i), size=image_shape[:2]
            )
            for i, (generator, tiles) in enumerate(zip(self.generators, self.tiles, strict=True))
        ]
        in_turn = tf.reshape(tf.stack(drawn, 1), [-1, *image_shape])[:count]
        return reverse_gradient(in_turn, 1.0)


def _in_unit_range(values: tf.Tensor, told: str) -> tf.Tensor:
    """Values in [0, 1]; an error tells what to do with others."""
    least, most = tf.reduce_min(values), tf.reduce_max(values)
    fit = tf.logical_and(least >= -TOLERANCE, most <= 1 + TOLERANCE)
    if tf.executing_eagerly() and not bool(fit):
        raise UserError(told)
    with tf.control_dependencies([tf.debugging.Assert(fit, [told, least, most])]):
        return tf.identity(values)


def _as_bytes(images: np.ndarray) -> np.ndarray:
    if images.ndim != 4 or images.dtype != np.uint8 and not 0 <= images.min() <= images.max() <= 1:
        raise UserError(
            "backgrounds must be [N, H, W, C], uint8 or in [0, 1]; received "
            f"{images.dtype} {images.shape}"
        )
    return images if images.dtype == np.uint8 else np.round(images * 255).astype(np.uint8)
