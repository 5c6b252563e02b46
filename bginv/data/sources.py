"""Random-access sources of images, and the batches drawn from them."""

import abc
import copy
import dataclasses
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from bginv.errors import UserError
from bginv.prefetch import AT_ONCE, mapped

LARGEST_PASS_BATCH, PASS_PIXELS = 256, 2**20
TEST_SHARE = 0.25
"""Of a data set without a split, as in Cruz et al. 2020, whose code draws it anew at each run."""


class Source(abc.ABC):
    """A split of a data set: a length, and records by index.

    Attributes:
        labels: int32 [N], class numbers; or [N, K], 1 for each class that an image shows; or
            float32 [N, D], numbers that a regressor is to tell.
        image_shape: (H, W, C).
        places: int32 [N], numbers of what else tells pictures apart, such as the kind of their
            background, a site or a camera; None where nothing is known. A class and a place are a
            group (Sagawa et al. 2020).
        has_label_maps: whether records hold `label_map` int32 [B, H, W]: 0 for background, k + 1
            for class k, 255 where nothing is known.
    """

    labels: np.ndarray
    image_shape: tuple[int, int, int]
    places: np.ndarray | None = None
    has_label_maps: bool = False

    @property
    def pass_batch(self) -> int:
        """Records a batch where nothing is trained: fewer of large images, to keep memory flat."""
        height, width, _ = self.image_shape
        return max(1, min(LARGEST_PASS_BATCH, PASS_PIXELS // (height * width)))

    @property
    def parallel_batches(self) -> int:
        """How many batches may be made at once."""
        return AT_ONCE

    def rows_of_class(self, label: int) -> np.ndarray:
        """Records that show a class, int [M]."""
        shows = self.labels == label if self.labels.ndim == 1 else self.labels[:, label] == 1
        return np.flatnonzero(shows)

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of records."""

    @abc.abstractmethod
    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """Records by index, in graph.

        Args:
            indices: int64 [B].

        Returns:
            `image` float32 [B, H, W, C] in [0, 1], `label` as in `labels`, `index` int64 [B], and,
            where the source has them, `mask` float32 [B, H, W, 1] in [0, 1].
        """

    @abc.abstractmethod
    def digest(self) -> int:
        """A 32-bit number that tells other images or labels, or another order, from these."""

    @abc.abstractmethod
    def masks_digest(self) -> int:
        """The same for the masks, where there are some."""

    @abc.abstractmethod
    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "Source":
        """The records of these rows, int [M], in this order; with these labels, if given."""

    @abc.abstractmethod
    def without_masks(self) -> "Source":
        """The same images, for those that do not look at masks."""

    @property
    @abc.abstractmethod
    def has_masks(self) -> bool:
        """Whether records hold a mask."""

    def with_places(self, places: np.ndarray | None) -> "Source":
        """The same records with these places, int [N]; None: without.

        Raises:
            UserError: another number of places.
        """
        found = copy.copy(self)
        if places is not None and len(places) != len(self):
            raise UserError(f"{len(self)} records need as many places; received {len(places)}")
        found.places = None if places is None else np.asarray(places, np.int32)
        return found

    def at_size(self, side: int) -> "Source":
        """The same records with images of another size, where that gains something; else these."""
        del side
        return self

    def first(self, count: int) -> "Source":
        """The first `count` records."""
        return self.take(np.arange(min(count, len(self))))

    def batches(
        self,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        start: int = 0,
        replicas: Sequence[int] = (0,),
        num_replicas: int = 1,
    ) -> tf.data.Dataset:
        """Batches of records.

        Shuffled, an endless stream of full batches through one epoch after the other; the order
        of an epoch is a function of (seed, epoch) alone. In order, one pass whose last batch may
        be smaller.

        Args:
            batch_size: records a batch.
            shuffle: the endless shuffled stream instead of one pass.
            seed: of the order.
            start: number of batches to leave out at the beginning, without reading their records.
            replicas: of each shuffled batch, give the rows r, r + num_replicas, ... alone, as one
                smaller batch for each r of `replicas`.
            num_replicas: devices that share a batch; it divides `batch_size`.
        """
        skipped = start * batch_size
        if shuffle:
            epoch, offset = divmod(skipped, len(self))
            epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
            indices = epochs.flat_map(lambda number: self._epoch(seed, number)).skip(offset)
        else:
            indices = tf.data.Dataset.range(skipped, len(self))
        batched = indices.batch(batch_size, drop_remainder=shuffle)
        if num_replicas > 1:
            batched = batched.flat_map(lambda batch: rows_of(batch, replicas, num_replicas))
        records = mapped(batched, self.gather, self.parallel_batches)
        return endless(records) if shuffle else records

    def _epoch(self, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(self), dtype=tf.int64), seed=tf.stack([tf.cast(seed, tf.int64), epoch])
        )
        return tf.data.Dataset.from_tensor_slices(order)


def endless(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Tell that a data set has no end; workers ask each other at every step where they can't know.

    It also lets them know the number of rows of a batch.
    """
    told = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return batches.apply(told)


def rows_of(batch: tf.Tensor, replicas: Sequence[int], num_replicas: int) -> tf.data.Dataset:
    """For each replica r, the rows r, r + num_replicas, ... of a batch [B, ...]."""
    parts = tf.stack([batch[replica::num_replicas] for replica in replicas])
    return tf.data.Dataset.from_tensor_slices(parts)


class ArraySource(Source):
    """Records held in memory as uint8.

    Args:
        images: uint8 [N, H, W, C].
        labels: int [N]; or float [N, D], numbers that a regressor is to tell.
        masks: uint8 [N, H, W, 1] or None; 255 is foreground.

    Raises:
        UserError: another dtype, rank or length, or no record at all.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, masks: np.ndarray | None = None):
        _check_arrays(images, labels, masks)
        self.image_shape = images.shape[1:]
        labels = np.asarray(labels)
        numbers = labels.ndim == 2 and labels.dtype.kind == "f"
        self.labels = labels.astype(np.float32 if numbers else np.int32, copy=False)
        # Tensors made here are captured by the graphs that gather; an array would be copied
        # into each graph as a constant.
        with tf.device("CPU"):
            self._tensors = {"image": tf.constant(images), "label": tf.constant(self.labels)}
            if masks is not None:
                self._tensors["mask"] = tf.constant(masks)
        # the tensors' own memory, so that the images are held once
        self.images = np.asarray(self._tensors["image"])
        self.masks = None if masks is None else np.asarray(self._tensors["mask"])

    def __len__(self) -> int:
        return len(self.images)

    def gather(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Source.gather`."""
        records = {name: tf.gather(values, indices) for name, values in self._tensors.items()}
        for name in ("image", "mask"):
            if name in records:
                records[name] = tf.cast(records[name], tf.float32) / 255.0
        return {**records, "index": indices}

    def digest(self) -> int:
        """See `Source.digest`; masks do not count."""
        return zlib.crc32(self.labels.tobytes(), zlib.crc32(np.ascontiguousarray(self.images)))

    def masks_digest(self) -> int:
        """See `Source.masks_digest`."""
        return zlib.crc32(np.ascontiguousarray(self.masks))

    def with_masks(self, masks: np.ndarray) -> "ArraySource":
        """The same images with these masks, uint8 [N, H, W, 1]."""
        _check_arrays(self.images, self.labels, masks)
        with tf.device("CPU"):
            held = tf.constant(masks)
        found = copy.copy(self)
        found.masks, found._tensors = np.asarray(held), {**self._tensors, "mask": held}
        return found

    @property
    def has_masks(self) -> bool:
        """See `Source.has_masks`."""
        return self.masks is not None

    def take(self, rows: np.ndarray, labels: np.ndarray | None = None) -> "ArraySource":
        """See `Source.take`."""
        masks = None if self.masks is None else self.masks[rows]
        taken = ArraySource(
            self.images[rows], self.labels[rows] if labels is None else labels, masks
        )
        return taken.with_places(None if self.places is None else self.places[rows])

    def without_masks(self) -> "ArraySource":
        """See `Source.without_masks`; the images are the same ones."""
        if self.masks is None:
            return self
        found = copy.copy(self)
        found.masks = None
        found._tensors = {name: self._tensors[name] for name in ("image", "label")}
        return found


def _check_arrays(images: np.ndarray, labels: np.ndarray, masks: np.ndarray | None) -> None:
    """Raise unless these are records; see `ArraySource`."""
    for name, array in (("images", images), ("masks", masks)):
        if array is not None and (array.dtype != np.uint8 or array.ndim != 4):
            raise UserError(
                f"{name} must be uint8 [N, H, W, C]; received {array.dtype} {array.shape}"
            )
    lengths = {len(array) for array in (images, labels, masks) if array is not None}
    if len(lengths) != 1 or 0 in lengths:
        raise UserError(
            f"images, labels and masks need one length above 0; received {sorted(lengths)}"
        )


def pixel_range(source: Source) -> tuple[float, float]:
    """The darkest and the brightest value of all images."""
    low, high = 1.0, 0.0
    for batch in source.without_masks().batches(source.pass_batch):
        low = min(low, float(tf.reduce_min(batch["image"])))
        high = max(high, float(tf.reduce_max(batch["image"])))
    return low, high


def spread_rows(source: Source, count: int) -> np.ndarray:
    """Up to `count` records from everywhere, as they may be sorted, in their order."""
    return _spread(np.arange(len(source)), count)


def sample_rows(source: Source, count: int) -> np.ndarray:
    """Up to `count` records from everywhere, about as many of each class, in their order."""
    labels = source.labels
    if labels.ndim > 1:
        return spread_rows(source, count)
    classes = np.unique(labels)
    share = max(1, count // len(classes))
    rows = [_spread(source.rows_of_class(own), share) for own in classes]
    return np.sort(np.concatenate(rows))[:count]


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Some of the rows, from the first to the last."""
    count = min(count, len(rows))
    return rows[np.linspace(0, len(rows), count, endpoint=False, dtype=np.int64)]


def split_off_test(source: Source) -> tuple[Source, Source]:
    """Three quarters to train on and a quarter to test with, always the same ones.

    Args:
        source: every record of a data set that has no split of its own.

    Raises:
        UserError: fewer than three records.
    """
    if len(source) < 3:
        raise UserError(f"a data set without a test needs at least 3 images; found {len(source)}")
    order = np.random.default_rng(0).permutation(len(source))
    cut = round(len(source) * (1 - TEST_SHARE))
    return source.take(order[:cut]), source.take(order[cut:])


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A training split and named tests.

    Attributes:
        name: as given to `load_data`.
        train: the training split.
        tests: splits by readable name, in the order of the tables.
        class_names: one for each label, in order.
        image_shape: (H, W, C) of every split.
        backgrounds: folder of photographs that come with it, to put behind objects, or None.
        place_names: of the places of its splits, in order; empty where they have none.
        came_in: the range that images had which came as floats; else None, as no model is meant.

    Raises:
        UserError: a label without a class.
    """

    name: str
    train: Source
    tests: Mapping[str, Source]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    backgrounds: str | None = None
    came_in: tuple[float, float] | None = None
    place_names: tuple[str, ...] = ()

    def __post_init__(self):
        if self.regression:
            return
        for name, split in {"train": self.train, **self.tests}.items():
            wrong = np.flatnonzero((split.labels < 0) | (split.labels >= self.num_classes))
            if len(wrong):
                raise UserError(
                    f"{self.name}: record {wrong[0]} of {name} has label {split.labels[wrong[0]]}, "
                    f"but there are {self.num_classes} classes, 0 to {self.num_classes - 1}"
                )

    @property
    def multi_label(self) -> bool:
        """Whether an image may show several classes, or none."""
        return self.train.labels.ndim == 2 and not self.regression

    @property
    def regression(self) -> bool:
        """Whether labels are numbers to tell, not classes."""
        return self.train.labels.dtype.kind == "f"

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def take_in_memory(source: Source, indices: np.ndarray) -> ArraySource:
    """A small part of a source, in memory."""
    indices = indices[indices < len(source)]
    records = source.gather(tf.constant(indices, tf.int64))
    held = {
        name: np.round(records[name].numpy() * 255).astype(np.uint8)
        for name in ("image", "mask")
        if name in records
    }
    return ArraySource(held["image"], records["label"].numpy(), held.get("mask"))
