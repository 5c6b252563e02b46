"""What a classifier of photographs is measured by: clean, other backgrounds, the worst group."""

import dataclasses
import pathlib
import statistics
import tempfile
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from bginv.data.catalog import load_data
from bginv.data.composites import WithEmptied, composite_tests, emptied
from bginv.data.sources import Dataset, Source
from bginv.evaluation.accuracy import predict
from bginv.evaluation.groups import count_groups, group_names, group_numbers
from bginv.masks.choice import choose
from bginv.masks.store import find_masks

CLEAN, VALIDATION = "clean", "validation"
COLUMNS = ("clean", "mixed_same", "mixed_rand", "gap", "only_fg", "worst_group")
SIDE = 224
TEST_DRAWS, VALIDATION_DRAWS, SEED = 5, 2, 100


def load(name: str) -> Dataset:
    """A data set for a pretrained network."""
    return load_data(name, image_size=SIDE)


def with_backgrounds(dataset: Dataset, split: Source, masks: str) -> WithEmptied:
    """A split with masks and with its images without their objects."""
    source = choose(masks, dataset).source
    found = find_masks(split.without_masks(), source.exact) if source else None
    masked = found.source if found else split
    behind = emptied(masked, pathlib.Path(tempfile.mkdtemp()))
    return WithEmptied(masked, behind, found.confidence > 0 if found else None)


@dataclasses.dataclass(frozen=True)
class Tests:
    """Splits that a classifier is measured on.

    Attributes:
        dataset: what they are of.
        splits: "clean" and its composites, by name.
    """

    dataset: Dataset
    splits: Mapping[str, Source]

    @classmethod
    def of(cls, dataset: Dataset, split: Source, masks: str, draws: int) -> "Tests":
        """A split of a data set, with so many draws of partners."""
        whole = with_backgrounds(dataset, split, masks)
        made = composite_tests(whole, dataset.num_classes, draws, SEED)
        return cls(dataset, {CLEAN: split.without_masks(), **made})

    def measure(self, model: keras.Model) -> dict[str, float]:
        """Shares of a model from images to logits, see `shares`."""
        found = predict(model, self.splits.values())
        return self.shares(
            {name: own.predicted for name, own in zip(self.splits, found, strict=True)}
        )

    def shares(self, predicted: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Shares by name of `COLUMNS`; the worst group where places are known.

        Args:
            predicted: for each split, the class that each record is taken for, int [N].
        """
        right = {name: own == self.splits[name].labels for name, own in predicted.items()}
        shares = {name: float(own.mean()) for name, own in right.items()}
        if "mixed_same" in shares:
            shares["gap"] = shares["mixed_same"] - shares["mixed_rand"]
        clean = self.splits[CLEAN]
        if clean.places is not None:
            names = group_names(self.dataset.class_names, self.dataset.place_names)
            groups = group_numbers(clean.labels, clean.places, len(self.dataset.place_names))
            shares["worst_group"] = count_groups(right[CLEAN], groups, names).worst
        return shares


def tests_of(dataset: Dataset, masks: str) -> Tests:
    """The first test that is no validation part."""
    split = next(own for name, own in dataset.tests.items() if name != VALIDATION)
    return Tests.of(dataset, split, masks, TEST_DRAWS)


def summarized(measured: Sequence[Mapping[str, float]]) -> dict:
    """Mean and deviation over seeds of each figure that there is, in %."""
    found: dict = {"mean": {}, "deviation": {}, "seeds": len(measured)}
    for name in COLUMNS:
        values = [100 * own[name] for own in measured if name in own]
        if values:
            found["mean"][name] = round(statistics.fmean(values), 2)
            deviation = statistics.stdev(values) if len(values) > 1 else 0.0
            found["deviation"][name] = round(deviation, 2)
    return found
