"""A data set is a function and a line in the catalog."""

from bginv.data.catalog import CATALOG

STRIPES = """
import numpy as np

from bginv.data.entries import Entry
from bginv.data.sources import ArraySource, Dataset


def load_stripes(place):
    labels = np.arange(60) % 2
    images = np.zeros((60, place.side, place.side, 1), np.uint8)
    images[labels == 0, ::4] = 255
    images[labels == 1, :, ::4] = 255
    train, test = ArraySource(images[:40], labels[:40]), ArraySource(images[40:], labels[40:])
    names = ("rows", "columns")
    return Dataset(place.name, train, {"clean": test}, names, images.shape[1:])


ENTRY = Entry(load=load_stripes, about="rows and columns", side=32, channels=1)
"""


def test_a_data_set_of_twenty_lines_is_trained_on(command, tmp_path, monkeypatch):
    assert STRIPES.strip().count("\n") + 2 <= 20
    (tmp_path / "stripes_data.py").write_text(STRIPES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(CATALOG, "stripes", "stripes_data:ENTRY")
    arguments = ("stripes", "--recipe", "tuned", "--steps", "20", "--batchsize", "8")
    code, out, err = command("train1", *arguments)
    assert code == 0, err
    accuracy = float(out.splitlines()[-1].rsplit(",", 1)[1])
    assert accuracy > 0.9
    assert "rows and columns" in command(None, "datasets")[1]
