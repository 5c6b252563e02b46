"""Ways to learn where objects are from image labels, judged by true masks of horses.

A linear head on frozen EfficientNet-Lite0 tells 200 horses from 499 other photographs (a sorrel is
left out). Each row learns masks from these images and labels alone, or computes them, and is judged
by the mean IoU with the true masks over 0.5. Settings were chosen on the first 60 horses.
"""

import argparse
import pathlib
from collections.abc import Callable

import cv2
import keras
import numpy as np
import tensorflow as tf
from horse_masks import found_by, read
from measuring import head, line, timed

from bginv.data.sources import ArraySource
from bginv.masks.cam import CamMasks
from bginv.masks.learned import LearnedMasks, LearnSettings, learn_masks
from bginv.masks.source import Picture
from bginv.masks.trust import iou
from bginv.nn.backbones import build_lite0_classifier
from bginv.nn.features import FeatureMaps
from bginv.nn.paper_networks import build_mask_unet
from bginv.ops.losses import area_loss, cross_entropy, total_variation

SIDE, CHOSEN_ON, AREA, VARIATION = 224, 60, 0.25, 0.1
PIXEL_STEPS, PIXEL_BATCH, PIXEL_SIDE = 150, 8, 128


def main() -> None:
    """Print a line of the table for each row asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=pathlib.Path, default=pathlib.Path("../shared"))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    horses, truth, others = load(options.shared / "data")
    images = np.stack([cv2.resize(own, (320, 320)) for own in horses + others])
    labels = np.repeat([0, 1], [len(horses), len(others)]).astype(np.int32)
    source = ArraySource(images, labels)
    classifier = linear_head(source)
    print(head("way", "seed", "IoU", "first 60", "without grabCut", "seconds"))
    for name in options.rows:
        for seed in options.seeds:
            seconds, found = timed(ROWS[name], source, classifier, seed, horses)
            ious, roughly = (intersections(own, truth) for own in found)
            figures = [ious.mean(), ious[:CHOSEN_ON].mean(), roughly.mean()]
            shown = [f"{100 * own:.1f}" for own in figures]
            print(line(name, seed, *shown, f"{seconds:.0f}"), flush=True)


def load(folder: pathlib.Path) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Horses, their true masks, and other photographs."""
    pictures, truth = read(folder / "horses")
    photos = sorted((folder / "photos").glob("*.jpg"))
    relatives = ("zebra", "sorrel", "horse")
    kept = [own for own in photos if not any(word in own.name for word in relatives)]
    others = [cv2.imread(str(own))[..., ::-1].copy() for own in kept]
    return [own.pixels for own in pictures], truth, others


def linear_head(source: ArraySource, kept: tuple[float, float] | None = None) -> keras.Model:
    """Frozen EfficientNet-Lite0 and new logits; with `kept`, on features of erased maps.

    Args:
        source: images and labels.
        kept: range of the share of places that a map keeps at each step; blind to small patches.
    """
    model = build_lite0_classifier((SIDE, SIDE, 3), 2, seed=0)
    deep = FeatureMaps(model).native
    resized = (tf.image.resize(own["image"], (SIDE, SIDE)) for own in source.batches(16))
    features = tf.concat([deep(own, training=False)[1] for own in resized], 0)
    layer, rng = model.get_layer("logits"), np.random.default_rng(0)
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(layer.trainable_variables)
    pooled, labels = tf.reduce_mean(features, [1, 2]), source.labels
    for _ in range(300):
        if kept:
            rows = rng.choice(len(source), 64, replace=False)
            share = rng.uniform(*kept, (64, 1, 1, 1))
            mask = (rng.random((64, *features.shape[1:3], 1)) < share).astype(np.float32)
            total = tf.reduce_sum(tf.gather(features, rows) * mask, [1, 2])
            pooled, labels = total / (mask.sum((1, 2)) + 1e-3), source.labels[rows]
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, layer(pooled))
            loss += 1e-3 * tf.reduce_sum(layer.kernel**2)
        variables = layer.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
    return model


def intersections(masks: list[np.ndarray], truth: list[np.ndarray]) -> np.ndarray:
    """IoU of each mask, resized, over 0.5."""
    pairs = zip(masks, truth, strict=True)
    return np.array([iou(cv2.resize(own, true.shape[::-1]) > 0.5, true) for own, true in pairs])


Found = tuple[list[np.ndarray], list[np.ndarray]]
Row = Callable[[ArraySource, keras.Model, int, list[np.ndarray]], Found]


def computed(source, horses: list[np.ndarray]) -> list[np.ndarray]:
    """Masks of horses by a mask source."""
    return [mask.soft for mask in found_by(source, [Picture(own, "horse", 0) for own in horses])]


