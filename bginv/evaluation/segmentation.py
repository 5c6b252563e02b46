"""Masks and label maps against true ones: confusion matrices, IoU."""

import dataclasses
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from bginv.data.sources import Source
from bginv.errors import UserError
from bginv.ops.binarize import BINARIZATIONS, binarize
from bginv.ops.cams import enlarge_maps, segmentation_maps


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Pixels by true class (rows) and predicted class (columns).

    Attributes:
        counts: int64 [K, K].
    """

    counts: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class, float64 [K]; NaN for one that is nowhere."""
        right = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - right
        return np.divide(right, union, out=np.full(len(right), np.nan), where=union > 0)

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that are somewhere; NaN without any pixel."""
        iou = self.iou
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of pixels whose class is predicted; NaN without any pixel."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(self.counts + other.counts)


def count_confusion(true: np.ndarray, predicted: np.ndarray, num_classes: int) -> Confusion:
    """Count the pixels of each pair of classes.

    Args:
        true: int [...]; pixels with other numbers than those of classes do not count.
        predicted: the same shape, class numbers.
        num_classes: K.

    Raises:
        UserError: shapes that differ, or a prediction that is no class.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.shape != predicted.shape:
        raise UserError(
            f"true and predicted maps need one shape; received {true.shape} and {predicted.shape}"
        )
    known = (true >= 0) & (true < num_classes)
    true, predicted = true[known].astype(np.int64), predicted[known].astype(np.int64)
    if predicted.size and not 0 <= predicted.min() <= predicted.max() < num_classes:
        raise UserError(
            f"predictions must be 0 to {num_classes - 1}; received {predicted.min()} to "
            f"{predicted.max()}"
        )
    pairs = np.bincount(num_classes * true + predicted, minlength=num_classes**2)
    return Confusion(pairs.reshape(num_classes, num_classes))


def segmentation_evaluator(segmenter: keras.Model) -> Callable[[Source], Confusion]:
    """What evaluates a segmentation network, with its weights at that time, on labelled images.

    Args:
        segmenter: images to logits [B, H, W, K].
    """

    @tf.function(reduce_retracing=True)
    def predict(images: tf.Tensor) -> tf.Tensor:
        return tf.argmax(segmenter(images, training=False), -1, tf.int32)

    num_classes = segmenter.output_shape[-1]

    def evaluate(source: Source) -> Confusion:
        total = Confusion(np.zeros((num_classes, num_classes), np.int64))
        for batch in source.batches(source.pass_batch):
            predicted = predict(batch["image"]).numpy()
            total += count_confusion(batch["label_map"].numpy(), predicted, num_classes)
        return total

    return evaluate


BOX_SIDES = np.arange(0.05, 1.001, 0.05)


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Means over images, each in [0, 1].

    Attributes:
        iou: intersection over union.
        precision: share of the predicted foreground that is true.
        recall: share of the true foreground that is predicted.
        area: share of the image that is predicted to be foreground.
    """

    iou: float
    precision: float
    recall: float
    area: float


def soft_masks_of(model: keras.Model, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """Soft masks of a batch, by a mask generator, or by a localizer for the images' labels.

    Args:
        model: images to masks, or to a dict with `maps`, a map for each class.
        batch: records of a `Source`.

    Returns:
        float32 [B, H, W, 1] in [0, 1].
    """
    found = model(batch["image"], training=False)
    if not isinstance(found, dict):
        return found
    maps = tf.gather(tf.transpose(found["maps"], [0, 3, 1, 2]), batch["label"], batch_dims=1)
    return enlarge_maps(maps, batch["image"].shape[1:3])[..., None]


def mask_predictor(model: keras.Model) -> Callable[[dict[str, tf.Tensor]], tf.Tensor]:
    """`soft_masks_of` a model, compiled once for all that is asked of it."""
    return tf.function(lambda batch: soft_masks_of(model, batch), reduce_retracing=True)


def maps_at(maps: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Maps of all classes, float [B, h, w, K], enlarged one by one: float32 [B, H, W, K]."""
    count, *_, num_classes = maps.shape
    rows = tf.reshape(tf.transpose(maps, [0, 3, 1, 2]), [-1, *maps.shape[1:3]])
    enlarged = tf.reshape(enlarge_maps(rows, size), [count or -1, num_classes, *size])
    return tf.transpose(enlarged, [0, 2, 3, 1])


