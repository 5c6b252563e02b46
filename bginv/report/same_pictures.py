"""A few pictures, and what the classifiers of a run say of each, on two of its tests."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from bginv.evaluation.accuracy import NO_OBJECTS, Predictions
from bginv.report.page import SIDE, Answer, Row, isolated, picture_of
from bginv.report.pictures import read_strip, write_strip

MOST = 20
MIXED_RAND = "mixed_rand"
AS_IT_IS = "as it is"
ON_ANOTHER = "on the background of another picture"


class SamePictures:
    """Pictures of a run's report, drawn by lot and not for the answers.

    Each is shown as in the first test and as in the test that is hardest for the first classifier;
    where no other test shows the pictures of the first, as in the hardest test alone.

    Args:
        strips: folder for the images.
        class_name: of a class's number.
        images: of rows of a test, uint8 [M, H, W, C].
    """

    def __init__(
        self,
        strips: pathlib.Path,
        class_name: Callable[[int], str],
        images: Callable[[str, np.ndarray], np.ndarray],
    ):
        self._strips, self._class_name, self._images = strips, class_name, images
        self._rows: dict[str, np.ndarray] = {}
        self._true: list[str] = []
        self._told: dict[str, dict[str, Any]] = {}

    def add(
        self, row: str, found: Mapping[str, Predictions], same: Mapping[str, np.ndarray]
    ) -> None:
        """What a classifier says of them.

        Args:
            row: name of the classifier.
            found: its answers, by test.
            same: by test: int [N], of which record of the first test each answer is.
        """
        if not self._rows:
            self._rows = choose_rows(found, same)
            first, places = next(iter(self._rows.items()))
            self._true = [self._class_name(label) for label in found[first].labels[places]]
        for number, (test, places) in enumerate(self._rows.items()):
            if test not in self._told:
                file = f"same_{number:02}.png"
                images = [_small(own) for own in self._images(test, places)]
                write_strip(self._strips / file, np.stack(images) / np.float32(255))
                self._told[test] = {"file": file, "width": images[0].shape[1], "answers": {}}
            own = found[test]
            self._told[test]["answers"][row] = [
                [self._class_name(own.predicted[i]), round(float(own.confidence[i]), 4)]
                for i in places
            ]

    def as_json(self) -> dict[str, Any]:
        """What `rows_of_same` reads; the images are in their files."""
        return {"true": self._true, "tests": self._told}


def choose_rows(
    found: Mapping[str, Predictions], same: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Rows of one or two tests, int [M] each, of the same pictures, by the test's name.

    Args:
        found: answers by test; the first test shows pictures as they are.
        same: by test: int [N], of which record of the first test each answer is.
    """
    first = next(iter(found))
    others = [name for name in found if name not in (first, NO_OBJECTS)]
    paired = [name for name in others if name in same]
    hardest = [MIXED_RAND] if MIXED_RAND in paired else paired or others or [first]
    test = min(hardest, key=lambda name: found[name].accuracy)
    known = same[test] if test in paired else np.arange(len(found[test].labels))
    records, places = np.unique(known, return_index=True)
    drawn = _some_of_each(found[test].labels[places], MOST)
    if test not in paired:
        return {test: places[drawn]}
    return {first: records[drawn], test: places[drawn]}


def _some_of_each(labels: np.ndarray, most: int) -> np.ndarray:
    """At most so many places, int [M], by class; every class is among them before any is again."""
    order = np.random.default_rng(0).permutation(len(labels))
    turn = np.empty(len(labels), int)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turn[own] = np.arange(len(own))
    taken = order[np.argsort(turn[order], kind="stable")][:most]
    return taken[np.argsort(labels[taken], kind="stable")]


def _small(image: np.ndarray) -> np.ndarray:
    """An image at a page's size, uint8 [h, w, C]."""
    scale = min(1.0, SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    return small if small.ndim == 3 else small[..., None]


def rows_of_same(
    folder: pathlib.Path, told: Mapping[str, Any], names: Mapping[str, str]
) -> list[Row]:
    """A row for each picture: on each test, with what the classifiers say.

    Args:
        folder: of the images.
        told: see `SamePictures.as_json`.
        names: of the classifiers, as a page has them; others are left out.
    """
    tests = told.get("tests", {})
    columns = [
        _column(folder, where, own, told["true"], names)
        for where, own in zip(_places(list(tests)), tests.values(), strict=True)
    ]
    pairs = zip(*columns, strict=True)
    return [Row(true, pictures) for true, pictures in zip(told.get("true", ()), pairs, strict=True)]


def _column(
    folder: pathlib.Path,
    where: str,
    own: Mapping[str, Any],
    true: Sequence[str],
    names: Mapping[str, str],
) -> list:
    pictures = []
    for row, image in enumerate(read_strip(folder / own["file"], own["width"])):
        answers = []
        for name, shown in names.items():
            if name in own["answers"]:
                predicted, confidence = own["answers"][name][row]
                text = f"{isolated(predicted)}, {100 * confidence:.0f}\u00a0%"
                told = f"{shown}: {text}" if len(own["answers"]) > 1 else text
                answers.append(Answer(told, predicted == true[row]))
        alt = f"{isolated(true[row])}, {where}; {'; '.join(map(str, answers))}"
        pictures.append(picture_of(image, alt, where, answers))
    return pictures


def _places(tests: Sequence[str]) -> list[str]:
    """Where the pictures of each test are, in words; the first of two shows them as they are."""
    named = [
        ON_ANOTHER if test == MIXED_RAND else f"test {test.replace('_', ' ')}" for test in tests
    ]
    return [AS_IT_IS, *named[1:]] if len(named) > 1 else named


def right_answers_of(told: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """How many of the pictures each classifier gets right, a sentence a test."""
    lines = []
    tests = told.get("tests", {})
    for where, own in zip(_places(list(tests)), tests.values(), strict=True):
        counts = {
            names[row]: sum(
                answer == true for (answer, _), true in zip(answers, told["true"], strict=True)
            )
            for row, answers in own["answers"].items()
            if row in names
        }
        named = [f"{count} {name}" for name, count in counts.items()]
        shown = ", ".join(named if len(named) > 1 else map(str, counts.values()))
        lines.append(f"Right {where}, of {len(told['true'])}: {shown}.")
    return lines
