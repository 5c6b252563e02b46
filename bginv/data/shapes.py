"""The embedded colour data set: shapes on textures, with exact masks, drawn when asked for.

In training the texture goes with the class, so a classifier may read either. The tests take the
two apart, as the variations of the Backgrounds Challenge do (Xiao et al. 2021).
"""

import dataclasses

import cv2
import numpy as np

from bginv.data.entries import Entry
from bginv.data.sources import ArraySource, Dataset

SIDE = 64
NUM_TRAIN, NUM_TEST = 2400, 600
OWN_TEXTURE_SHARE = 0.9
SMALLEST, LARGEST = 0.22, 0.34
"""Half the side of a shape, as a share of the image's side."""
DUSK_LIGHT, DUSK_NOISE = (0.5, 0.55, 0.7), 0.03
"""What is left of red, green and blue, and the deviation of the noise, at dusk."""


@dataclasses.dataclass(frozen=True)
class Texture:
    """Filtered noise between two colours.

    Attributes:
        colours: two RGB colours in [0, 1].
        grain: standard deviations of the filter along x and y, in shares of the image's side.
    """

    colours: tuple[tuple[float, float, float], tuple[float, float, float]]
    grain: tuple[float, float]


def _star(points: int, inner: float) -> np.ndarray:
    angles = np.arange(2 * points) * np.pi / points - np.pi / 2
    radii = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]


def _polygon(corners: int) -> np.ndarray:
    angles = np.arange(corners) * 2 * np.pi / corners - np.pi / 2
    return np.stack([np.cos(angles), np.sin(angles)], 1)


_ARM = 0.34
_HALF = _polygon(48)[:25]
CLASSES: dict[str, tuple[np.ndarray, Texture]] = {
    "disk": (_polygon(48), Texture(((0.10, 0.35, 0.12), (0.45, 0.65, 0.25)), (0.008, 0.05))),
    "triangle": (_polygon(3), Texture(((0.70, 0.58, 0.38), (0.90, 0.82, 0.62)), (0.01, 0.01))),
    "square": (
        np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.8,
        Texture(((0.08, 0.25, 0.50), (0.45, 0.65, 0.85)), (0.08, 0.012)),
    ),
    "star": (_star(5, 0.42), Texture(((0.30, 0.28, 0.30), (0.70, 0.70, 0.72)), (0.05, 0.05))),
    "cross": (
        np.array(
            [[-_ARM, -1], [_ARM, -1], [_ARM, -_ARM], [1, -_ARM], [1, _ARM], [_ARM, _ARM]]
            + [[_ARM, 1], [-_ARM, 1], [-_ARM, _ARM], [-1, _ARM], [-1, -_ARM], [-_ARM, -_ARM]]
        ),
        Texture(((0.40, 0.12, 0.10), (0.75, 0.40, 0.28)), (0.025, 0.025)),
    ),
    "crescent": (
        np.concatenate([_HALF, (_HALF * [0.35, 1])[::-1]]) * 1.1 - [0.6, 0],
        Texture(((0.30, 0.15, 0.40), (0.72, 0.50, 0.78)), (0.015, 0.015)),
    ),
}


