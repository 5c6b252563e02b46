import numpy as np
import pytest
import tensorflow as tf

from bginv.data.sources import ArraySource


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
