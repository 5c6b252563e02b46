"""How long a run on photographs will take, told before it starts."""

import time

import keras
import tensorflow as tf

from bginv.masks.choice import Choice
from bginv.methods.photographs.auditing import DRAWS as AUDITED
from bginv.methods.photographs.auditing import TESTS
from bginv.methods.photographs.judging import DRAWS
from bginv.methods.photographs.phases import SHARES
from bginv.methods.photographs.settings import PhotographSettings
from bginv.nn.fine_tuning import split_head
from bginv.nn.inference import compiled_for

TIMED = 16
BACKWARD = 6.0
"""Forward passes, at the rate of `compiled_for`, that a step of training takes as long as."""
READING = 0.0035
"""Seconds an image and pass, to read it and to put it on a background."""
JUDGED = 2 + DRAWS
"""Passes over held-out images: as they are, objects alone, and on backgrounds of any class."""
TESTED = len(TESTS) - 2 + 2 * AUDITED
"""Passes over the first test: each of the audit's, two of them with several backgrounds."""

LEARNED_SECONDS = 120.0
EMPTYING = 0.02
"""Seconds an image."""
BESIDES = 40.0
"""Seconds to start, to measure masks, to train last layers, and to write pages."""


def estimated_seconds(
    classifier: keras.Model,
    choice: Choice,
    settings: PhotographSettings,
    counts: tuple[int, int, int, int],
    masks_to_find: int,
) -> dict[str, float]:
    """Seconds of each part of a run, from the time that some images take.

    Args:
        classifier: of the run.
        choice: of masks.
        settings: of the run.
        counts: images to train on, to train on once more in the end, to validate with and to
            test with.
        masks_to_find: images whose masks are not on disk.
    """
    train, repeated, validation, test = counts
    one = _seconds_an_image(classifier, train)
    masks = masks_to_find * choice.source.seconds if choice.source and masks_to_find else 0.0
    learned = LEARNED_SECONDS if choice.name == "learned" else 0.0
    epochs = 0 if settings.freeze else (settings.epochs or 0)
    clean_epochs = 0 if settings.freeze else settings.classifier_epochs
    judged = (len(SHARES) if epochs else 1) * validation * JUDGED
    trained_share = 1 + (BACKWARD - 1) * (1 - settings.frozen_share)
    passes = {
        "new last layers": (1 + settings.copies) * max(train, repeated),
        "the whole network": (epochs + clean_epochs) * (train + repeated) * trained_share,
        "validation": judged,
        "tests": (1 if settings.freeze else 2) * test * TESTED,
    }
    seconds = {"masks": learned + masks + EMPTYING * (train + validation + test)}
    own = {name: count * (one + READING) for name, count in passes.items()}
    return {**seconds, **own, "the rest": BESIDES}


def told(seconds: dict[str, float]) -> str:
    """The estimate in words."""
    parts = ", ".join(f"{name} {own:.0f} s" for name, own in seconds.items() if own >= 1)
    minutes = sum(seconds.values()) / 60
    return f"this will take about {max(1, round(minutes))} min: {parts}"


def _seconds_an_image(classifier: keras.Model, count: int) -> float:
    network, _ = split_head(classifier) or (classifier, None)
    images = tf.zeros([TIMED, *classifier.input_shape[1:]])
    call = compiled_for(network, count)
    call(images)  # with what is done once
    began = time.monotonic()
    call(images)
    return (time.monotonic() - began) / TIMED
