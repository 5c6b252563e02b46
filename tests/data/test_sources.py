import numpy as np
import pytest
import tensorflow as tf

from bginv.data.sources import ArraySource, Dataset, split_off_test


@pytest.fixture
def source() -> ArraySource:
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1) * 25
    return ArraySource(images, np.arange(10) % 3, 255 - images)


def indices(batches, count=None) -> list[int]:
    taken = batches if count is None else batches.take(count)
    return [int(index) for batch in taken for index in batch["index"]]


def test_records_are_floats_between_zero_and_one(source):
    records = source.gather(tf.constant([0, 9], tf.int64))
    np.testing.assert_allclose(records["image"].numpy().ravel(), [0, 225 / 255])
    np.testing.assert_allclose(records["mask"].numpy().ravel(), [1, 30 / 255])
    assert records["label"].numpy().tolist() == [0, 0]
    assert {name: tensor.dtype for name, tensor in records.items()} == {
        "image": tf.float32,
        "mask": tf.float32,
        "label": tf.int32,
        "index": tf.int64,
    }


def test_in_order_one_pass_keeps_the_rest(source):
    batches = source.batches(4)
    assert [len(batch["label"]) for batch in batches] == [4, 4, 2]
    assert indices(batches) == list(range(10))


def test_shuffled_every_epoch_shows_every_record_once_in_full_batches(source):
    seen = indices(source.batches(4, shuffle=True, seed=1), count=5)
    first, second = seen[:10], seen[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_the_order_is_a_function_of_the_seed(source):
    once, again, other = (
        indices(source.batches(5, shuffle=True, seed=seed), count=2) for seed in (7, 7, 8)
    )
    assert once == again != other


@pytest.mark.parametrize("start", [0, 1, 3, 7])
def test_a_stream_can_start_at_any_batch(source, start):
    whole = indices(source.batches(4, shuffle=True, seed=1), count=10)
    rest = indices(source.batches(4, shuffle=True, seed=1, start=start), count=10 - start)
    assert rest == whole[4 * start :]


def test_a_batch_may_be_larger_than_the_source(source):
    seen = indices(source.batches(25, shuffle=True, seed=1), count=2)
    assert np.bincount(seen).tolist() == [5] * 10


def test_the_first_records(source):
    few = source.first(3)
    assert len(few) == 3
    assert indices(few.batches(8)) == [0, 1, 2]
    assert few.masks.shape == (3, 1, 1, 1)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4, 1), np.float32), [0, 1], "uint8 .* received float32"),
        (np.zeros((2, 4, 4), np.uint8), [0, 1], r"received uint8 \(2, 4, 4\)"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0], r"one length above 0; received \[1, 2\]"),
        (np.zeros((0, 4, 4, 1), np.uint8), [], r"received \[0\]"),
    ],
)
def test_other_arrays_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        ArraySource(images, np.array(labels))


def test_replicas_share_every_batch(source):
    whole = [batch["index"].numpy() for batch in source.batches(6, True, 1, start=1).take(3)]
    second_worker = source.batches(6, True, 1, 1, replicas=(1, 2), num_replicas=3).take(6)
    parts = [batch["index"].numpy().tolist() for batch in second_worker]
    assert parts == [batch[r::3].tolist() for batch in whole for r in (1, 2)]


def test_the_digest_tells_data_apart(source):
    same = ArraySource(source.images.copy(), source.labels, source.masks)
    reordered = ArraySource(source.images[::-1], source.labels)
    relabelled = ArraySource(source.images, source.labels[::-1])
    assert source.digest() == same.digest() == source.with_masks(source.images).digest()
    assert len({source.digest(), reordered.digest(), relabelled.digest()}) == 3


def test_rows_are_taken_in_their_order_with_their_masks(source):
    taken = source.take(np.array([7, 2, 7]))
    assert taken.images.ravel().tolist() == [175, 50, 175]
    assert taken.masks.ravel().tolist() == [80, 205, 80]
    assert taken.labels.tolist() == [1, 2, 1]
    relabelled = source.take(np.array([7, 2]), np.array([4, 5]))
    assert relabelled.labels.tolist() == [4, 5]
    assert relabelled.images.ravel().tolist() == [175, 50]
    records = relabelled.gather(tf.constant([1], tf.int64))
    assert int(records["label"][0]) == 5
    np.testing.assert_allclose(records["mask"].numpy().ravel(), [205 / 255])
    assert source.labels[7] == 1 and not source.without_masks().take(np.array([1])).has_masks


def test_masks_can_be_left_out(source):
    bare = source.without_masks()
    assert source.has_masks and not bare.has_masks
    assert "mask" not in bare.gather(tf.constant([0], tf.int64))
    assert bare.digest() == source.digest()
    assert bare.without_masks() is bare
    again = bare.with_masks(source.masks[::-1])
    assert np.shares_memory(again.images, source.images) and not bare.has_masks
    np.testing.assert_array_equal(again.masks, source.masks[::-1])
    with pytest.raises(ValueError, match="need one length above 0"):
        bare.with_masks(source.masks[1:])


def test_the_digest_of_masks_tells_masks_apart(source):
    darker = ArraySource(source.images[::-1], source.labels, source.masks.copy())
    assert darker.masks_digest() == source.masks_digest()
    others = [
        source.with_masks(source.masks[::-1]),
        source.first(9),
        source.with_masks(source.images),
    ]
    assert len({source.masks_digest(), *(other.masks_digest() for other in others)}) == 4


@pytest.mark.parametrize(("count", "expected"), [(100, 75), (10, 8), (3, 2), (8, 6)])
def test_a_quarter_is_split_off(count, expected):
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    whole = ArraySource(images, np.arange(count) + 1, 255 - images)
    train, test = split_off_test(whole)
    assert (len(train), len(test)) == (expected, count - expected)
    seen = np.concatenate([train.images, test.images]).ravel()
    assert sorted(seen) == list(range(count))
    for split in (train, test):
        np.testing.assert_array_equal(split.labels, split.images.ravel() + 1)
        np.testing.assert_array_equal(split.masks, 255 - split.images)
    again = split_off_test(whole)
    assert [part.digest() for part in again] == [train.digest(), test.digest()]


def test_the_split_mixes_sorted_records():
    whole = ArraySource(np.zeros((100, 1, 1, 1), np.uint8), np.arange(100) // 50)
    assert all(0.3 < part.labels.mean() < 0.7 for part in split_off_test(whole))


def test_labels_without_a_class_are_refused(source):
    for labels, message in (
        ([0, 1, 2], "x: record 2 of clean has label 2, but there are 2 classes, 0 to 1"),
        ([0, -1, 0], "x: record 1 of clean has label -1"),
    ):
        test = source.take(np.arange(3), np.array(labels))
        with pytest.raises(ValueError, match=message):
            Dataset("x", test.take(np.array([0])), {"clean": test}, ("a", "b"), (1, 1, 1))
