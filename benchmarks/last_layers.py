"""Rivals and our recipe as last layers of one frozen network, on features computed once a set.

Each rival but dfr has as many trials. They are judged on the validation part of the data set, or
on a fifth held out of the training images: by the worst group where places are known, else by
accuracy on other backgrounds. The best is then trained with every seed.
"""

import dataclasses
import pathlib
import pkgutil
import re
import statistics
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np
from measuring import timed
from photograph_tests import (
    VALIDATION,
    VALIDATION_DRAWS,
    Tests,
    load,
    summarized,
    tests_of,
    with_backgrounds,
)

from bginv.data.composites import WithEmptied
from bginv.data.wrapped import hold_out
from bginv.engine.run_folder import RunFolder
from bginv.engine.settings import resolve
from bginv.evaluation.last_layers import LastLayers
from bginv.methods.photographs.experiment import balanced
from bginv.methods.photographs.judging import Judge, decide
from bginv.methods.photographs.phases import Phase, run_phase
from bginv.methods.photographs.settings import PhotographSettings
from bginv.methods.rivals.settings import GROUPS, MASKS, RIVALS
from bginv.methods.rivals.trainer import Trainer
from bginv.nn.backbones import LITE0, build_architecture

EPOCHS = 100
_RATES = [
    {"learning_rate": rate, "weight_decay": decay} for rate in (0.01, 0.1) for decay in (1e-4, 1e-2)
]
TRIALS: Mapping[str, list[dict]] = {
    **dict.fromkeys(
        ("erm", "class-balanced", "group-balanced", "group-dro", "background-swap", "copy-paste"),
        _RATES,
    ),
    "jtt": [
        {"learning_rate": 0.01, "weight_decay": 1e-4, "first_epochs": first, "upweight": times}
        for first in (3, 20)
        for times in (10, 50)
    ],
    "dfr": [{}],
    "afr": [
        {"learning_rate": 0.01, "gamma": gamma, "reweighted_share": share}
        for gamma in (4.0, 10.0)
        for share in (0.2, 0.5)
    ],
}
"""Settings that are tried, of each rival. dfr learns from the validation part: it chooses between
its seven penalties by halves of it, as its paper does, and is not judged there again."""
OURS = (("ours", "none", MASKS), ("ours, groups", "groups", f"{MASKS}, {GROUPS}"))


class SharedFeatures(RunFolder):
    """A folder of no run, whose features stay for the next one."""

    def __init__(self, path: pathlib.Path):
        super().__init__(None, None, False, {})
        self._kept = path

    @property
    def features(self) -> pathlib.Path:
        """See `RunFolder.features`."""
        return self._kept


