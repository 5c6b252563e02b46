import pathlib

import cv2
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from bginv.data.files import FileSource, by_pillow, input_error, load_files, stretch
from bginv.data.images import scan
from bginv.data.sources import ArraySource

SIZE = 8


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def files(tmp_path, pictures) -> list[str]:
    names = [str(tmp_path / f"{i}.png") for i in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        cv2.imwrite(name, picture[..., ::-1])
    return names


@pytest.fixture
def source(files) -> FileSource:
    return FileSource(scan(files), np.arange(6) % 3, (SIZE, SIZE, 3))


def write_masks(folder, arrays) -> list[str]:
    names = [str(folder / f"mask{i}.png") for i in range(len(arrays))]
    for name, array in zip(names, arrays, strict=True):
        cv2.imwrite(name, array)
    return names


def test_records_equal_those_of_an_array_of_the_same_pixels(source, pictures, tmp_path):
    masks = np.random.default_rng(1).integers(0, 256, (6, SIZE, SIZE, 1), np.uint8)
    expected = ArraySource(pictures, np.arange(6) % 3, masks).batches(4, shuffle=True, seed=3)
    received = source.with_masks(write_masks(tmp_path, masks)).batches(4, shuffle=True, seed=3)
    for ours, theirs in zip(received.take(3), expected.take(3), strict=True):
        assert ours.keys() == theirs.keys() == {"image", "label", "index", "mask"}
        for name in ours:
            assert ours[name].dtype == theirs[name].dtype
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_shapes_are_known_before_reading(source):
    assert source.batches(4).element_spec["image"].shape == (None, SIZE, SIZE, 3)


def test_images_are_stretched_and_rounded(tmp_path):
    picture = np.zeros((SIZE, 4 * SIZE, 3), np.uint8)
    picture[:, 2 * SIZE :] = 201
    cv2.imwrite(str(tmp_path / "wide.png"), picture)
    source = FileSource(scan([str(tmp_path / "wide.png")]), [0], (SIZE, SIZE, 3))
    image = source.gather(tf.constant([0], tf.int64))["image"][0].numpy()
    np.testing.assert_array_equal(image, np.round(image * 255).astype(np.uint8) / np.float32(255))
    np.testing.assert_allclose(image[:, :3].max(), 0)
    np.testing.assert_allclose(image[:, 5:], 201 / 255)


def test_shrinking_averages():
    chessboard = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    shrunk = stretch(tf.constant(chessboard), (4, 4)).numpy()
    assert np.abs(shrunk.astype(int) - 128).max() < 12


def test_masks_of_labels_may_be_ones(source, tmp_path):
    files = scan(write_masks(tmp_path, [np.full((SIZE, SIZE), 1, np.uint8)] * 6))
    masked = FileSource(source.images, source.labels, source.image_shape, files, True)
    for same in (masked, masked.first(6)):
        np.testing.assert_array_equal(same.gather(tf.constant([5], tf.int64))["mask"], 1)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (np.full((SIZE, SIZE), 1, np.uint8), 1 / 255),
        (np.full((SIZE, SIZE), 0, np.uint8), 0.0),
        (np.full((SIZE, SIZE), 2, np.uint8), 2 / 255),
        (np.full((2, 5), 255, np.uint8), 1.0),
        (np.full((SIZE, SIZE, 3), (0, 0, 255), np.uint8), 1.0),
        (np.full((SIZE, SIZE), 65535, np.uint16), 1.0),
    ],
)
def test_masks_may_be_ones_coloured_or_of_another_size(source, tmp_path, mask, expected):
    masked = source.with_masks(write_masks(tmp_path, [mask] * 6))
    received = masked.gather(tf.constant([5], tf.int64))["mask"]
    assert received.shape == (1, SIZE, SIZE, 1)
    np.testing.assert_allclose(received, expected)


def test_the_first_records_keep_their_masks(source, tmp_path, pictures):
    masks = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.full((SIZE, SIZE, 1), 40)
    few = source.with_masks(write_masks(tmp_path, masks)).first(2)
    assert len(few) == 2 and len(source.first(99)) == 6
    records = next(iter(few.batches(8)))
    assert records["index"].numpy().tolist() == [0, 1]
    np.testing.assert_allclose(records["mask"][1], 40 / 255)
    np.testing.assert_allclose(records["image"], pictures[:2] / 255, atol=1e-6)


