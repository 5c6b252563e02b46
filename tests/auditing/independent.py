"""An audit's figures once more, with NumPy and OpenCV alone."""

import cv2
import numpy as np

INPAINT_RADIUS, GROWN, REFERENCE = 5, 2, 227


def figures(images, masks, labels, donors, predict) -> dict[str, float]:
    """Accuracies by test, and the gap.

    Args:
        images: uint8 [N, H, W, 3].
        masks: uint8 [N, H, W], soft.
        labels: int [N].
        donors: by test of mixed backgrounds: int [N, D].
        predict: uint8 images to classes.
    """
    emptied = np.stack([without_object(*pair) for pair in zip(images, masks, strict=True)])
    inside = (masks > 127.5)[..., None]

    def accuracy(shown) -> float:
        return float((predict(shown) == labels).mean())

    def on(behind) -> np.ndarray:
        return np.where(inside, images, behind).astype(np.uint8)

    blurred = [cv2.GaussianBlur(own, (0, 0), 0.1 * len(own)) for own in emptied]
    colours = np.round(emptied.mean((1, 2), keepdims=True))
    found = {
        "clean": accuracy(images),
        "only_fg": accuracy(on(0)),
        "only_fg_grey": accuracy(on(128)),
        "only_fg_blurred": accuracy(on(np.stack(blurred))),
        "no_fg": accuracy(np.where(inside, 0, images).astype(np.uint8)),
        "only_bg": accuracy(emptied),
        "only_bg_mean": accuracy(np.where(inside, colours, images).astype(np.uint8)),
    }
    for name, own in donors.items():
        found[name] = float(np.mean([accuracy(on(emptied[column])) for column in own.T]))
    return {**found, "gap": found["mixed_same"] - found["mixed_rand"]}


def without_object(image, mask):
    """The object's place filled from its edge inwards (Telea 2004), at half size."""
    size = 2 * max(1, round(GROWN * len(image) / REFERENCE)) + 1
    hole = cv2.dilate((mask > 51).astype(np.uint8), np.ones((size, size), np.uint8))
    if not hole.any():
        return image
    half = (image.shape[1] // 2, image.shape[0] // 2)
    small = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
    small_hole = cv2.resize(hole * 255, half, interpolation=cv2.INTER_AREA) > 0
    filled = cv2.inpaint(small, small_hole.astype(np.uint8), INPAINT_RADIUS, cv2.INPAINT_TELEA)
    return np.where(hole[..., None] > 0, cv2.resize(filled, image.shape[1::-1]), image)