class Heads:
    """Last layers on one data set.

    Args:
        name: of the data set.
        masks: their source.
        cache: folder for features, in which each data set and source of masks has one.
    """

    def __init__(self, name: str, masks: str, cache: pathlib.Path):
        self.dataset = load(name)
        own = f"{self.dataset.train.digest():08x}-{re.sub('[^A-Za-z0-9]', '_', masks)}"
        self._folder = SharedFeatures(cache / own)  # others' features are not these
        began = time.monotonic()
        self.network = build_architecture(
            LITE0, self.dataset.image_shape, self.dataset.num_classes, "imagenet", 0
        )
        held = self.dataset.tests.get(VALIDATION)
        share = 0.0 if held is not None else 0.2
        self._rows, self._held = hold_out(self.dataset.train, share)
        self.validation = held if held is not None else self.dataset.train.take(self._held)
        tests = [
            Tests.of(self.dataset, self.validation, masks, VALIDATION_DRAWS),
            tests_of(self.dataset, masks),
        ]
        self._tests = [
            (
                own,
                {
                    name: split.features
                    for name, split in LastLayers(own.splits).of(self.network)[1].items()
                },
            )
            for own in tests
        ]
        self._whole: WithEmptied | None = None
        self._masks = masks
        self.prepared = time.monotonic() - began

    @property
    def has_places(self) -> bool:
        """Whether there are groups."""
        return bool(self.dataset.place_names)

    def whole(self) -> WithEmptied:
        """The training images with masks and backgrounds."""
        if self._whole is None:
            self._whole = with_backgrounds(self.dataset, self.dataset.train, self._masks)
        return self._whole

    def measure(self, place: int, head: keras.Model) -> dict[str, float]:
        """Of a last layer, on validation images (0) or the test (1)."""
        tests, features = self._tests[place]
        kernel, bias = head.layers[-1].get_weights()
        return tests.shares(
            {name: (own @ kernel + bias).argmax(-1) for name, own in features.items()}
        )

    def rival(self, method: str, seed: int, given: dict) -> keras.Model:
        """A last layer of a rival."""
        kind = RIVALS[method].settings
        values = {"dataset": "", "method": method, "seed": seed, "freeze": True, "epochs": EPOCHS}
        own = resolve(kind, {**values, **given}, "paper")
        # what is held out is for choices, and for what a rival takes from held-out images
        train = dataclasses.replace(self.dataset, train=self.dataset.train.take(self._rows))
        trainer = Trainer(
            self.network,
            train,
            self.validation.without_masks(),
            own,
            self._folder,
            lambda: self.whole().take(self._rows),
        )
        pkgutil.resolve_name(RIVALS[method].train_path)(trainer)
        return trainer.model

    def ours(self, seed: int, balance: str) -> keras.Model:
        """What `bginv run --freeze --balance BALANCE` keeps, on the same training images."""
        given = {"dataset": "", "seed": seed, "freeze": True, "balance": balance}
        own = resolve(PhotographSettings, given, "photographs")
        start = self.network.get_weights()
        folder = SharedFeatures(self._folder.features / f"ours_{seed}_{balance}")
        held = with_backgrounds(self.dataset, self.validation, self._masks)
        parts = balanced(self.dataset, self._rows, balance), np.array([], int)
        first = Phase("classifier", self.dataset.train.without_masks(), *parts, 0.0, 0, 0)
        num_classes = self.dataset.num_classes
        run_phase(
            first,
            self.network,
            own,
            folder,
            Judge(self.validation.without_masks(), num_classes, seed),
        )
        judge = Judge(held, num_classes, seed)
        before, found = judge.judge(self.network), self.network.get_weights()
        third = Phase("adversarial", self.whole(), *parts, own.composites, own.copies, 0)
        run_phase(third, self.network, own, folder, judge, before)
        if not decide(before, judge.judge(self.network), own.max_clean_loss).kept:
            self.network.set_weights(found)
        head, _ = LastLayers({}).of(self.network)
        self.network.set_weights(start)
        return head


def rows_of(name: str, path: str, masks: str, cache: pathlib.Path, seeds: list[int]) -> list[dict]:
    """A row of each last layer on a data set, as `photographs.py` writes it.

    Args:
        name: of the data set.
        path: how `load_data` names it; `{seed}` in it stands for the seed.
        masks: their source.
        cache: folder for features.
        seeds: the first one's validation images choose between the trials.
    """
    sets: dict[str, Heads] = {}
    for seed in seeds:
        own = path.format(seed=seed)
        sets[own] = sets.get(own) or Heads(own, masks, cache)
    chosen_on = sets[path.format(seed=seeds[0])]
    print(f"{name}: features after {chosen_on.prepared:.0f} s", flush=True)
    rows = []
    for method, trials in TRIALS.items():
        if RIVALS[method].needs == GROUPS and not chosen_on.has_places:
            continue
        judged = [
            _score(chosen_on.measure(0, chosen_on.rival(method, seeds[0], own))) for own in trials
        ]
        chosen = trials[int(np.argmax(judged))]
        made = [
            _made(sets[path.format(seed=seed)], Heads.rival, method, seed, chosen) for seed in seeds
        ]
        rows.append(_row(name, f"{method}, last layer", RIVALS[method].needs, made, chosen))
    for method, balance, needs in OURS if chosen_on.has_places else OURS[:1]:
        made = [_made(sets[path.format(seed=own)], Heads.ours, own, balance) for own in seeds]
        rows.append(_row(name, f"{method}, last layer", needs, made, {}))
    return rows


def _score(shares: Mapping[str, float]) -> float:
    return shares.get("worst_group", shares.get("mixed_rand", shares["clean"]))


def _made(heads: Heads, make: Callable, *arguments) -> tuple[float, dict[str, float]]:
    """Seconds that a last layer takes, and what it reaches on the test."""
    seconds, head = timed(make, heads, *arguments)
    return seconds, heads.measure(1, head)


def _row(name: str, method: str, needs: str, made: list, chosen: dict) -> dict:
    row = {
        "data": name,
        "method": method,
        "labels_needed": needs,
        "seconds": round(statistics.fmean(seconds for seconds, _ in made), 1),
        "chosen": chosen,
        **summarized([measured for _, measured in made]),
    }
    print(name, method, row["mean"], f"{row['seconds']} s", chosen, flush=True)
    return row