def by_network(network: keras.Model, horses: list[np.ndarray]) -> Found:
    """Masks of a network with grabCut and without."""
    soft = computed(LearnedMasks(network), horses)
    rows, columns = network.input_shape[1:3]
    rough = [
        network(cv2.resize(own, (columns, rows))[None].astype(np.float32) / 255).numpy()[0, ..., 0]
        for own in horses
    ]
    return soft, rough


def cam(source: ArraySource, classifier: keras.Model, seed: int, horses: list[np.ndarray]) -> Found:
    """The source `cam`; the rough masks are maps of one size, from 0 to 1."""
    maps = FeatureMaps(classifier)
    rough = []
    for own in horses:
        image = cv2.resize(own, (SIDE, SIDE))[None].astype(np.float32) / 255
        _, deep = maps.native(image, training=False)
        weights = maps.channel_weights(deep, tf.constant([0]))
        seen = np.maximum(np.einsum("bhwc,bc->bhw", deep, weights)[0], 0)
        rough.append(seen / (seen.max() + 1e-9))
    return computed(CamMasks(classifier), horses), rough


def in_features(
    extra: Callable | None = None, settings: LearnSettings | None = None, erased: bool = False
) -> Row:
    """The product's training, with other terms in place of the normalised cut.

    Args:
        extra: masks [B, h, w, 1] and a function from masks to logits, and labels, to a loss.
        settings: of the product.
        erased: the classifier saw erased maps alone.
    """

    def row(source: ArraySource, classifier: keras.Model, seed: int, horses: list) -> Found:
        if erased:
            classifier = linear_head(source, (0.1, 0.6))
        given = settings or (LearnSettings(cut=0.0, guide=0.0) if extra else LearnSettings())
        return by_network(learn_masks(source, classifier, given, seed, extra).network, horses)

    return row


def constant_area(masks: tf.Tensor, *_) -> tf.Tensor:
    """The paper's terms."""
    return area_loss(masks, AREA) + VARIATION * total_variation(masks)


def adversary(masks: tf.Tensor, logits_of: Callable, labels: tf.Tensor) -> tf.Tensor:
    """As small as can be, and the complement must not tell the class."""
    seen = tf.gather(tf.nn.softmax(logits_of(1 - masks)), labels, batch_dims=1)
    own = -tf.reduce_mean(tf.math.log(1.01 - seen))
    return own + tf.reduce_mean(masks) + VARIATION * total_variation(masks)


def blurred(images: tf.Tensor) -> tf.Tensor:
    """The images without their details."""
    return tf.image.resize(tf.image.resize(images, (8, 8), "area"), images.shape[1:3], "bicubic")


def in_pixels(outside: str) -> Row:
    """Phase 2 as in the paper, a U-Net and masked pixels, at 128 pixels.

    Args:
        outside: "black", or "blurred" for the picture itself, blurred.
    """

    def row(source: ArraySource, classifier: keras.Model, seed: int, horses: list) -> Found:
        unet = build_mask_unet((PIXEL_SIDE, PIXEL_SIDE, 3), seed)
        optimizer = keras.optimizers.Adam(1e-3)
        optimizer.build(unet.trainable_variables)

        @tf.function(autograph=False)
        def step(images: tf.Tensor, labels: tf.Tensor) -> None:
            images = tf.image.resize(images, (PIXEL_SIDE, PIXEL_SIDE))
            rest = blurred(images) if outside == "blurred" else tf.zeros_like(images)
            with tf.GradientTape() as tape:
                masks = unet(images, training=True)
                shown = tf.image.resize(images * masks + rest * (1 - masks), (SIDE, SIDE))
                loss = cross_entropy(labels, classifier(shown, training=False))
                loss += constant_area(masks)
            variables = unet.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)

        batches = iter(source.batches(PIXEL_BATCH, shuffle=True, seed=seed))
        for _ in range(PIXEL_STEPS):
            batch = next(batches)
            step(batch["image"], batch["label"])
        return by_network(unet, horses)

    return row


ROWS: dict[str, Row] = {
    "cam": cam,
    "pixels, black outside": in_pixels("black"),
    "pixels, blurred outside": in_pixels("blurred"),
    "features, constant area": in_features(constant_area),
    "features, constant area, erased classifier": in_features(constant_area, erased=True),
    "features, adversary": in_features(adversary),
    "features, cut": in_features(settings=LearnSettings(guide=0.0)),
    "features, cut and CAM": in_features(),
    "features, cut and CAM, erased classifier": in_features(erased=True),
    "features, cut 0.5 and CAM": in_features(settings=LearnSettings(cut=0.5)),
    "features, cut 2 and CAM": in_features(settings=LearnSettings(cut=2.0)),
    "features, CAM alone": in_features(settings=LearnSettings(cut=0.0)),
}

if __name__ == "__main__":
    main()
