"""A toy trap, a network for it, and what trains a rival on both."""

import pathlib

import keras
import numpy as np

from bginv.data.composites import WithEmptied, emptied
from bginv.data.sources import ArraySource, Dataset
from bginv.engine.run_folder import RunFolder
from bginv.engine.settings import resolve
from bginv.methods.rivals.settings import RIVALS
from bginv.methods.rivals.trainer import Trainer

SIDE = 16


def settings(method: str = "erm", **given):
    given = {"dataset": "toys", "method": method, "batchsize": 16, **given}
    return resolve(RIVALS[method].settings, given, "paper")


def toys(count: int, minority: int) -> ArraySource:
    """Dark (0) and light (1) grey squares on red or blue, which goes along with the class.

    Place 0 is red, 1 is blue; of each class, `minority` records are on the other's colour.
    """
    rng = np.random.default_rng(count)
    labels = np.arange(count) % 2
    places = labels.copy()
    for label in (0, 1):
        places[np.flatnonzero(labels == label)[:minority]] = 1 - label
    images = rng.integers(0, 60, (count, SIDE, SIDE, 3), np.uint8)
    masks = np.zeros((count, SIDE, SIDE, 1), np.uint8)
    masks[:, 5:11, 5:11] = 255
    for image, label, place in zip(images, labels, places, strict=True):
        image[..., 2 * place] += 180
        image[5:11, 5:11] = (60 + 60 * label + rng.integers(0, 20)).astype(np.uint8)
    return ArraySource(images, labels, masks).with_places(places)


def toy_trap() -> Dataset:
    """96 to train on, of which 8 tell the class from the place, and 64 to test with."""
    return Dataset(
        "toys", toys(96, 4), {"test": toys(64, 16)}, ("dark", "light"), (SIDE, SIDE, 3),
        place_names=("red", "blue"),
    )  # fmt: skip


def network(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(12, 5, 2, activation="relu")(image)
    x = keras.layers.Conv2D(12, 3, 2, activation="relu")(x)
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))


def trainer(dataset: Dataset, folder: pathlib.Path, method: str, **given) -> Trainer:
    own = settings(method, **given)
    source = dataset.train
    return Trainer(
        network(),
        dataset,
        dataset.tests["test"].without_masks(),
        own,
        RunFolder(str(folder), None, False, {"rival": own}),
        lambda: WithEmptied(source, emptied(source, folder / "emptied")),
    )