def predict_masks(
    predict: Callable[[dict[str, tf.Tensor]], tf.Tensor], source: Source
) -> Iterator[np.ndarray]:
    """Soft masks in the source's order, one by one.

    Args:
        predict: see `mask_predictor`.
        source: images.

    Yields:
        float32 [H, W, 1] in [0, 1].
    """
    for batch in source.batches(source.pass_batch):
        yield from predict(batch).numpy()


def count_agreement(predicted: tf.Tensor, true: tf.Tensor) -> tf.Tensor:
    """Pixels of each image: in both masks, predicted, true, and in all.

    Args:
        predicted: float32 [B, H, W, 1] in [0, 1]; soft masks count in parts.
        true: float32 [B, H, W, 1], 0 or 1.

    Returns:
        float32 [B, 4].
    """
    sums = [tf.reduce_sum(mask, [1, 2, 3]) for mask in (predicted * true, predicted, true)]
    return tf.stack([*sums, tf.fill(tf.shape(sums[0]), float(np.prod(true.shape[1:])))], 1)


def agreement(counts: np.ndarray) -> Agreement:
    """Ratios of each image, averaged over images.

    An image without true and predicted foreground agrees in full; where one of them is empty, what
    is divided by it is 0.

    Args:
        counts: [N, 4], see `count_agreement`.
    """
    both, predicted, true, pixels = np.asarray(counts, np.float64).T

    def ratio(part: np.ndarray, whole: np.ndarray) -> float:
        nothing = np.where(predicted + true == 0, 1.0, 0.0)
        return float(np.mean(np.divide(part, whole, out=nothing, where=whole > 0)))

    return Agreement(
        iou=ratio(both, predicted + true - both),
        precision=ratio(both, predicted),
        recall=ratio(both, true),
        area=float(np.mean(predicted / pixels)),
    )


def evaluate_masks(
    predict: Callable[[dict[str, tf.Tensor]], tf.Tensor] | None,
    source: Source,
    area: float,
    threshold: float | None = None,
) -> dict[str, Agreement]:
    """Agreement of each binarization, and of two baselines that look at no image.

    The best centred box is that of all sides from 5 % to 100 % of the image's, height and width
    apart, whose mean IoU with these very masks is the largest.

    Args:
        predict: see `mask_predictor`; None leaves the baselines.
        source: images with true masks.
        area: share of foreground for the binarization "quantile".
        threshold: one more to look at.
    """
    predictions: dict[str, Callable] = {
        method: lambda soft, method=method: binarize(soft, method, area)
        for method in (BINARIZATIONS if predict else ())
    }
    if predict and threshold is not None:
        predictions[f"{threshold:g}"] = lambda soft: tf.cast(soft >= threshold, tf.float32)
    boxes = _centred_boxes(source)
    counts = {name: [] for name in predictions}
    counts_of_boxes = []
    for batch in source.batches(source.pass_batch):
        true = tf.round(batch["mask"])
        soft = predict(batch) if predict else None
        for name, of_soft in predictions.items():
            counts[name].append(count_agreement(of_soft(soft), true))
        counts_of_boxes.append(_count_boxes(boxes, true))
    found = {name: agreement(np.concatenate(parts)) for name, parts in counts.items()}
    of_boxes = [agreement(own) for own in np.concatenate(counts_of_boxes, 1)]
    return {
        **found,
        "all foreground": of_boxes[-1],
        "best centred box": max(of_boxes, key=lambda box: box.iou),
    }


