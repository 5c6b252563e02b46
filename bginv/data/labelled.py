"""What reads label maps, and sources that pair them."""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from bginv.data.class_lists import IGNORED, ClassList
from bginv.data.images import shown
from bginv.data.sources import Source
from bginv.data.wrapped import PairedSource, WrappedSource

TARGET_SEED = 2**31 - 1
"""What tells the order of the target's images from that of the source's."""


def map_reader(classes: ClassList, first_channel: bool = False) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from the bytes of a PNG file to class numbers int32 [h, w], 255 for none.

    Args:
        classes: what the numbers, or colours, of the file stand for.
        first_channel: the numbers stand in the first of several channels of 16 bits.
    """
    kind = tf.uint16 if first_channel else tf.uint8

    def read(contents: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(tf.io.decode_png(contents, channels=0, dtype=kind), tf.int32)

        def of_numbers() -> tf.Tensor:
            return tf.gather(tf.constant(classes.table()), tf.minimum(pixels[..., 0], IGNORED))

        def of_colours() -> tf.Tensor:
            found = tf.fill(tf.shape(pixels)[:2], IGNORED)
            for place, colour in enumerate(classes.colours.tolist()):
                found = tf.where(tf.reduce_all(pixels[..., :3] == colour, -1), place, found)
            return found

        coloured = (tf.shape(pixels)[-1] >= 3) & (not first_channel)
        return tf.ensure_shape(tf.cond(coloured, of_colours, of_numbers), [None, None])

    return read


def check_numbers(file: str, classes: ClassList) -> None:
    """Raise if a map of numbers holds one that stands for nothing.

    Raises:
        ValueError: it names the file and the number.
    """
    with tf.device("CPU"):
        pixels = tf.io.decode_png(tf.io.read_file(file), channels=0)
    if pixels.shape[-1] > 2:
        return
    numbers = set(np.unique(pixels[..., 0]).tolist()) - set(classes.numbers) - {IGNORED}
    if numbers:
        raise ValueError(
            f"{shown(file)} holds the number {min(numbers)}; the classes have the numbers 0 to "
            f"{max(classes.numbers)}, and {IGNORED} is none"
        )


class MasksAsLabelMaps(WrappedSource):
    """Records of one object each, whose masks become label maps: 0 around it, else label + 1."""

    has_label_maps = True
    has_masks = False

    def around(self, source: Source) -> "MasksAsLabelMaps":
        """See `WrappedSource.around`."""
        return MasksAsLabelMaps(source)

    def without_masks(self) -> Source:
        """See `Source.without_masks`; without the label maps too."""
        return self.source.without_masks()

    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Source.gather`."""
        records = self.source.gather(indices)
        masks = records.pop("mask")[..., 0]
        numbers = records["label"][:, None, None] + 1
        return {**records, "label_map": tf.where(masks > 0.5, numbers, 0)}


class WithTarget(PairedSource):
    """A source whose shuffled batches also hold `target`, float32 [B, H, W, C] in [0, 1].

    Args:
        source: labelled images.
        target: images of another domain, of any size; their labels are not read.
    """

    has_label_maps = True

    def __init__(self, source: Source, target: Source):
        super().__init__(source)
        self.target = target.without_masks()

    def around(self, source: Source) -> "WithTarget":
        """See `WrappedSource.around`."""
        return WithTarget(source, self.target)

    def digest(self) -> int:
        """See `Source.digest`; of both."""
        return zlib.crc32(self.target.digest().to_bytes(4, "big"), self.source.digest())

    def beside(
        self, batch_size: int, seed: int, start: int, replicas: Sequence[int], num_replicas: int
    ) -> tf.data.Dataset:
        """See `PairedSource.beside`."""
        own_seed = TARGET_SEED - seed
        batches = self.target.batches(batch_size, True, own_seed, start, replicas, num_replicas)
        return batches.map(lambda records: {"target": records["image"]})
