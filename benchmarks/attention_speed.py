"""Images per second of the attention baseline's training: batches, against one image at a time.

One image at a time is how the paper's code trains, as crops differ in size: `predict` gives the
heat map of an image, its box is found in Python, and `fit` gets the crop in its own size from a
generator. "one at a time, compiled" does the same with compiled functions instead of `predict` and
`fit`. All train the same branch behind the same classifier, and take turns in one process.
"""

import argparse
import json

import cv2
import keras
import numpy as np
import tensorflow as tf
from measuring import alternate, paired_ratio, summary

from bginv.data.catalog import load_data
from bginv.engine.settings import resolve
from bginv.methods.attention.model import (
    HEAD_UNITS,
    LOCAL_FILTERS,
    build_attention_branch,
    features_of,
)
from bginv.methods.attention.settings import AttentionSettings
from bginv.methods.attention.training import AttentionTraining
from bginv.nn.paper_networks import build_classifier

TAU, ROUNDS = 0.7, 5


def main() -> None:
    """Measure in turns, and print medians, ranges and ratios as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", nargs="?", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--batchsize", type=int, default=64)
    parser.add_argument("--batches", type=int, default=20, help="for each turn of the batches")
    parser.add_argument("--images", type=int, default=64, help="for each turn of the single images")
    options = parser.parse_args()
    data = load_data(options.dataset, options.data_dir)
    features = features_of(build_classifier(data.image_shape, data.num_classes, 0))
    train_batches = _batch_training(features, data, options)
    contenders = {
        "batches": train_batches,
        "one at a time": _keras_training(features, data, options),
        "one at a time, compiled": _compiled_training(features, data, options),
    }
    counts = {name: options.images for name in contenders}
    counts["batches"] = options.batches * options.batchsize
    speeds = {
        name: [counts[name] / own for own in seconds]
        for name, seconds in alternate(contenders, ROUNDS).items()
    }
    ratios = {name: paired_ratio(speeds["batches"], own) for name, own in speeds.items()}
    summaries = {name: summary(own) for name, own in speeds.items()}
    print(json.dumps({"images_per_second": summaries, "ratio": ratios}, indent=2))


def _batch_training(features: keras.Model, data, options):
    settings = resolve(AttentionSettings, {"dataset": "", "batchsize": options.batchsize}, "paper")
    branch = build_attention_branch(
        data.image_shape, features.output_shape[1:], data.num_classes, TAU, "linear", 0
    )
    method = AttentionTraining(features, branch, settings, 1)
    batches = iter(data.train.batches(options.batchsize, shuffle=True))

    @tf.function
    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        seed = tf.constant([0, 0])
        return method.train_step(method.augment_batch(batch, seed), seed)["loss"]

    def train() -> None:
        for _ in range(options.batches):
            step(next(batches))

    return train


def _local_model(features: keras.Model, data) -> keras.Model:
    """The same branch, on crops of any size."""
    channels = data.image_shape[-1]
    crop = x = keras.Input((None, None, channels))
    for filters in LOCAL_FILTERS:
        x = keras.layers.Conv2D(filters, 3, 2, "same", activation="relu")(x)
    maps = keras.Input(features.output_shape[1:])
    pool = keras.layers.GlobalAveragePooling2D()
    x = keras.layers.Concatenate()([pool(x), keras.layers.GlobalAveragePooling2D()(maps)])
    for units in (*HEAD_UNITS, data.num_classes):
        x = keras.layers.Dense(units)(x)
    return keras.Model([crop, maps], x)


def _augmented_images(features: keras.Model, data):
    """An endless iterator of augmented records, one by one."""
    settings = resolve(AttentionSettings, {"dataset": "", "batchsize": 1}, "paper")
    method = AttentionTraining(features, keras.Sequential([keras.Input((1,))]), settings, 1)
    augment = tf.function(lambda batch: method.augment_batch(batch, tf.constant([0, 0])))
    return map(augment, data.train.batches(1, shuffle=True))


def _keras_training(features: keras.Model, data, options):
    model = _local_model(features, data)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    records = _augmented_images(features, data)

    def crops():
        while True:
            record = next(records)
            maps = features.predict(record["image"], verbose=0)
            top, left, bottom, right = _box(np.abs(maps[0]).max(-1), data.image_shape[0])
            crop = record["image"].numpy()[:, top:bottom, left:right]
            yield (crop, maps), record["label"].numpy()

    signature = (
        (
            tf.TensorSpec([1, None, None, data.image_shape[-1]], tf.float32),
            tf.TensorSpec([1, *features.output_shape[1:]], tf.float32),
        ),
        tf.TensorSpec([1], tf.int32),
    )
    batches = tf.data.Dataset.from_generator(crops, output_signature=signature)

    return lambda: model.fit(batches, steps_per_epoch=options.images, verbose=0)


def _compiled_training(features: keras.Model, data, options):
    model = _local_model(features, data)
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    records = _augmented_images(features, data)
    look = tf.function(lambda image: features(image, training=False))
    any_size = tf.TensorSpec([1, None, None, data.image_shape[-1]], tf.float32)
    some_maps = tf.TensorSpec([1, *features.output_shape[1:]], tf.float32)

    @tf.function(input_signature=[any_size, some_maps, tf.TensorSpec([1], tf.int32)])
    def step(crop: tf.Tensor, maps: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = model([crop, maps], training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        optimizer.apply(tape.gradient(losses, model.trainable_variables), model.trainable_variables)

    def train() -> None:
        for _ in range(options.images):
            record = next(records)
            maps = look(record["image"])
            top, left, bottom, right = _box(np.abs(maps.numpy()[0]).max(-1), data.image_shape[0])
            step(record["image"][:, top:bottom, left:right], maps, record["label"])

    return train


def _box(heat: np.ndarray, side: int) -> tuple[int, int, int, int]:
    """The box of the largest component of one heat map, by OpenCV."""
    spread = heat.max() - heat.min()
    if spread == 0:
        return 0, 0, side, side
    bright = ((heat - heat.min()) / spread >= TAU).astype(np.uint8)
    _, _, found, _ = cv2.connectedComponentsWithStats(bright, connectivity=8)
    left, top, width, height, _ = found[1 + found[1:, cv2.CC_STAT_AREA].argmax()]
    scale = side // len(heat)
    return top * scale, left * scale, (top + height) * scale, (left + width) * scale


if __name__ == "__main__":
    main()
