"""Masks from a classifier's own maps, cleaned up by grabCut."""

from collections.abc import Sequence

import cv2
import keras
import numpy as np
import scipy.ndimage
import tensorflow as tf

from bginv.masks.source import Mask, MaskSource, Picture
from bginv.masks.stored_features import affinity, normalized_cut
from bginv.nn.features import FeatureMaps, network_digest

Box = tuple[int, int, int, int]
GRAB_CUT_ROUNDS, ROUNDS_FROM_BOX = 2, 5
LEAST = 0.2
"""Share of the boxes below which the object is lost: it begins again from the boxes alone."""
BINS = (16, 32, 32)
"""Of lightness and of the two colours."""
COLOUR_ROUNDS, POSITION, BLUR, MOST_ODDS = 6, 0.15, 2.0, 3.0


def grab_cut(image: np.ndarray, *boxes: Box) -> np.ndarray:
    """The object in its box, or the objects in theirs; the boxes where there is nothing outside.

    grabCut that takes the whole box for the object at first keeps what stands between its legs.
    Here a few rounds of colour histograms, inside against outside, tell where it begins, and
    two rounds of grabCut do for five.

    Args:
        image: uint8 [H, W, 3].
        boxes: top, left, bottom and right edge, half-open.

    Returns:
        bool [H, W]; nothing outside the boxes.
    """
    boxed = np.zeros(image.shape[:2], bool)
    for top, left, bottom, right in boxes:
        boxed[top:bottom, left:right] = True
    if not boxed.any() or boxed.all():
        return boxed
    found = cut(image, boxed, _by_colour(image, boxed, boxes) > 0.5, GRAB_CUT_ROUNDS)
    if found.sum() < LEAST * boxed.sum():
        found = cut(image, boxed, boxed, ROUNDS_FROM_BOX)
    return found if found.any() else boxed


