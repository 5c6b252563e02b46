"""The Backgrounds Challenge: verdicts of all pairs, with fewer passes."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from bginv.data.in9 import IN9_CLASSES, are_of_in9, imagenet_to_in9
from bginv.data.sources import ArraySource
from bginv.evaluation.background_challenge import Challenge, bootstrap, correct_on, predictor
from tests.challenge import tiny_classifier, variations


@pytest.fixture
def arrays(golden_arrays):
    return golden_arrays("backgrounds_challenge")


@pytest.fixture
def facts(golden_json):
    return golden_json("backgrounds_challenge")


def foregrounds(arrays: dict, per_class: int) -> ArraySource:
    images = variations(arrays, per_class)["original"]
    masks = (arrays["mask"][..., None] * 255).astype(np.uint8)
    return ArraySource(images, np.arange(len(images)) // per_class, masks)


@pytest.mark.parametrize("name", ["in9", "imagenet"])
def test_parity(arrays, facts, name):
    class_map = None if name == "in9" else imagenet_to_in9()
    classifier, expected = tiny_classifier(arrays, name), facts["results"][name]
    raw, predict = predictor(classifier, None), predictor(classifier, class_map)
    for variation, images in variations(arrays, facts["per_class"]).items():
        assert hashlib.sha256(images.tobytes()).hexdigest() == facts["sha256"][variation]
        predicted = raw(tf.constant(images / np.float32(255)))
        np.testing.assert_array_equal(predicted, arrays[f"{name}__pred_{variation}"])
        source = ArraySource(images, np.arange(len(images)) // facts["per_class"])
        accuracy = correct_on(predict, source).mean()
        assert accuracy == pytest.approx(expected["accuracy"][variation])
    challenge = Challenge(predict, foregrounds(arrays, facts["per_class"]), arrays["bg"])
    verdicts = challenge.run()
    np.testing.assert_array_equal(verdicts.vulnerable, np.ravel(expected["vulnerable"]))
    assert verdicts.challenge_accuracy == pytest.approx(expected["challenge_accuracy"])


def test_every_class_of_imagenet_has_its_place():
    classes = imagenet_to_in9()
    counts = [int((classes == place).sum()) for place in range(-1, len(IN9_CLASSES))]
    assert counts == [630, 116, 52, 42, 36, 35, 27, 26, 20, 16]
    assert [classes[number] for number in (151, 171, 880, 33, 397, 398)] == [0, -1, 2, 3, 8, -1]


def made_up(deceives: np.ndarray) -> tuple[ArraySource, np.ndarray, list[int]]:
    """Images of one pixel that tell the number of foreground and background."""
    count, others = deceives.shape
    images, masks = np.zeros((count, 1, 2, 3), np.uint8), np.zeros((count, 1, 2, 1), np.uint8)
    images[:, 0, 0, 0], masks[:, 0, 0] = np.arange(count), 255
    backgrounds = np.zeros((others, 1, 2, 3), np.uint8)
    backgrounds[:, 0, 1, 0] = np.arange(others)
    return ArraySource(images, np.zeros(count, np.int32), masks), backgrounds


def counting(deceives: np.ndarray):
    """A classifier that takes the foregrounds for class 1 where they are deceived."""
    table = tf.constant(deceives.astype(np.int32))

    def predict(images: tf.Tensor) -> tf.Tensor:
        numbers = tf.cast(tf.round(images[:, 0, :, 0] * 255), tf.int32)
        return tf.gather_nd(table, numbers)

    return predict


@pytest.mark.parametrize("batch_size", [1, 16, 1000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 1.0])
def test_verdicts_are_those_of_all_pairs(batch_size, share):
    deceives = np.random.default_rng(1).random((30, 40)) < share
    source, backgrounds = made_up(deceives)
    verdicts = Challenge(counting(deceives), source, backgrounds, batch_size).run()
    np.testing.assert_array_equal(verdicts.vulnerable, deceives.any(1))
    for row in np.flatnonzero(verdicts.vulnerable):
        assert deceives[row, verdicts.deceived_by[row]]
    untouched = (~deceives.any(1)).sum() * deceives.shape[1]
    assert untouched <= verdicts.passes <= deceives.size


def test_backgrounds_that_deceive_come_first():
    deceives = np.zeros((200, 200), bool)
    deceives[:, [150, 170]] = True  # in the order of files, 151 passes a foreground
    source, backgrounds = made_up(deceives)
    verdicts = Challenge(counting(deceives), source, backgrounds, 64).run()
    assert verdicts.vulnerable.all()
    assert verdicts.passes < 0.05 * 200 * 151


def test_large_batches_do_not_try_what_is_not_needed():
    deceives = np.random.default_rng(1).random((20, 200)) < 0.3
    source, backgrounds = made_up(deceives)
    passes = [
        Challenge(counting(deceives), source, backgrounds, size).run().passes for size in (1, 1000)
    ]
    assert passes[1] < 1.5 * passes[0]


def test_it_goes_on_from_a_state():
    deceives = np.random.default_rng(1).random((30, 40)) < 0.02
    source, backgrounds = made_up(deceives)

    class StopError(Exception):
        pass

    def stop() -> None:
        raise StopError

    first = Challenge(counting(deceives), source, backgrounds, 4)
    with pytest.raises(StopError):
        first.run(stop)
    assert 0 < first.tried.sum() < deceives.size / 2
    second = Challenge(counting(deceives), source, backgrounds, 4)
    second.restore(first.state())
    assert second.progress() == first.progress()
    verdicts = second.run()
    np.testing.assert_array_equal(verdicts.vulnerable, deceives.any(1))
    whole = Challenge(counting(deceives), source, backgrounds, 4).run()
    assert verdicts.passes == whole.passes


def test_intervals_hold_the_value_and_shrink_with_the_sample():
    rng = np.random.default_rng(1)

    def mean(sample):
        return sample.mean(-1)

    widths = []
    for count in (50, 5000):
        sample = rng.random(count) < 0.3
        low, high = bootstrap(mean, sample)
        assert low < sample.mean() < high
        widths.append(high - low)
    assert widths[0] == pytest.approx(10 * widths[1], rel=0.3)
    assert bootstrap(mean, sample) == bootstrap(mean, sample)


def test_nine_classes_need_not_be_those_of_imagenet_9():
    folders = [f"{number:02}_{name}" for number, name in enumerate(IN9_CLASSES)]
    assert are_of_in9(folders)
    assert are_of_in9([name.replace(" ", "_") for name in folders])
    assert not are_of_in9([f"{number:02}_cheese{number}" for number in range(9)])
    assert not are_of_in9(folders[:8]) and not are_of_in9(sorted(IN9_CLASSES))
