"""Crops of the user's photographs, as backgrounds."""

import os
import zlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bginv.data.images import ENDINGS, ImageFiles, readable_rows, scan, shown
from bginv.data.sources import Source, rows_of
from bginv.data.wrapped import PairedSource
from bginv.errors import UserError
from bginv.prefetch import AT_ONCE, mapped

CROPS = ("native", "any")
CROPS_PER_PHOTOGRAPH = 8


class HeldImages:
    """Images in memory, as `ImageFiles` gives them.

    Args:
        images: uint8 [N, h, w, 1 or 3].
    """

    def __init__(self, images: np.ndarray):
        colours = np.repeat(images, 3, -1) if images.shape[-1] == 1 else images
        with tf.device("CPU"):
            self._images = tf.constant(colours)
            numbers = [zlib.crc32(np.ascontiguousarray(image)) for image in colours]
            self.fingerprints = tf.constant(numbers, tf.int64)

    def __len__(self) -> int:
        return len(self._images)

    @property
    def parallel_reads(self) -> int:
        """See `ImageFiles.parallel_reads`."""
        return AT_ONCE

    def read(self, row: tf.Tensor) -> tf.Tensor:
        """See `ImageFiles.read`."""
        return self._images[row]


def _colour_shape(image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The shape of images that photographs can stand behind.

    Raises:
        UserError: they have other channels than grey or colour.
    """
    if image_shape[-1] not in (1, 3):
        raise UserError(
            f"photographs have 1 or 3 channels, and these images have {image_shape[-1]}: "
            "backgrounds may be adv, noise or black"
        )
    return image_shape


class Photographs:
    """An endless stream of random crops; photographs are decoded when they are drawn.

    Args:
        folder: it is searched for photographs, subfolders too.
        image_shape: (H, W, C) of a crop.
        crops: "native" cuts H x W pixels as they are; "any" cuts a random share of the photograph
            and resizes it.
        skip_bad_files: leave photographs out that cannot be read, with a warning.

    Raises:
        UserError: not a folder that can be read, no photograph in it, or a broken one.
    """

    def __init__(
        self,
        folder: str,
        image_shape: tuple[int, int, int],
        crops: str,
        skip_bad_files: bool = False,
    ):
        if crops not in CROPS:
            raise UserError(f"crops must be one of {', '.join(CROPS)}; received {crops!r}")
        self.image_shape, self.crops = _colour_shape(image_shape), crops
        files = scan(_find_photographs(folder))
        self.files: ImageFiles | HeldImages = files.take(readable_rows(files, skip_bad_files))
        if not len(self.files):
            raise UserError(f"--backgrounds {shown(folder)} holds no photograph that can be read")

    @classmethod
    def held(
        cls, images: np.ndarray, image_shape: tuple[int, int, int], crops: str
    ) -> "Photographs":
        """Photographs in memory, uint8 [N, h, w, 1 or 3]; the rest as for a folder.

        Raises:
            UserError: another number of channels.
        """
        if images.shape[-1] not in (1, 3):
            raise UserError(
                f"photographs have 1 or 3 channels; received {images.shape}: drop the others"
            )
        photographs = cls.__new__(cls)
        photographs.image_shape, photographs.crops = _colour_shape(image_shape), crops
        photographs.files = HeldImages(images)
        return photographs

    def digest(self) -> int:
        """A 32-bit number that tells other photographs, or another order, from these."""
        return zlib.crc32(self.files.fingerprints.numpy())

    def batches(self, batch_size: int, seed: int, start: int = 0) -> tf.data.Dataset:
        """Endless batches float32 [batch_size, H, W, C] in [0, 1], each a function of its number.

        Args:
            batch_size: crops a batch.
            seed: of the photographs and the places.
            start: number of the first batch.
        """

        def draw(number: tf.Tensor) -> tf.Tensor:
            return self._draw_crops(batch_size, tf.random.fold_in(tf.constant([seed, 1]), number))

        numbers = tf.data.Dataset.range(start, tf.int64.max)
        return mapped(numbers, draw, self.files.parallel_reads)

    def _draw_crops(self, count: int, seed: tf.Tensor) -> tf.Tensor:
        # several crops of each photograph, because decoding takes longer than cutting
        num_photographs = -(-count // CROPS_PER_PHOTOGRAPH)
        choice_seed, place_seed = tf.unstack(tf.random.split(seed, 2))
        chosen = tf.random.stateless_uniform(
            [num_photographs], choice_seed, 0, len(self.files), tf.int32
        )
        places = tf.random.stateless_uniform([num_photographs, CROPS_PER_PHOTOGRAPH, 3], place_seed)

        def crops_of(drawn: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            photograph = self._decode(drawn[0])
            return tf.map_fn(lambda place: self._cut(photograph, place), drawn[1])

        crops = tf.map_fn(crops_of, (chosen, places), fn_output_signature=tf.float32)
        return tf.reshape(crops, [-1, *self.image_shape])[:count]

    def _decode(self, row: tf.Tensor) -> tf.Tensor:
        """Photograph float32 [h, w, C] in [0, 1], at least as large as a crop."""
        pixels = tf.cast(self.files.read(row), tf.float32) / 255.0
        if self.image_shape[-1] == 1:
            pixels = tf.image.rgb_to_grayscale(pixels)
        height, width, _ = self.image_shape
        size = tf.cast(tf.shape(pixels)[:2], tf.float32)
        growth = tf.maximum(tf.reduce_max(tf.constant([height, width], tf.float32) / size), 1.0)
        grown = tf.cast(tf.math.ceil(size * growth), tf.int32)
        return tf.cond(growth > 1, lambda: tf.image.resize(pixels, grown), lambda: pixels)

    def _cut(self, photograph: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """One crop; place [3] in [0, 1): row, column, size."""
        size = tf.constant(self.image_shape[:2], tf.float32)
        room = tf.cast(tf.shape(photograph)[:2], tf.float32)
        if self.crops == "any":
            largest = tf.reduce_min(room / size)
            size *= 1 + place[2] * (largest - 1)
        taken = tf.cast(tf.round(size), tf.int32)
        corner = tf.cast(place[:2] * (room - size + 1), tf.int32)
        corner = tf.minimum(corner, tf.shape(photograph)[:2] - taken)
        cut = photograph[corner[0] : corner[0] + taken[0], corner[1] : corner[1] + taken[1]]
        if self.crops == "native":
            return tf.ensure_shape(cut, self.image_shape)
        return tf.image.resize(cut, self.image_shape[:2], antialias=True)


class WithBackgrounds(PairedSource):
    """A source whose batches also hold `background`, float32 [B, H, W, C] in [0, 1].

    Args:
        source: the images.
        photographs: the backgrounds, with the images' shape.
    """

    def __init__(self, source: Source, photographs: Photographs):
        super().__init__(source)
        self.photographs = photographs

    def around(self, source: Source) -> "WithBackgrounds":
        """See `WrappedSource.around`."""
        return WithBackgrounds(source, self.photographs)

    def beside(
        self, batch_size: int, seed: int, start: int, replicas: Sequence[int], num_replicas: int
    ) -> tf.data.Dataset:
        """See `PairedSource.beside`."""
        backgrounds = self.photographs.batches(batch_size, seed, start)
        if num_replicas > 1:
            backgrounds = backgrounds.flat_map(lambda batch: rows_of(batch, replicas, num_replicas))
        return backgrounds.map(lambda batch: {"background": batch})


def _find_photographs(folder: str) -> list[str]:
    root = os.path.expanduser(folder)
    if not os.path.isdir(root):
        raise UserError(f"--backgrounds {shown(folder)} is not a folder that can be read")
    files = sorted(
        os.path.join(place, name)
        for place, _, names in os.walk(root, onerror=_refuse_folder)
        for name in names
        if name.lower().endswith(ENDINGS) and not name.startswith(".")
    )
    if not files:
        raise UserError(
            f"--backgrounds {shown(folder)} holds no photograph; "
            f"files that end in {', '.join(ENDINGS)} count"
        )
    return files


def _refuse_folder(error: OSError) -> None:
    raise UserError(
        f"--backgrounds: {shown(error.filename)} is not a folder that can be read"
    ) from error
