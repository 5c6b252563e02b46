"""What reads label maps, and sources that pair them."""

import pathlib
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import tensorflow as tf

from bginv.data.class_lists import IGNORED, ClassList
from bginv.data.files import FileSource, load_files
from bginv.data.images import shown
from bginv.data.sources import Dataset, Source
from bginv.data.wrapped import PairedSource, WrappedSource
from bginv.errors import UserError

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
        UserError: the map has 16 bits, of which 8 would be lost.
    """
    with PIL.Image.open(file) as picture:
        if "16" in picture.tile[0][3]:
            raise UserError(f"{shown(file)} has 16 bits; save label maps with 8")
        return picture.palette and np.frombuffer(picture.palette.palette, np.uint8).reshape(-1, 3)


def check_map(file: str, classes: ClassList, palette: np.ndarray | None) -> None:
    """Raise if a map holds what stands for no class, or is of another kind than the others.

    Args:
        file: PNG.
        classes: see `ClassList.complete`.
        palette: of the first map.

    Raises:
        UserError: it names the file and what it holds.
    """
    own = palette_of(file)
    if (own is None) != (palette is None) or not np.array_equal(own, palette):
        raise UserError(f"{shown(file)} has another palette than the first label map")
    if not classes.complete:
        return
    with PIL.Image.open(file) as picture:
        if picture.mode in ("RGB", "RGBA"):
            raise UserError(
                f"{shown(file)} holds colours, which stand for no class of a file with classes: "
                "save numbers, or name a list with colours, such as --classes camvid"
            )
        held = np.unique(picture if picture.mode == "P" else picture.convert("L"))
    numbers = set(held.tolist()) - set(classes.numbers) - {IGNORED}
    if numbers:
        raise UserError(
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


ENDING, TRAIN = "_list.txt", "train"
LAYOUT = f"the layout is PATH/train{ENDING}, PATH/test{ENDING} and PATH/images"


def load_multilabel(path: str, side: int, skip_bad_files: bool) -> Dataset:
    """A training split and named tests from lists of images.

    Args:
        path: it holds the lists and the folder `images`.
        side: height and width of the images.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        FileNotFoundError: no such path.
        UserError: another layout, or files that cannot be read.
    """
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"{shown(root)} is not a folder; {LAYOUT}")
    lists = {file.name.removesuffix(ENDING): file for file in sorted(root.glob(f"*{ENDING}"))}
    if TRAIN not in lists or len(lists) < 2:
        found = ", ".join(file.name for file in lists.values()) or "no list"
        raise UserError(
            f"{shown(root)} needs a list to train and one to test, not {found}; {LAYOUT}"
        )
    read = {name: _read_list(file) for name, file in lists.items()}
    num_classes = read[TRAIN][1].shape[1]
    for name, (_, labels) in read.items():
        if labels.shape[1] != num_classes:
            raise UserError(
                f"{shown(lists[name])} has {labels.shape[1]} classes, but {lists[TRAIN].name} has "
                f"{num_classes}"
            )
    shape = (side, side, 3)
    splits: dict[str, FileSource] = {
        name: load_files(root / "images", names, labels, shape, skip_bad_files)
        for name, (names, labels) in read.items()
    }
    train = splits.pop(TRAIN)
    return Dataset(f"multilabel:{path}", train, splits, _class_names(root, num_classes), shape)


def _read_list(file: pathlib.Path) -> tuple[list[str], np.ndarray]:
    """Names of the images, and labels int [N, K], 0 or 1."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(file)} is no text file") from error
    rows = [line.split() for line in lines if line.strip()]
    if not rows:
        raise UserError(f"{shown(file)} is empty; {LAYOUT}")
    for number, row in enumerate(rows, 1):
        if len(row) < 3 or len(row) != len(rows[0]) or not {"0", "1"}.issuperset(row[1:]):
            raise UserError(
                f"{shown(file)}, image {number}: a name is needed and a 0 or 1 for each class, "
                f"as many as in the first line and at least 2; found {' '.join(row)[:80]!r}"
            )
    return [row[0] for row in rows], np.array([row[1:] for row in rows], np.int32)


def _class_names(root: pathlib.Path, num_classes: int) -> tuple[str, ...]:
    file = root / "classes.txt"
    if not file.is_file():
        return tuple(map(str, range(num_classes)))
    names = tuple(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines())
    names = tuple(filter(None, names))
    if len(names) != num_classes:
        raise UserError(f"{shown(file)} names {len(names)} classes; the lists have {num_classes}")
    return names