def load_shapes(name: str, side: int, own_share: float = OWN_TEXTURE_SHARE) -> Dataset:
    """Six shapes in any colour, place, size and turn, each with a texture of its class.

    Tests, of the same objects: `clean`, as in training with the texture of the class;
    `mixed_same`, on another piece of that texture; `mixed_random`, on the texture of any class;
    `foreground_only`, on black; `background_only`, the texture of `clean` alone, on which a
    classifier that looks at the object can only guess.

    Args:
        name: the name of the data set to return.
        side: height and width of the images.
        own_share: of the training images that have the texture of their class; the others have
            that of any class.
    """
    num_classes = len(CLASSES)
    train_rng, test_rng = (np.random.default_rng((2020, split)) for split in range(2))
    labels = np.arange(NUM_TRAIN) % num_classes
    any_class = train_rng.integers(num_classes, size=NUM_TRAIN)
    own = train_rng.random(NUM_TRAIN) < own_share
    objects, masks = _draw_objects(labels, side, train_rng)
    textures = _draw_textures(np.where(own, labels, any_class), side, train_rng)
    train = ArraySource(_on(textures, objects, masks), labels, masks)

    labels = np.arange(NUM_TEST) % num_classes
    any_class = test_rng.integers(num_classes, size=NUM_TEST)
    objects, masks = _draw_objects(labels, side, test_rng)
    textures = _draw_textures(labels, side, test_rng)
    others = _draw_textures(labels, side, test_rng)
    random = _draw_textures(any_class, side, test_rng)
    tests = {
        "clean": ArraySource(_on(textures, objects, masks), labels, masks),
        "mixed_same": ArraySource(_on(others, objects, masks), labels, masks),
        "mixed_random": ArraySource(_on(random, objects, masks), labels, masks),
        "foreground_only": ArraySource(_on(np.zeros_like(objects), objects, masks), labels, masks),
        "background_only": ArraySource(textures, labels),
    }
    return Dataset(name, train, tests, tuple(CLASSES), (side, side, 3))


def at_dusk(source: ArraySource) -> ArraySource:
    """The same images in little light: dark, bluish, with the noise of a sensor."""
    noise = np.random.default_rng((2020, 2)).standard_normal(source.images.shape, np.float32)
    dark = source.images / np.float32(255) * np.float32(DUSK_LIGHT) + DUSK_NOISE * noise
    return ArraySource(
        np.round(np.clip(dark, 0, 1) * 255).astype(np.uint8), source.labels, source.masks
    )


def _draw_objects(
    labels: np.ndarray, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Objects uint8 [N, H, W, 3] that fill the image, and masks uint8 [N, H, W, 1], 0 or 255."""
    outlines = [outline / np.linalg.norm(outline, axis=1).max() for outline, _ in CLASSES.values()]
    masks = np.zeros((len(labels), side, side, 1), np.uint8)
    objects = np.empty((len(labels), side, side, 3), np.uint8)
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    for mask, pixels, label in zip(masks, objects, labels, strict=True):
        radius, angle = rng.uniform(SMALLEST, LARGEST), rng.uniform(-0.4, 0.4)
        centre = rng.uniform(radius, 1 - radius, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = (outlines[label] @ turn * radius + centre) * side
        cv2.fillPoly(mask, [np.round(corners - 0.5).astype(np.int32)], 255)
        shown = np.float32([[[rng.uniform(0, 360), rng.uniform(0.6, 1), rng.uniform(0.8, 1)]]])
        colour = cv2.cvtColor(shown, cv2.COLOR_HSV2RGB)[0, 0]
        light = rng.uniform(-0.4, 0.4, 2)
        shade = 1 + light[0] * rows + light[1] * columns
        pixels[:] = np.clip(shade[..., None] * colour, 0, 1) * 255
    return objects, masks


def _draw_textures(labels: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Textures uint8 [N, H, W, 3] of these classes."""
    kinds = [texture for _, texture in CLASSES.values()]
    drawn = np.empty((len(labels), side, side, 3), np.uint8)
    for pixels, label in zip(drawn, labels, strict=True):
        dark, bright = np.array(kinds[label].colours, np.float32)
        across, down = (max(share * side, 0.5) for share in kinds[label].grain)
        noise = rng.standard_normal((side, side), np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), across, sigmaY=down)
        level = 0.5 + 0.25 * smooth[..., None] / smooth.std()
        lit = (dark + (bright - dark) * level) * rng.uniform(0.8, 1.2)
        pixels[:] = np.clip(lit, 0, 1) * 255
    return drawn


def _on(backgrounds: np.ndarray, objects: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return np.where(masks > 0, objects, backgrounds)


SHAPES = Entry(
    load=lambda place: load_shapes(place.name, place.side),
    about="six shapes on textures, with masks",
    side=SIDE,
    any_size=True,
)
UNBIASED = Entry(
    load=lambda place: load_shapes(place.name, place.side, own_share=0.0),
    about="the same, trained with any texture behind any shape",
    side=SIDE,
    any_size=True,
)