def test_the_digest_tells_contents_labels_order_and_size_apart(source, files, pictures, tmp_path):
    again = FileSource(scan(files), source.labels, source.image_shape)
    assert source.digest() == again.digest()
    others = [
        FileSource(scan(files[::-1]), source.labels, source.image_shape),
        FileSource(scan(files), source.labels[::-1], source.image_shape),
        FileSource(scan(files), source.labels, (SIZE, SIZE + 1, 3)),
        source.first(5),
    ]
    cv2.imwrite(files[0], pictures[0] // 2)
    others.append(FileSource(scan(files), source.labels, source.image_shape))
    assert len({source.digest(), *(other.digest() for other in others)}) == 6


def test_rows_are_taken_in_their_order_with_their_masks(source, tmp_path, pictures):
    masks = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.full((SIZE, SIZE, 1), 40)
    masked = source.with_masks(write_masks(tmp_path, masks))
    for taken, labels in (
        (masked.take(np.array([4, 0])), [1, 0]),
        (masked.take(np.array([4, 0]), np.array([8, 9])), [8, 9]),
    ):
        records = next(iter(taken.batches(8)))
        assert records["label"].numpy().tolist() == taken.labels.tolist() == labels
        np.testing.assert_allclose(records["image"], pictures[[4, 0]] / 255, atol=1e-6)
        np.testing.assert_allclose(records["mask"][:, 0, 0, 0], [160 / 255, 0])


def test_masks_can_be_left_out(source, tmp_path):
    masked = source.with_masks(write_masks(tmp_path, [np.zeros((SIZE, SIZE), np.uint8)] * 6))
    bare = masked.without_masks()
    assert masked.has_masks and not bare.has_masks and not source.has_masks
    assert "mask" not in next(iter(bare.batches(1)))
    assert bare.digest() == masked.digest() == source.digest()
    assert source.without_masks() is source


def test_the_digest_of_masks_tells_masks_apart(source, tmp_path):
    masks = [np.full((SIZE, SIZE), shade, np.uint8) for shade in range(6)]
    names = write_masks(tmp_path, masks)
    masked = source.with_masks(names)
    other_images = FileSource(source.images.take(np.arange(6)[::-1]), masked.labels, (9, 9, 3))
    assert masked.masks_digest() == other_images.with_masks(names).masks_digest()
    others = [source.with_masks(names[::-1]), masked.first(5)]
    cv2.imwrite(names[0], masks[5])
    others.append(source.with_masks(names))
    assert len({masked.masks_digest(), *(other.masks_digest() for other in others)}) == 4


def test_files_of_a_folder_come_mixed_with_their_labels(tmp_path, caplog):
    names = [f"{label}/{i}.png" for label in "abc" for i in range(8)]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.full((SIZE, SIZE, 3), number, np.uint8))
    labels = np.repeat([0, 1, 2], 8)

    def numbers(names, labels, skip_bad_files=False):
        source = load_files(tmp_path, names, labels, (SIZE, SIZE, 3), skip_bad_files)
        records = next(iter(source.batches(99)))
        read = np.round(records["image"][:, 0, 0, 0].numpy() * 255).astype(int)
        np.testing.assert_array_equal(records["label"], read // 8)
        return read.tolist()

    order = numbers(names, labels)
    assert sorted(order) == list(range(24)) and len({row // 8 for row in order[:8]}) == 3
    assert numbers(names[::-1], labels[::-1]) == order
    assert numbers(names[5:], labels[5:]) == [row for row in order if row >= 5]
    (tmp_path / names[3]).write_bytes(b"")
    with pytest.raises(ValueError, match="^1 of 24 image files cannot.*a/3.png .it is empty"):
        numbers(names, labels)
    assert numbers(names, labels, skip_bad_files=True) == [row for row in order if row != 3]
    assert caplog.messages[0].endswith(f"are left out: {tmp_path}/a/3.png (it is empty)")


def test_other_arguments_are_refused(source, files):
    with pytest.raises(ValueError, match=r"one length above 0; received \[5, 6\]"):
        source.with_masks(files[:5])
    with pytest.raises(ValueError, match=r"received \[0\]"):
        FileSource(scan([]), [], (SIZE, SIZE, 3))
    with pytest.raises(ValueError, match=r"\(H, W, 3\); received \(8, 8, 1\)"):
        FileSource(scan(files), np.zeros(6), (8, 8, 1))
    with pytest.raises(ValueError, match="1 of 6 image files cannot.*gone.png .it has vanished"):
        source.with_masks([*files[:5], "gone.png"])


@pytest.mark.parametrize("vanished", [True, False], ids=["vanished", "cut short"])
@pytest.mark.parametrize("in_graph", [True, False], ids=["in graph", "eager"])
def test_a_file_that_changes_while_training_is_named(source, files, vanished, in_graph):
    file = pathlib.Path(files[4])
    contents = file.read_bytes()
    file.unlink()
    if not vanished:
        file.write_bytes(contents[: len(contents) // 2])
    batches = iter(source.batches(6))

    def step() -> tf.Tensor:
        return next(batches)["label"]

    with pytest.raises(tf.errors.OpError) as info:
        (tf.function(step) if in_graph else step)()
    reason = "cannot be read: no such file or directory" if vanished else "has changed since it was"
    assert input_error(info.value).startswith(f"{file} {reason}")


def test_other_errors_are_about_no_file():
    assert input_error(tf.errors.InvalidArgumentError(None, None, "shapes; differ [1] [2]")) is None


SIZES = [
    *(((45, 61), (40, 48)), ((45, 61), (90, 121)), ((64, 64), (32, 32)), ((33, 47), (47, 33))),
    *(((100, 7), (13, 90)), ((5, 5), (40, 41)), ((240, 320), (321, 479)), ((97, 89), (10, 11))),
    *(((50, 50), (50, 25)), ((1, 3), (2, 1))),
]


@pytest.mark.parametrize(("size", "wanted"), SIZES)
def test_bicubic_and_nearest_are_pillows(size, wanted):
    rng = np.random.default_rng(0)
    picture, numbers = rng.integers(0, 256, (*size, 3), np.uint8), rng.integers(0, 256, size)
    ways = PIL.Image.Resampling
    expected = PIL.Image.fromarray(picture).resize(wanted[::-1], ways.BICUBIC)
    resize = tf.function(lambda own: stretch(own, wanted, "bicubic"))
    np.testing.assert_array_equal(resize(tf.constant(picture)), expected)
    expected = PIL.Image.fromarray(numbers.astype(np.uint8)).resize(wanted[::-1], ways.NEAREST)
    nearest = by_pillow(tf.constant(numbers, tf.int32), wanted, ways.NEAREST)
    np.testing.assert_array_equal(nearest, expected)
