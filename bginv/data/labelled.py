"""What reads label maps, and sources that pair them."""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import tensorflow as tf

from bginv.data.class_lists import IGNORED, ClassList
from bginv.data.images import shown
from bginv.data.sources import Source
from bginv.data.wrapped import PairedSource, WrappedSource

TARGET_SEED = 2**31 - 1
"""What tells the order of the target's images from that of the source's."""


def map_reader(
    classes: ClassList, first_channel: bool = False, palette: np.ndarray | None = None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from the bytes of a PNG file to class numbers int32 [h, w], 255 for none.

    Args:
        classes: what the numbers, or colours, of the file stand for.
        first_channel: the numbers stand in the first of several channels of 16 bits.
        palette: uint8 [n, 3], colours whose places are the numbers; TensorFlow reads those colours.
    """
    kind = tf.uint16 if first_channel else tf.uint8
    colours = {tuple(colour): place for place, colour in enumerate(classes.colours.tolist())}
    if palette is not None:
        table, colours = classes.table(), {}
        for number, colour in enumerate(palette.tolist()):
            colours.setdefault(tuple(colour), int(table[number]))

    def read(contents: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(tf.io.decode_png(contents, channels=0, dtype=kind), tf.int32)

        def of_numbers() -> tf.Tensor:
            return tf.gather(tf.constant(classes.table()), tf.minimum(pixels[..., 0], IGNORED))

        def of_colours() -> tf.Tensor:
            found = tf.fill(tf.shape(pixels)[:2], IGNORED)
            for colour, place in colours.items():
                if place != IGNORED:
                    found = tf.where(tf.reduce_all(pixels[..., :3] == colour, -1), place, found)
            return found

        coloured = (tf.shape(pixels)[-1] >= 3) & (not first_channel)
        found = tf.ensure_shape(tf.cond(coloured, of_colours, of_numbers), [None, None])
        return tf.where(found == classes.ignored, IGNORED, found)

    return read


def palette_of(file: str) -> np.ndarray | None:
    """The palette of a label map, uint8 [n, 3]; None where it has none.

    Raises:
        ValueError: the map has 16 bits, of which 8 would be lost.
    """
    with PIL.Image.open(file) as picture:
        if "16" in picture.tile[0][3]:
            raise ValueError(f"{shown(file)} has 16 bits; save label maps with 8")
        return picture.palette and np.frombuffer(picture.palette.palette, np.uint8).reshape(-1, 3)


def check_map(file: str, classes: ClassList, palette: np.ndarray | None) -> None:
    """Raise if a map holds what stands for no class, or is of another kind than the others.

    Args:
        file: PNG.
        classes: see `ClassList.complete`.
        palette: of the first map.

    Raises:
        ValueError: it names the file and what it holds.
    """
    own = palette_of(file)
    if (own is None) != (palette is None) or not np.array_equal(own, palette):
        raise ValueError(f"{shown(file)} has another palette than the first label map")
    if not classes.complete:
        return
    with PIL.Image.open(file) as picture:
        if picture.mode in ("RGB", "RGBA"):
            raise ValueError(
                f"{shown(file)} holds colours, which stand for no class of a file with classes: "
                "save numbers, or name a list with colours, such as --classes camvid"
            )
        held = np.unique(picture if picture.mode == "P" else picture.convert("L"))
    numbers = set(held.tolist()) - set(classes.numbers) - {IGNORED}
    if numbers:
        raise ValueError(
            f"{shown(file)} holds the number {min(numbers)}; the classes have the numbers 0 to "
            f"{max(classes.numbers)}, and {IGNORED} is none"
        )


class MasksAsLabelMaps(WrappedSource):
    """Records of one object each, whose masks become label maps: 0 around it, else label + 1.

    Args:
        source: with masks.
        ignored: the number that becomes 255.
    """

    has_label_maps = True
    has_masks = False

    def __init__(self, source: Source, ignored: int = IGNORED):
        super().__init__(source)
        self.ignored = ignored

    def around(self, source: Source) -> "MasksAsLabelMaps":
        """See `WrappedSource.around`."""
        return MasksAsLabelMaps(source, self.ignored)

    def without_masks(self) -> Source:
        """See `Source.without_masks`; without the label maps too."""
        return self.source.without_masks()

    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Source.gather`."""
        records = self.source.gather(indices)
        masks = records.pop("mask")[..., 0]
        numbers = records["label"][:, None, None] + 1
        maps = tf.where(masks > 0.5, numbers, 0)
        return {**records, "label_map": tf.where(maps == self.ignored, IGNORED, maps)}


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