def _centred_boxes(source: Source) -> np.ndarray:
    """Half-open rows and columns of boxes, int [K, 4]; the last one is the whole image."""
    height, width = source.image_shape[:2]
    boxes = []
    for rows in np.round(BOX_SIDES * height).astype(int):
        for columns in np.round(BOX_SIDES * width).astype(int):
            top, left = (height - rows) // 2, (width - columns) // 2
            boxes.append((top, left, top + rows, left + columns))
    return np.array(boxes)


def _count_boxes(boxes: np.ndarray, true: tf.Tensor) -> np.ndarray:
    """See `count_agreement`, for each box: [K, B, 4]."""
    masks = true.numpy()[..., 0]
    sums = np.pad(masks.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    top, left, bottom, right = boxes.T
    both = (
        sums[:, bottom, right] - sums[:, top, right] - sums[:, bottom, left] + sums[:, top, left]
    ).T
    predicted = np.broadcast_to(((bottom - top) * (right - left))[:, None], both.shape)
    all_true = np.broadcast_to(sums[:, -1, -1], both.shape)
    return np.stack([both, predicted, all_true, np.full(both.shape, masks[0].size)], -1)


IGNORED = 255
TINY = 1e-10


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """Pixels of each class, background first, over any number of images; int64 [K + 1].

    Attributes:
        intersection: predicted and true.
        predicted: predicted, where the truth is not ignored.
        true: true.
    """

    intersection: np.ndarray
    predicted: np.ndarray
    true: np.ndarray

    @property
    def union(self) -> np.ndarray:
        """Predicted or true, int64 [K + 1]."""
        return self.predicted + self.true - self.intersection

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class, float64 [K + 1]; 0 for one that is nowhere."""
        return self.intersection / (self.union + TINY)

    @property
    def precision(self) -> np.ndarray:
        """Share of what is predicted that is true, float64 [K + 1]."""
        return self.intersection / (self.predicted + TINY)

    @property
    def recall(self) -> np.ndarray:
        """Share of what is true that is predicted, float64 [K + 1]."""
        return self.intersection / (self.true + TINY)

    def __add__(self, other: "ClassCounts") -> "ClassCounts":
        return ClassCounts(
            *(
                getattr(self, field.name) + getattr(other, field.name)
                for field in dataclasses.fields(self)
            )
        )


def count_classes(
    true: np.ndarray, predicted: np.ndarray, num_classes: int, ignored: int = IGNORED
) -> ClassCounts:
    """Count the pixels of each class.

    Args:
        true: int [...], 0 for background, k + 1 for class k; pixels of the value `ignored` do not
            count.
        predicted: the same shape.
        num_classes: K, without background.
        ignored: the value of pixels that have no truth.

    Raises:
        UserError: shapes that differ.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.shape != predicted.shape:
        raise UserError(
            f"true and predicted maps need one shape; received {true.shape} and {predicted.shape}"
        )
    known = true != ignored
    true, predicted = true[known].astype(np.int64), predicted[known].astype(np.int64)

    def count(values: np.ndarray) -> np.ndarray:
        return np.bincount(values, minlength=num_classes + 1)[: num_classes + 1]

    return ClassCounts(count(true[predicted == true]), count(predicted), count(true))


def evaluate_label_maps(localizer: keras.Model, source: Source, threshold: float) -> ClassCounts:
    """Counts over a source, as EADER evaluates: the classes of an image are known.

    Args:
        localizer: images to a dict with `maps`, see `bginv.methods.erasing.model`.
        source: images with label maps and with labels [N, K].
        threshold: maps below it are background.
    """

    @tf.function(reduce_retracing=True)
    def predict(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        maps = localizer(batch["image"], training=False)["maps"][..., :num_classes]
        maps = maps_at(maps, batch["image"].shape[1:3])
        return segmentation_maps(maps, batch["label"], threshold)

    num_classes = source.labels.shape[1]
    total = None
    for batch in source.batches(source.pass_batch):
        counts = count_classes(batch["label_map"].numpy(), predict(batch).numpy(), num_classes)
        total = counts if total is None else total + counts
    return total
