import cv2
import numpy as np
import pytest

from bginv.data.catalog import load_data

HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
TRAIN, OTHER_TRAIN = "gtsrb/GTSRB/Training", "gtsrb/GTSRB/Final_Training/Images"
TEST, LABELS = "gtsrb/GTSRB/Final_Test/Images", "gtsrb/GT-final_test.csv"
SYNSIGNS = "synsigns/synthetic_data"


@pytest.fixture
def write(tmp_path):
    """Write a picture of one colour: 5 times the class in red, a number in green, 7 in blue."""

    def picture(name, label, number=0, size=(6, 9)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((*size, 3), (7, number, 5 * label), np.uint8))
        return path

    return picture


@pytest.fixture
def gtsrb(tmp_path, write):
    """Classes 0, 1 and 42 with four pictures each, and three tests of classes 2, 0 and 42."""
    write_training(write, TRAIN)
    (tmp_path / TRAIN / "00000" / "GT-00000.csv").write_text(HEADER)
    (tmp_path / TRAIN / "Readme.txt").write_text("stray")
    for number, label in enumerate((2, 0, 42)):
        write(f"{TEST}/{number:05}.ppm", label, number)
    (tmp_path / TEST / "GT-final_test.test.csv").write_text("stray")
    write_labels(tmp_path, "2", "0", "42")
    return tmp_path


@pytest.fixture
def synsigns(tmp_path, write):
    """Eight pictures of classes 40, 35, ..., 5."""
    labels = range(40, 0, -5)
    for number, label in enumerate(labels):
        write(f"{SYNSIGNS}/train/{number}_0.png", label, number, (40, 40))
    lines = [f"train/{i}_0.png {label} 1 0.5\n" for i, label in enumerate(labels)]
    (tmp_path / SYNSIGNS / "train_labelling.txt").write_text("".join(lines))
    return tmp_path


def write_training(write, folder):
    for label in (0, 1, 42):
        for number in range(4):
            size = (6 + number, 9 - number)
            write(f"{folder}/{label:05}/{number:05}_00000.ppm", label, number, size)


def write_labels(root, *labels, start="", end="\n"):
    rows = [f"{i:05}.ppm;9;6;1;1;8;5;{label}" for i, label in enumerate(labels)]
    (root / LABELS).write_bytes((start + end.join([HEADER, *rows, ""])).encode())


def assert_colours_tell_labels(images, labels):
    np.testing.assert_array_equal(
        images[..., 0], np.broadcast_to(5 * labels[:, None, None], images.shape[:3])
    )
    assert (images[..., 2] == 7).all()


def test_signs_have_the_labels_of_their_folders_and_of_the_table(gtsrb):
    data = load_data("gtsrb", str(gtsrb))
    assert (data.name, data.image_shape, list(data.tests)) == ("gtsrb", (64, 64, 3), ["clean"])
    assert data.class_names[0] == "00" and data.class_names[-1] == "42" and data.num_classes == 43
    assert_colours_tell_labels(data.train.images, data.train.labels)
    numbers = data.train.images[:, 0, 0, 1]
    assert sorted(zip(data.train.labels, numbers, strict=True)) == [
        (label, number) for label in (0, 1, 42) for number in range(4)
    ]
    clean = data.tests["clean"]
    assert clean.labels.tolist() == [2, 0, 42]
    assert_colours_tell_labels(clean.images, clean.labels)
    assert clean.images[:, 0, 0, 1].tolist() == [0, 1, 2]


def test_the_first_signs_are_of_several_classes(gtsrb):
    labels = load_data("gtsrb", str(gtsrb), limit=4).train.labels
    assert len(labels) == 4 and len(set(labels)) > 1


def test_the_order_is_the_same_wherever_the_files_are(gtsrb, tmp_path_factory):
    before = load_data("gtsrb", str(gtsrb)).train
    moved = tmp_path_factory.mktemp("moved")
    (gtsrb / "gtsrb").rename(moved / "gtsrb")
    after = load_data("gtsrb", str(moved)).train
    assert after.labels.tolist() == before.labels.tolist()
    assert after.digest() == before.digest()


def test_the_training_archive_may_be_the_other_one(gtsrb, write):
    (gtsrb / OTHER_TRAIN).parent.mkdir()
    (gtsrb / TRAIN).rename(gtsrb / OTHER_TRAIN)
    data = load_data("gtsrb", str(gtsrb))
    assert np.bincount(data.train.labels)[[0, 1, 42]].tolist() == [4, 4, 4]
    assert_colours_tell_labels(data.train.images, data.train.labels)


def test_signs_are_stretched(gtsrb):
    picture = np.zeros((90, 140, 3), np.uint8)
    picture[:, 70:] = 201
    cv2.imwrite(str(gtsrb / TEST / "00001.ppm"), picture)
    image = load_data("gtsrb", str(gtsrb)).tests["clean"].images[1]
    assert image[:, :31].max() == 0 and image[:, 33:].min() == 201


@pytest.mark.parametrize(
    ("start", "end"), [("", "\r\n"), ("\ufeff", "\n"), ("", "\n\n")], ids=["crlf", "BOM", "gaps"]
)
def test_the_table_may_come_from_another_system(gtsrb, start, end):
    write_labels(gtsrb, "2", "0", "42", start=start, end=end)
    assert load_data("gtsrb", str(gtsrb)).tests["clean"].labels.tolist() == [2, 0, 42]


