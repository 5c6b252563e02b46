"""What a model answers on every test."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from bginv.auditing.intervals import Answers, difference, share_of
from bginv.auditing.models import BATCH, Asked, AuditedModel
from bginv.auditing.shared_network import SharedNetwork
from bginv.auditing.variants import CLEAN, MIXED_RAND, MIXED_SAME, OWN, CutPictures
from bginv.data.variations import MIXED
from bginv.evaluation.intervals import Interval
from bginv.prefetch import prefetched

Key = tuple[str, int, int]
"""A test, the number of a draw, and the first of a batch's pictures."""
Show = Callable[[], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Scored:
    """Classes that a model sees.

    Attributes:
        labels: int [N], true ones.
        classes: by test: int [M, D], -1 for none of the pictures' classes.
        confidence: by test: float [M, D].
        rows: by test: int [M], which pictures.
        donors: by test of `MIXED`: int [M, D].
    """

    labels: np.ndarray
    classes: Mapping[str, np.ndarray]
    confidence: Mapping[str, np.ndarray]
    rows: Mapping[str, np.ndarray]
    donors: Mapping[str, np.ndarray]

    def answers(self, test: str, only: np.ndarray | None = None) -> Answers:
        """Whether they are right, of all pictures or of some, bool [N]."""
        rows = self.rows[test]
        right = (self.classes[test] == self.labels[rows][:, None]).astype(np.float64)
        found = Answers(right, rows, self.donors.get(test))
        return found if only is None else found.of(only[rows])

    def share(self, test: str, only: np.ndarray | None = None) -> Interval:
        """Accuracy on a test."""
        return share_of(self.answers(test, only))

    def gap(self, only: np.ndarray | None = None) -> Interval:
        """The background gap (Xiao et al. 2021): accuracy on `mixed_same` minus `mixed_rand`."""
        return difference(self.answers(MIXED_SAME, only), self.answers(MIXED_RAND, only))

    def changed(self) -> Interval:
        """Share of pictures whose class some background of another picture changes."""
        rows = self.rows[MIXED_RAND]
        clean = self.classes[CLEAN][rows, 0]
        others = np.concatenate([self.classes[test] for test in MIXED if test in self.classes], 1)
        differ = (others != clean[:, None]).any(1).astype(np.float64)
        return share_of(Answers(differ[:, None], rows))


def score(
    model: AuditedModel,
    pictures: CutPictures,
    donors: Mapping[str, np.ndarray],
    tests: Sequence[str],
    advance: Callable[[int], object],
    shared: SharedNetwork,
) -> Scored:
    """Ask a model about every test.

    Args:
        model: see there.
        pictures: see there.
        donors: by test of `MIXED`: int [M, D], for the pictures that have an object.
        tests: names.
        advance: told how many images were looked at.
        shared: with features of the models before.
    """
    with_object = np.flatnonzero(pictures.has_object)
    classes, confidence, rows_of = {}, {}, {}
    batches: list[tuple[Key, Show]] = []
    for test in tests:
        rows = np.arange(len(pictures)) if test == CLEAN else with_object
        columns = [None] if test in OWN else list(donors[test].T)
        shape = (len(rows), len(columns))
        classes[test], confidence[test] = np.empty(shape, int), np.empty(shape, np.float32)
        rows_of[test] = rows
        for draw, column in enumerate(columns):
            for start in range(0, len(rows), BATCH):
                part = slice(start, start + BATCH)
                behind = None if column is None else column[part]
                show = functools.partial(pictures.show, test, rows[part], behind)
                batches.append(((test, draw, start), show))
    shared.begin(model, sum(own.size for own in classes.values()))
    for (test, draw, start), found in _answers(model, batches, shared):
        part = slice(start, start + BATCH)
        classes[test][part, draw] = found.classes
        confidence[test][part, draw] = found.confidence
        advance(len(found.classes))
    shared.end()
    own_donors = {test: donors[test] for test in tests if test in donors}
    return Scored(pictures.labels, classes, confidence, rows_of, own_donors)


def _answers(
    model: AuditedModel, batches: Sequence[tuple[Key, Show]], shared: SharedNetwork
) -> Iterator[tuple[Key, Asked]]:
    """A model's answers on batches, each of which is made while it looks at the one before."""
    made = ((key, show() if shared.lacks(key) else None) for key, show in batches)
    for key, images in prefetched(made):
        yield key, shared.ask(model, key, images)


@dataclasses.dataclass(frozen=True)
class Pull:
    """How often objects of one class are taken for another because of its backgrounds.

    Attributes:
        objects: class of the objects.
        backgrounds: class of the backgrounds, and of the answers.
        share: of the composites of the two, answered so.
        elsewhere: the same on backgrounds of other classes.
        count: composites.
    """

    objects: int
    backgrounds: int
    share: float
    elsewhere: float
    count: int


def strongest_pulls(scored: Scored, num_classes: int, most: int) -> list[Pull]:
    """For each class the one whose backgrounds raise its share of the answers most, sorted."""
    tests = [test for test in MIXED if test in scored.classes]
    objects = np.concatenate(
        [
            np.repeat(scored.labels[scored.rows[test]], scored.donors[test].shape[1])
            for test in tests
        ]
    )
    behind = np.concatenate([scored.labels[scored.donors[test]].ravel() for test in tests])
    answered = np.concatenate([scored.classes[test].ravel() for test in tests])
    found = []
    for one in range(num_classes):
        for other in range(num_classes):
            own = objects == one
            here, there = own & (behind == other), own & (behind != other)
            if one == other or not here.any() or not there.any():
                continue
            shares = [float((answered[mask] == other).mean()) for mask in (here, there)]
            found.append(Pull(one, other, *shares, int(here.sum())))
    found.sort(key=lambda pull: pull.elsewhere - pull.share)
    strongest = {pull.objects: pull for pull in reversed(found) if pull.share > pull.elsewhere}
    return [pull for pull in found if strongest.get(pull.objects) is pull][:most]