def cut(image: np.ndarray, allowed: np.ndarray, start: np.ndarray, rounds: int) -> np.ndarray:
    """grabCut from a first guess, the same at every call.

    Args:
        image: uint8 [H, W, 3].
        allowed: bool [H, W]; all else is background.
        start: bool [H, W], where the object may be taken to be at first.
        rounds: of colour models and cuts.

    Returns:
        bool [H, W]; empty where there is nothing to begin with.
    """
    if not (start & allowed).any():
        return np.zeros_like(allowed)
    labels = np.where(allowed, np.where(start, cv2.GC_PR_FGD, cv2.GC_PR_BGD), cv2.GC_BGD)
    labels = labels.astype(np.uint8)
    if (labels == cv2.GC_PR_FGD).all():
        return start & allowed
    models = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(image, labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _by_colour(image: np.ndarray, boxed: np.ndarray, boxes: tuple[Box, ...]) -> np.ndarray:
    """The probability of foreground, float [H, W], by turns of colour histograms and smoothing."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(int)
    places = np.ravel_multi_index(tuple(np.moveaxis(lab * BINS // 256, -1, 0)), BINS)
    position = POSITION * np.max([_centred(boxed.shape, box) for box in boxes], 0)
    foreground = np.where(boxed, _sigmoid(position + 0.5), 0.0)
    for _ in range(COLOUR_ROUNDS):
        odds = np.log(_density(places, foreground) / _density(places, 1 - foreground))
        odds = np.clip(odds, -MOST_ODDS, MOST_ODDS) + position
        odds = cv2.GaussianBlur(odds.astype(np.float32), (0, 0), BLUR)
        foreground = np.where(boxed, _sigmoid(2 * odds), 0.0)
    return foreground


def _density(places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How often each pixel's colour occurs among weighted pixels, above 0."""
    counts = np.bincount(places.ravel(), weights.ravel(), int(np.prod(BINS))).reshape(BINS)
    smooth = scipy.ndimage.gaussian_filter(counts, 1.0, mode="constant", truncate=2.0)
    return (smooth / max(smooth.sum(), 1e-6)).ravel()[places] + 1e-6


def _centred(shape: tuple[int, int], box: Box) -> np.ndarray:
    """1 in the centre of a box, 0 on the ellipse in it, negative beyond."""
    top, left, bottom, right = box
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    down = (2 * rows - top - bottom + 1) / (bottom - top)
    across = (2 * columns - left - right + 1) / (right - left)
    return 1 - down**2 - across**2


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


SCALES = (1.0, 1.5, 2.0)
"""Of the images, times the classifier's own size; the last has the features of the cut."""
MOST_PLACES = 28
"""Rows and columns of the cut: its time grows with their fourth power."""
ALLOWED, OBJECT = 0.2, 0.5
"""Of the cut: below the first grabCut finds nothing, above the second it begins."""
ROUNDS, LEAST_AGREEMENT, LEAST_PIECE, SMOOTH_EDGE = 1, 0.3, 0.2, 0.7
WORKING_SIDE = 320


class CamMasks(MaskSource):
    """The object that a classifier sees, without a training of its own.

    Class activation maps of several image sizes tell where the class is, roughly. A normalised cut
    by features and colours parts the picture in two (as TokenCut does, Wang et al. 2022, with
    features of another kind); the part where the maps are is the object. grabCut follows its edge.

    Args:
        classifier: images in [0, 1] to logits; see `FeatureMaps`.

    Raises:
        UserError: see `FeatureMaps`.
    """

    name = "cam"
    seconds = 0.3
    batch_size = 8

    def __init__(self, classifier: keras.Model):
        self._maps = FeatureMaps(classifier)
        self._classifier = classifier
        self._features = tf.function(self._features_and_map, autograph=False)

    @property
    def by_name(self) -> bool:
        """See `MaskSource.by_name`; the map is that of the picture's label."""
        return True

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`."""
        return f"cam 2 {network_digest(self._classifier)}"

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        labels = tf.constant([-1 if own.label is None else own.label for own in pictures])
        rows, columns, channels = self._maps.image_shape
        sizes = [(round(rows * scale), round(columns * scale)) for scale in SCALES]
        images = [
            np.stack([resized(own.pixels, size, channels) for own in pictures]) for size in sizes
        ]
        fine, deep, maps = (own.numpy() for own in self._features(images, labels))
        found = zip(pictures, fine, deep, maps, strict=True)
        return [_mask(picture, list(features), seen) for picture, *features, seen in found]

    def _features_and_map(
        self, images: list[tf.Tensor], labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Both features on the places of the cut, and the mean map over image sizes."""
        places = None
        _, own = self._maps.native(images[0], training=False)
        weights = self._maps.channel_weights(own, labels)
        maps = []
        for batch in reversed(images):
            fine, deep = self._maps.at(*batch.shape[1:3])(batch, training=False)
            if places is None:
                places = [min(MOST_PLACES, side) for side in fine.shape[1:3]]
                features = [tf.image.resize(part, places) for part in (fine, deep)]
            seen = tf.nn.relu(tf.einsum("bhwc,bc->bhw", tf.cast(deep, tf.float32), weights))
            seen = tf.math.divide_no_nan(seen, tf.reduce_max(seen, [1, 2], keepdims=True))
            maps.append(tf.image.resize(seen[..., None], places)[..., 0])
        return *features, tf.add_n(maps) / len(maps)


def resized(pixels: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    """Float32 [H, W, C] in [0, 1]."""
    rows, columns = size
    smaller = rows < pixels.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    image = cv2.resize(pixels, (columns, rows), interpolation=how)
    if channels == 1:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return image.reshape(rows, columns, channels).astype(np.float32) / 255


def _mask(picture: Picture, features: list[np.ndarray], seen: np.ndarray) -> Mask:
    if not seen.any() or seen.std() == 0:
        return Mask.failed(picture, "the classifier's map is empty")
    rows, columns = seen.shape
    lab = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
    colours = cv2.resize(lab, (columns, rows), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    part = normalized_cut(affinity([own.reshape(len(colours), -1) for own in features], colours))
    likeness = np.corrcoef(part, seen.ravel())[0, 1]
    if not np.isfinite(likeness):
        return Mask.failed(picture, "the picture has no two parts")
    part = part if likeness > 0 else 1 - part
    soft, agreement = along_edges(picture.pixels, part.reshape(rows, columns))
    return Mask(soft, float(abs(likeness) * agreement))


def along_edges(
    pixels: np.ndarray, rough: np.ndarray, allowed: float = ALLOWED
) -> tuple[np.ndarray, float]:
    """A rough mask made to follow the edges of its picture by grabCut, small pieces dropped.

    Args:
        pixels: uint8 [H, W, 3].
        rough: float32 [h, w] in [0, 1], of a lower resolution; over 0.5 it is the object.
        allowed: grabCut finds nothing where `rough` is below it.

    Returns:
        float32 [H, W] in [0, 1], and the IoU of before and after.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    rough = cv2.resize(rough, size)
    start = rough > OBJECT
    found = _large_pieces(cut(small, rough > allowed, start, ROUNDS))
    agreement = (found & start).sum() / max((found | start).sum(), 1)
    if agreement < LEAST_AGREEMENT:
        found = start
    soft = cv2.GaussianBlur(found.astype(np.float32), (0, 0), SMOOTH_EDGE)
    return np.clip(cv2.resize(soft, (width, height)), 0, 1), float(agreement)


def _large_pieces(found: np.ndarray) -> np.ndarray:
    """Connected pieces of at least a fifth of the largest one's area."""
    _, names, statistics, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return (areas >= max(LEAST_PIECE * areas.max(), 1))[names]
