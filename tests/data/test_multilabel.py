import cv2
import numpy as np
import pytest

from bginv.data.catalog import load_data
from bginv.data.labelled import load_multilabel

LINES = "a.png 1 0 1\nb.png 0 0 0\nc.png 0 1 1\n"


@pytest.fixture
def root(tmp_path):
    """Flat images whose brightness tells them apart."""
    (tmp_path / "images").mkdir()
    for brightness, name in ((10, "a"), (20, "b"), (30, "c")):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((8, 8, 3), brightness))
    (tmp_path / "train_list.txt").write_text(LINES)
    (tmp_path / "val_list.txt").write_text("c.png 0 1 1\r\n\r\na.png 1 0 1\r\n")
    return tmp_path


def test_an_image_has_a_row_of_labels(root):
    data = load_data(f"multilabel:{root}", image_size=8)
    assert (len(data.train), list(data.tests), data.image_shape) == (3, ["val"], (8, 8, 3))
    assert data.multi_label and data.class_names == ("0", "1", "2")
    batch = next(iter(data.train.batches(3)))
    found = {
        round(float(image[0, 0, 0]) * 255): label.tolist()
        for image, label in zip(batch["image"], batch["label"].numpy(), strict=True)
    }
    assert found == {10: [1, 0, 1], 20: [0, 0, 0], 30: [0, 1, 1]}
    assert sorted(map(tuple, data.tests["val"].labels)) == [(0, 1, 1), (1, 0, 1)]
    assert [len(data.train.rows_of_class(label)) for label in range(3)] == [1, 1, 2]


def test_classes_may_have_names(root):
    (root / "classes.txt").write_text("Mass\nNodule\nEdema\n")
    assert load_multilabel(str(root), 8, False).class_names == ("Mass", "Nodule", "Edema")
    (root / "classes.txt").write_text("Mass\n")
    with pytest.raises(ValueError, match="classes.txt names 1 classes; the lists have 3"):
        load_multilabel(str(root), 8, False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png 1 0\n", "train_list.txt, image 2: a name is needed .* found 'a.png 1 0'"),
        ("a.png 1 0 2\n", "image 2: a name is needed and a 0 or 1 for each class"),
        ("a.png 1 0 1\ngone.png 1 0 1\n", "gone.png .it has vanished"),
    ],
)
def test_other_lists_are_refused(root, line, message):
    (root / "train_list.txt").write_text("b.png 0 0 0\n" + line)
    with pytest.raises(ValueError, match=message):
        load_multilabel(str(root), 8, False)


def test_another_layout_is_refused(root):
    with pytest.raises(
        FileNotFoundError, match="nowhere is not a folder; the layout is PATH/train"
    ):
        load_data("multilabel:nowhere")
    (root / "val_list.txt").unlink()
    with pytest.raises(ValueError, match="needs a list to train and one to test, not train_list"):
        load_multilabel(str(root), 8, False)


@pytest.mark.slow
def test_ag_cnn_alone_trains_on_several_classes(root, command, caplog, monkeypatch):
    # DenseNet-121 takes a minute to trace
    monkeypatch.setattr("bginv.methods.attention.model.AG_CNN_BACKBONE", "MobileNet")
    name = f"multilabel:{root}"
    code, _, err = command("train1", name)
    assert code == 2 and "has several classes an image, which train_att.py --fusion paper" in err
    options = ("--fusion", "paper", "--weights", "none", "--image-size", "32", "--batchsize", "2")
    options += ("--recipe", "tuned")
    output = ("--output", "m.keras")
    code, out, err = command("train-att", name, *options, "--steps", "1", *output)
    assert code == 0, err
    assert "Mean AUROC - train: " in caplog.text and "AUROC on val, in %" in caplog.text
    auroc = out.strip().split(",")[-2:]
    code, out, _ = command("evaluate", name, "m.keras", "--image-size", "32")
    assert code == 0 and out.strip().split(",") == auroc