@pytest.mark.parametrize("label", ["43", "-1", "2.0", "", "no"])
def test_a_class_that_is_none_is_refused(gtsrb, label):
    write_labels(gtsrb, "2", label)
    with pytest.raises(ValueError, match=f"final_test.csv: '{label}' is no class of GTSRB, .* 42"):
        load_data("gtsrb", str(gtsrb))


def test_a_folder_that_is_no_class_is_refused(gtsrb, write):
    write(f"{TRAIN}/00043/a.ppm", 43)
    with pytest.raises(ValueError, match="00043/a.ppm: '00043' is no class of GTSRB"):
        load_data("gtsrb", str(gtsrb))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "GT-final_test.csv has no rows with Filename"),
        (b"\xff\xd8\xff\xe0", "GT-final_test.csv is no text file"),
        (f"{HEADER}\n".encode(), "GT-final_test.csv"),
        (b"Filename;Width;Height\n00000.ppm;9;6\n", "GT-final_test.csv"),
    ],
    ids=["empty", "bytes", "no rows", "no labels"],
)
def test_another_table_is_refused(gtsrb, contents, message):
    (gtsrb / LABELS).write_bytes(contents)
    with pytest.raises(ValueError, match=message):
        load_data("gtsrb", str(gtsrb))


def test_training_folders_without_pictures_are_refused(gtsrb):
    for file in (gtsrb / TRAIN).rglob("*.ppm"):
        file.unlink()
    with pytest.raises(ValueError, match="GTSRB/Training"):
        load_data("gtsrb", str(gtsrb))


@pytest.mark.parametrize("contents", [b"P6 9 6 255\n123", b"<html>", b""])
def test_damaged_signs_are_refused_or_left_out(gtsrb, contents, caplog):
    bad = gtsrb / TRAIN / "00001" / "00002_00000.ppm"
    bad.write_bytes(contents)
    with pytest.raises(ValueError, match=f"^1 of 12 .*{bad} .it is .*--skip-bad-files$"):
        load_data("gtsrb", str(gtsrb))
    data = load_data("gtsrb", str(gtsrb), skip_bad_files=True)
    assert len(data.train) == 11
    assert_colours_tell_labels(data.train.images, data.train.labels)
    assert str(bad) in caplog.messages[0]


def test_missing_signs_are_refused_or_left_out(gtsrb):
    (gtsrb / TEST / "00001.ppm").unlink()
    with pytest.raises(ValueError, match="^1 of 3 .*Final_Test/Images/00001.ppm .it is missing"):
        load_data("gtsrb", str(gtsrb))
    clean = load_data("gtsrb", str(gtsrb), skip_bad_files=True).tests["clean"]
    assert clean.labels.tolist() == [2, 42]
    assert_colours_tell_labels(clean.images, clean.labels)


def read(source) -> np.ndarray:
    batch = next(iter(source.batches(99)))
    return np.round(batch["image"].numpy() * 255).astype(int)


def test_a_quarter_of_the_synthetic_signs_is_the_test(synsigns):
    data = load_data("synsigns", str(synsigns))
    assert (data.name, data.image_shape, data.num_classes) == ("synsigns", (64, 64, 3), 43)
    assert (len(data.train), len(data.tests["clean"])) == (6, 2)
    splits = (data.train, *data.tests.values())
    for split in splits:
        assert_colours_tell_labels(read(split), split.labels)
    labels = np.concatenate([split.labels for split in splits])
    assert sorted(labels) == [5, 10, 15, 20, 25, 30, 35, 40]
    again = load_data("synsigns", str(synsigns))
    assert again.train.digest() == data.train.digest()


def test_the_list_of_synthetic_signs_may_end_its_lines_as_windows_does(synsigns):
    file = synsigns / SYNSIGNS / "train_labelling.txt"
    expected = load_data("synsigns", str(synsigns)).train.digest()
    file.write_bytes(file.read_bytes().replace(b" 1 0.5\n", b"\r\n"))
    assert load_data("synsigns", str(synsigns)).train.digest() == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train/0_0.png 43", "train_labelling.txt: '43' is no class of GTSRB"),
        ("train/0_0.png", "train_labelling.txt: each line needs a file and its class"),
        ("train/0_0.png 3.0", "train_labelling.txt: '3.0' is no class of GTSRB"),
        ("train/gone.png 3", "^1 of 1 image files cannot be read.*gone.png .it has vanished"),
    ],
)
def test_other_lists_of_synthetic_signs_are_refused(synsigns, line, message):
    (synsigns / SYNSIGNS / "train_labelling.txt").write_text(line)
    with pytest.raises(ValueError, match=message):
        load_data("synsigns", str(synsigns))


def test_bad_synthetic_signs_can_be_left_out(synsigns):
    (synsigns / SYNSIGNS / "train" / "3_0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="3_0.png .it is not a whole jpeg"):
        load_data("synsigns", str(synsigns))
    data = load_data("synsigns", str(synsigns), skip_bad_files=True)
    labels = np.concatenate([data.train.labels, data.tests["clean"].labels])
    assert sorted(labels) == [5, 10, 15, 20, 30, 35, 40]
    assert_colours_tell_labels(read(data.train), data.train.labels)
