"""The variations of the Backgrounds Challenge, from anybody's images and masks (Xiao et al. 2021).

Images are uint8 [H, W, 3], masks bool [H, W], true where the object is.
"""

import cv2
import numpy as np

FILLS = ("tile", "inpaint")
INPAINT_RADIUS = 5
MIXED = ("mixed_same", "mixed_rand", "mixed_next")


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, bottom and right edge of a mask's box, half-open.

    Raises:
        ValueError: an empty mask.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        raise ValueError("an empty mask has no box")
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def tiled_background(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image without the object: its box is filled with repetitions of the largest strip beside.

    The strip is what lies above, below, left or right of the box, in the box's columns or rows.
    Where the box takes the whole image, it is inpainted.
    """
    top, left, bottom, right = box_of(mask)
    height, width = mask.shape
    strips = {
        (0, False): image[:top, left:right],
        (0, True): image[bottom:, left:right],
        (1, False): image[top:bottom, :left],
        (1, True): image[top:bottom, right:],
    }
    # as areas of the whole strip, from edge to edge
    areas = {
        (0, False): top * width,
        (0, True): (height - bottom) * width,
        (1, False): left * height,
        (1, True): (width - right) * height,
    }
    chosen = max(areas, key=areas.get)
    if not areas[chosen]:
        return inpainted_background(image, mask)
    axis, after = chosen
    strip, needed = strips[chosen], (bottom - top, right - left)[axis]
    repeats = -(-needed // strip.shape[axis])
    tiled = np.concatenate([strip] * repeats, axis)
    # the strip goes on from the edge that it touches
    taken = slice(0, needed) if after else slice(tiled.shape[axis] - needed, None)
    filled = image.copy()
    filled[top:bottom, left:right] = tiled[taken] if axis == 0 else tiled[:, taken]
    return filled


def inpainted_background(image: np.ndarray, mask: np.ndarray, shrink: int = 1) -> np.ndarray:
    """The image without the object, which is filled from its edge inwards (Telea 2004).

    Args:
        image: uint8 [H, W, 3].
        mask: bool [H, W].
        shrink: fill in a picture so many times smaller: at 2, 227 x 227 pixels take 7 ms in place
            of 100. What the mask leaves stays as it is.
    """
    hole = mask.astype(np.uint8) * 255
    if shrink == 1:
        return cv2.inpaint(image, hole, INPAINT_RADIUS, cv2.INPAINT_TELEA)
    height, width = mask.shape
    size = (max(1, width // shrink), max(1, height // shrink))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small_hole = (cv2.resize(hole, size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    filled = cv2.inpaint(small, small_hole, INPAINT_RADIUS, cv2.INPAINT_TELEA)
    return np.where(mask[..., None], cv2.resize(filled, (width, height)), image)


def background_of(image: np.ndarray, mask: np.ndarray, fill: str) -> np.ndarray:
    """The image without the object, by one of `FILLS`."""
    return (tiled_background if fill == "tile" else inpainted_background)(image, mask)


def own_variations(
    image: np.ndarray, mask: np.ndarray, hidden: np.ndarray, fill: str
) -> dict[str, np.ndarray]:
    """The variations that need one image alone, by name.

    Args:
        image: uint8 [H, W, 3].
        mask: bool [H, W].
        hidden: bool [H, W], what backgrounds must not show: the mask, or the box that it is from.
        fill: one of `FILLS`, for `only_bg_t`.
    """
    top, left, bottom, right = box_of(hidden)
    without_box = image.copy()
    without_box[top:bottom, left:right] = 0
    return {
        "original": image,
        "only_fg": np.where(mask[..., None], image, 0).astype(np.uint8),
        "no_fg": np.where(mask[..., None], 0, image).astype(np.uint8),
        "only_bg_b": without_box,
        "only_bg_t": background_of(image, hidden, fill),
    }


def choose_partners(labels: np.ndarray, num_classes: int, seed: int) -> dict[str, np.ndarray]:
    """Whose background each image gets, int [N], for each of `MIXED`.

    `mixed_same` takes another image of the class (the image itself where it is the only one),
    `mixed_rand` one of any class, each class as often, `mixed_next` one of the next class.

    Args:
        labels: int [N].
        num_classes: K.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == label) for label in range(num_classes)]
    filled = [label for label in range(num_classes) if len(members[label])]

    def one_of(label: int, but: int) -> int:
        others = members[label][members[label] != but]
        return int(rng.choice(others)) if len(others) else but

    partners: dict[str, list[int]] = {name: [] for name in MIXED}
    for row, label in enumerate(labels):
        following = filled[(filled.index(int(label)) + 1) % len(filled)]
        partners["mixed_same"].append(one_of(int(label), row))
        partners["mixed_rand"].append(one_of(int(rng.choice(filled)), row))
        partners["mixed_next"].append(one_of(following, row))
    return {name: np.array(rows, int) for name, rows in partners.items()}
