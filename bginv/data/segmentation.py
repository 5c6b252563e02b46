"""Images with a label map each: which class every pixel shows; PASCAL VOC and folders.

```
PATH/classes.txt             a class a line, without background
PATH/train/images/NAME.jpg   the training split
PATH/train/labels/NAME.png   0 is background, k + 1 class k of the list, 255 unknown
PATH/OTHER/...               every other folder is a test of that name
```

Training takes the classes that an image shows, not where they are.
"""

import concurrent.futures
import os
import pathlib
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import tensorflow as tf
from absl import logging

from bginv.data.class_lists import VOC_COLOURS
from bginv.data.entries import Entry, Place
from bginv.data.files import FileSource, by_pillow
from bginv.data.images import ImageFiles, image_names, scan_pairs, shown
from bginv.data.labelled import palette_of
from bginv.data.sources import Dataset, Source
from bginv.errors import UserError

TRAIN, UNKNOWN = "train", 255
LAYOUT = "the layout is PATH/classes.txt, PATH/train/images, PATH/train/labels and a test as well"
VOC_ROOT = "VOCdevkit/VOC2012"
VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


class LabelMapSource(Source):
    """Images in files, with a label map each; see `Source.has_label_maps`.

    Args:
        images: for what classifies images, with labels int [N, K], 1 for each class in the map.
        maps: a file for each image.
        read_map: from the bytes of such a file to numbers int32 [h, w], in graph.
    """

    has_label_maps = True

    def __init__(
        self,
        images: FileSource,
        maps: ImageFiles,
        read_map: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ):
        self._images, self._maps = images, maps
        self._read_map = read_map or class_numbers
        self.labels, self.image_shape = images.labels, images.image_shape

    def __len__(self) -> int:
        return len(self._images)

    @property
    def parallel_batches(self) -> int:
        """See `Source.parallel_batches`."""
        return self._images.parallel_batches

    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Source.gather`; `label_map` too, its pixels the nearest ones."""
        size = self.image_shape[:2]

        def read(row: tf.Tensor) -> tf.Tensor:
            numbers = self._read_map(self._maps.contents(row))
            return by_pillow(numbers, size, PIL.Image.Resampling.NEAREST)

        maps = tf.map_fn(read, indices, fn_output_signature=tf.TensorSpec(size, tf.int32))
        return {**self._images.gather(indices), "label_map": maps}

    def digest(self) -> int:
        """See `Source.digest`."""
        return self._images.digest()

    def masks_digest(self) -> int:
        """See `Source.masks_digest`; of the label maps."""
        return zlib.crc32(self._maps.fingerprints.numpy())

    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "LabelMapSource":
        """See `Source.take`."""
        return LabelMapSource(
            self._images.take(rows, labels), self._maps.take(rows), self._read_map
        )

    def at_size(self, side: int) -> "LabelMapSource":
        """See `Source.at_size`."""
        return LabelMapSource(self._images.at_size(side), self._maps, self._read_map)

    def without_masks(self) -> FileSource:
        """See `Source.without_masks`; without the label maps too."""
        return self._images

    @property
    def has_masks(self) -> bool:
        """See `Source.has_masks`."""
        return False


def class_numbers(contents: tf.Tensor) -> tf.Tensor:
    """A label map int32 [h, w] from a PNG file.

    Grey values are the numbers themselves. Colours are those of PASCAL VOC, whose bits spell the
    number: from the highest on, red, green and blue in turn give its bits from the lowest on.

    Args:
        contents: string [], the bytes of the file.
    """
    pixels = tf.cast(tf.io.decode_png(contents, channels=0), tf.int32)

    def of_colours() -> tf.Tensor:
        numbers = tf.zeros_like(pixels[..., 0])
        for bit in range(8):
            channel, place = bit % 3, 7 - bit // 3
            own = tf.bitwise.bitwise_and(tf.bitwise.right_shift(pixels[..., channel], place), 1)
            numbers += own * 2**bit
        return numbers

    return tf.cond(tf.shape(pixels)[-1] < 3, lambda: pixels[..., 0], of_colours)


def load_voc(place: Place) -> Dataset:
    """PASCAL VOC 2012, segmentation: its training split and `val` as the test.

    With a folder `SegmentationClassAug` (Hariharan et al. 2011), training takes all of its maps
    that are not in `val`: 10,582 images.
    """
    root = place.root / VOC_ROOT
    lists = root / "ImageSets/Segmentation"
    validation = _read_names(lists / "val.txt")
    augmented = root / "SegmentationClassAug"
    if augmented.is_dir():
        found = {file.removesuffix(".png") for file in image_names(augmented)}
        training, maps = sorted(found - set(validation)), augmented
    else:
        training, maps = _read_names(lists / "train.txt"), root / "SegmentationClass"
    num_classes = len(VOC_CLASSES)
    splits = {
        name: _load_split(
            f"the list of {name} in {shown(lists)}",
            [str(root / f"JPEGImages/{image}.jpg") for image in names],
            [str(folder / f"{image}.png") for image in names],
            num_classes,
            place.side,
            place.skip_bad_files,
        )
        for name, names, folder in (
            (TRAIN, training, maps),
            ("val", validation, root / "SegmentationClass"),
        )
    }
    shape = (place.side, place.side, 3)
    return Dataset(place.name, splits.pop(TRAIN), splits, VOC_CLASSES, shape)


def load_label_maps(path: str, side: int, skip_bad_files: bool) -> Dataset:
    """A training split and named tests from folders of images and label maps.

    Args:
        path: see the module.
        side: height and width of the images.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        FileNotFoundError: no such path.
        UserError: another layout, or files that cannot be used.
    """
    root = pathlib.Path(path).expanduser()
    if not (root / "classes.txt").is_file():
        raise FileNotFoundError(f"{shown(root / 'classes.txt')} is not there; {LAYOUT}")
    class_names = _read_names(root / "classes.txt")
    names = sorted(entry.name for entry in root.iterdir() if (entry / "images").is_dir())
    if TRAIN not in names or len(names) < 2:
        raise UserError(
            f"{shown(root)} holds images for {', '.join(names) or 'no split'}; {LAYOUT}"
        )
    splits = {}
    for name in names:
        folder = root / name / "images"
        images = [str(folder / image) for image in image_names(folder)]
        folder = root / name / "labels"
        maps = [str(folder / f"{pathlib.Path(image).stem}.png") for image in images]
        missing = [file for file in maps if not os.path.isfile(file)]
        if missing:
            raise UserError(
                f"{len(missing)} of {len(maps)} label maps are missing, such as "
                f"{shown(missing[0])}; {LAYOUT}"
            )
        splits[name] = _load_split(
            shown(root / name / "images"), images, maps, len(class_names), side, skip_bad_files
        )
    shape = (side, side, 3)
    return Dataset(f"segmentation:{path}", splits.pop(TRAIN), splits, tuple(class_names), shape)


def _load_split(
    what: str,
    images: Sequence[str],
    maps: Sequence[str],
    num_classes: int,
    side: int,
    skip_bad_files: bool,
) -> LabelMapSource:
    """A split; images without any class are left out, as there is nothing to learn from them.

    Raises:
        UserError: no image, or none that shows a class.
    """
    if not images:
        raise UserError(f"{what} holds no image; {LAYOUT}")
    rows, found, found_maps = scan_pairs(images, maps, skip_bad_files, "label map")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        read = pool.map(lambda row: _classes_of(maps[row], num_classes), rows)
        labels = np.array(list(read), np.int32).reshape(len(rows), num_classes)
    some = np.flatnonzero(labels.any(1))
    if not len(some):
        raise UserError(f"no label map beside {shown(images[0])} shows a class; {LAYOUT}")
    if len(some) < len(rows):
        logging.info("%d of %d images show no class: left out", len(rows) - len(some), len(rows))
    source = FileSource(found.take(some), labels[some], (side, side, 3))
    return LabelMapSource(source, found_maps.take(some))


def _classes_of(file: str, num_classes: int) -> np.ndarray:
    """1 for each class that a label map shows, int32 [K].

    Raises:
        UserError: the map holds another number.
    """
    with tf.device("CPU"):
        contents = tf.io.read_file(file)
        pixels, numbers = tf.io.decode_png(contents).numpy(), class_numbers(contents).numpy()
    palette_of(file)  # raises for 16 bits
    if pixels.shape[-1] >= 3:
        other = (pixels[..., :3] != VOC_COLOURS[numbers]).any(-1)
        if other.any():
            raise UserError(
                f"{shown(file)} holds the colour {tuple(pixels[other][0, :3].tolist())}, which is "
                "none of PASCAL VOC's: save the numbers as grey values"
            )
    numbers = np.unique(numbers)
    numbers = numbers[(numbers != 0) & (numbers != UNKNOWN)]
    if len(numbers) and numbers[-1] > num_classes:
        raise UserError(
            f"{shown(file)} holds the number {numbers[-1]}; there are {num_classes} classes, and "
            f"0 is background, {UNKNOWN} unknown"
        )
    labels = np.zeros(num_classes, np.int32)
    labels[numbers - 1] = 1
    return labels


def _read_names(file: pathlib.Path) -> list[str]:
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]


VOC2012 = Entry(
    load=load_voc,
    about="20 kinds of objects, with label maps",
    side=224,
    files=tuple(
        f"{VOC_ROOT}/{name}"
        for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/val.txt")
    ),
    publisher="Everingham et al. (host.robots.ox.ac.uk/pascal/VOC)",
    any_size=True,
)
