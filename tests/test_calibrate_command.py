"""`bginv calibrate`: the temperature, its table, and the model that holds it."""

import re

import cv2
import keras
import numpy as np

from bginv.commands.evaluations import _split
from bginv.data.catalog import load_data
from bginv.interop.model_files import save_model
from bginv.nn.paper_networks import build_classifier


def test_calibrate(command, tmp_path):
    classifier = build_classifier((32, 32, 1), 10, 1)
    classifier.layers[-1].kernel.assign(classifier.layers[-1].kernel * 40)  # far too sure
    save_model(classifier, tmp_path / "m1.keras")
    call = (None, "calibrate", "digits_backgrounds", "m1.keras", "c.keras")
    code, out, err = command(*call)
    assert code == 0, err
    temperature = float(re.search(r"temperature ([0-9.]+)", out)[1])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines()[2:]]
    names = list(load_data("digits_backgrounds").tests)
    assert [row[0] for row in rows] == names
    assert float(rows[0][4]) < float(rows[0][3])
    assert float(rows[0][2]) < float(rows[0][1])
    images = np.random.default_rng(1).random((3, 32, 32, 1), np.float32)
    found = keras.models.load_model("c.keras", safe_mode=True)(images)
    np.testing.assert_allclose(found, classifier(images) / temperature, rtol=1e-3)
    assert cv2.imread("c.png").std() > 20
    assert command(None, "evaluate", "digits_backgrounds", "c.keras")[0] == 0
    code, _, err = command(*call, "--on", "dots", "--overwrite")
    assert code == 2 and "--on must be one of clean, stripes" in err
    assert command(*call)[0] == 2


def test_figures_are_of_other_images_than_the_temperature(squares):
    fitted, tests = _split(squares, None)
    assert fitted.digest() == squares.train.take(np.arange(0, 24, 2)).digest()
    assert tests["clean"].digest() == squares.train.take(np.arange(1, 24, 2)).digest()
