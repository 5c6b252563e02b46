"""The Backgrounds Challenge on `shapes`: passes and images per second, beside the published loop.

Foregrounds are those of `clean`, backgrounds those of `background_only`. The published loop tries
backgrounds in the order of files, in batches of 32 of one foreground each, up to the first batch
with one that deceives. Both are timed in turns, in one process.
"""

import argparse
import json

import keras
import numpy as np
import tensorflow as tf
from measuring import timed

from bginv.data.catalog import load_data
from bginv.evaluation.background_challenge import Challenge, predictor

PUBLISHED_BATCH = 32


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="classifiers of shapes, .keras")
    parser.add_argument("--images", type=int, default=200, help="foregrounds, and backgrounds")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batchsize", type=int, default=256)
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    tests = load_data("shapes", image_size=options.image_size).tests
    foregrounds = tests["clean"].first(options.images)
    backgrounds = tests["background_only"].first(options.images).images
    results = {}
    for path in options.models:
        model = keras.models.load_model(path, compile=False)
        predict = predictor(lambda images, model=model: model(images, training=False), None)
        found = [compare(predict, foregrounds, backgrounds, options) for _ in range(options.turns)]
        results[path] = found[-1]
    print(json.dumps(results, indent=2))


def compare(predict, foregrounds, backgrounds: np.ndarray, options: argparse.Namespace) -> dict:
    """One turn of each."""
    challenge = Challenge(predict, foregrounds, backgrounds, options.batchsize)
    challenge._classify(tf.zeros([2], tf.int64), tf.zeros([2], tf.int64))  # compiled before
    seconds, verdicts = timed(challenge.run)
    published_seconds, found = timed(published, predict, foregrounds, backgrounds)
    expected, passes = found
    if not np.array_equal(verdicts.vulnerable, expected):
        raise SystemExit("the verdicts differ")
    return {
        "vulnerable": int(expected.sum()),
        "foregrounds": len(expected),
        "passes": verdicts.passes,
        "published_passes": passes,
        "share_of_passes": verdicts.passes / passes,
        "least_possible": int((~expected).sum() * len(backgrounds) + expected.sum()),
        "seconds": seconds,
        "published_seconds": published_seconds,
        "images_per_second": verdicts.passes / seconds,
        "published_images_per_second": passes / published_seconds,
    }


def published(predict, foregrounds, backgrounds: np.ndarray) -> tuple[np.ndarray, int]:
    """Verdicts and passes of the published loop."""
    images, masks = (part / np.float32(255) for part in (foregrounds.images, foregrounds.masks))
    behind = backgrounds / np.float32(255)
    vulnerable, passes = np.zeros(len(images), bool), 0
    for row, label in enumerate(foregrounds.labels):
        for start in range(0, len(behind), PUBLISHED_BATCH):
            part = behind[start : start + PUBLISHED_BATCH]
            passes += len(part)
            found = predict(tf.constant(part * (1 - masks[row]) + masks[row] * images[row]))
            if (found.numpy() != label).any():
                vulnerable[row] = True
                break
    return vulnerable, passes


if __name__ == "__main__":
    main()
