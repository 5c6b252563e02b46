"""The object in a box, by grabCut (Rother et al. 2004), begun from histograms of colour."""

import cv2
import numpy as np
import scipy.ndimage

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
