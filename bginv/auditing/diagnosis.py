"""An audit from pictures and models to its result."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bginv.auditing.classes import other_order
from bginv.auditing.gradients import gradient_share
from bginv.auditing.models import BATCH, AuditedModel
from bginv.auditing.result import (
    GAP,
    OF_CLASSES,
    AuditResult,
    ClassFigures,
    MaskReport,
    ModelAudit,
)
from bginv.auditing.scoring import Scored, score, strongest_pulls
from bginv.auditing.shared_network import SharedNetwork
from bginv.auditing.trap import probe
from bginv.auditing.variants import (
    CLEAN,
    MEANINGS,
    ONLY_FG_BLURRED,
    ONLY_FG_GREY,
    OWN,
    CutPictures,
)
from bginv.auditing.verdict import doubts_of_data, verdict_of
from bginv.data.variations import draw_donors
from bginv.errors import UserError
from bginv.evaluation.groups import GroupAccuracies, count_groups, group_names, group_numbers
from bginv.masks.store import Found
from bginv.masks.trust import measure_source, verdict

DRAWS, QUICK_DRAWS, QUICK_LIMIT = 3, 1, 100
QUICK_TESTS = tuple(name for name in MEANINGS if name not in (ONLY_FG_GREY, ONLY_FG_BLURRED))
MOST_PULLS = 5


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much an audit does.

    Attributes:
        draws: backgrounds that each picture gets, of each kind.
        tests: names.
        seed: of the choice of donors.
        with_trap: whether backgrounds alone are looked at.
        with_gradients: whether gradients are.
    """

    draws: int = DRAWS
    tests: Sequence[str] = tuple(MEANINGS)
    seed: int = 0
    with_trap: bool = True
    with_gradients: bool = True

    def images(self, pictures: int) -> int:
        """Images that a model is asked about."""
        return pictures * sum(1 if name in OWN else self.draws for name in self.tests)


def check_pictures(labels: np.ndarray) -> None:
    """Raise unless backgrounds can be exchanged between classes.

    Raises:
        UserError: fewer than two classes have a picture.
    """
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError("an audit is of pictures with one class each; these have other labels")
    if len(np.unique(labels)) < 2:
        raise UserError(
            "an audit needs pictures of two classes or more, to exchange their backgrounds; all "
            f"{len(labels)} are of one"
        )


def mask_report(found: Found, reason: str) -> MaskReport:
    """What is known of masks."""
    trust = measure_source(found.source, found.confidence == 0, found.confidence)
    usable, sentences = verdict(trust)
    return MaskReport(reason, trust, usable, sentences, found.failures)


class Diagnosis:
    """An audit of models, one after the other, on the same pictures.

    Args:
        pictures: at the size of the first model.
        class_names: of the pictures.
        masks: what is known of them.
        data: what it is called.
        plan: how much is done.
        training: pictures that models may have learned a trap from; by default, those of the audit.
        place_names: of the pictures' places, where they have some.

    Attributes:
        donors: by test: int [M, D], whose backgrounds the pictures with an object get.

    Raises:
        UserError: too few classes, of pictures or of those with an object.
    """

    def __init__(
        self,
        pictures: CutPictures,
        class_names: Sequence[str],
        masks: MaskReport,
        data: str,
        plan: Plan = Plan(),
        training: CutPictures | None = None,
        place_names: Sequence[str] = (),
    ):
        self._began = time.monotonic()
        check_pictures(pictures.labels)
        self.pictures, self.plan = pictures, plan
        self._class_names, self._masks, self._data = tuple(class_names), masks, data
        self._place_names = tuple(place_names)
        self.donors = _donors(pictures, len(class_names), plan)
        self._trap, self._shared = None, SharedNetwork()
        self._found: list[ModelAudit] = []
        if plan.with_trap:
            trap = probe(training or pictures, len(class_names), plan.seed)
            where = "the training pictures" if training else "these pictures"
            self._trap = dataclasses.replace(trap, where=where)

    def ask(
        self,
        model: AuditedModel,
        pictures: CutPictures | None = None,
        advance: Callable[[int], object] = lambda count: None,
    ) -> ModelAudit:
        """Ask one more model about every test.

        Args:
            model: see there.
            pictures: the same at the size that it takes, where that is another.
            advance: told how many images were looked at.
        """
        own = pictures or self.pictures
        scored = score(model, own, self.donors, self.plan.tests, advance, self._shared)
        found = _audit(model, scored, own, self._class_names, self.plan)
        self._found.append(dataclasses.replace(found, groups=self._groups(scored, own)))
        return self._found[-1]

    def _groups(self, scored: Scored, pictures: CutPictures) -> GroupAccuracies | None:
        """Accuracy on the pictures as they are, by group; None where they have no places."""
        if pictures.places is None:
            return None
        numbers = group_numbers(pictures.labels, pictures.places, len(self._place_names))
        right = scored.classes[CLEAN][:, 0] == scored.labels
        return count_groups(right, numbers, group_names(self._class_names, self._place_names))

    def result(self) -> AuditResult:
        """What was found, in the order in which models were asked."""
        return AuditResult(
            models=self._found,
            verdicts=[
                verdict_of(own, self._masks, self._trap, self._class_names) for own in self._found
            ],
            data=self._data,
            class_names=self._class_names,
            labels=self.pictures.labels,
            donors=self.donors,
            masks=self._masks,
            trap=self._trap,
            pictures=self.pictures,
            seed=self.plan.seed,
            seconds=time.monotonic() - self._began,
        )


def agree_on_objects(pictures: Sequence[CutPictures]) -> None:
    """Leave a picture out at all sizes whose object is lost at one of them."""
    shown = np.all([own.has_object for own in pictures], 0)
    for own in pictures:
        own.has_object = shown


def _donors(pictures: CutPictures, num_classes: int, plan: Plan) -> Mapping[str, np.ndarray]:
    """Numbers of pictures whose backgrounds those with an object get."""
    rows = np.flatnonzero(pictures.has_object)
    labels = pictures.labels[rows]
    if len(np.unique(labels)) < 2:
        raise UserError(
            f"only {len(rows)} of {len(pictures)} pictures have a mask that shows an object, and "
            "not of two classes: see `bginv masks`, or take other --masks"
        )
    drawn = draw_donors(labels, num_classes, plan.draws, plan.seed)
    return {name: rows[own] for name, own in drawn.items() if name in plan.tests}


def _audit(
    model: AuditedModel,
    scored: Scored,
    pictures: CutPictures,
    class_names: Sequence[str],
    plan: Plan,
) -> ModelAudit:
    doubts = [
        *_unsteady(model, pictures),
        *_shuffled(scored, class_names),
        *doubts_of_data(pictures.labels, class_names),
    ]
    return ModelAudit(
        name=model.name,
        tests={test: scored.share(test) for test in plan.tests},
        gap=scored.gap(),
        changed=scored.changed(),
        classes=_by_class(scored, class_names),
        pulls=strongest_pulls(scored, len(class_names), MOST_PULLS),
        gradient=gradient_share(model, pictures) if plan.with_gradients else None,
        pixels=str(model.pixels),
        matching=model.matching.how,
        doubts=doubts,
        scored=scored,
    )


def _by_class(scored: Scored, class_names: Sequence[str]) -> list[ClassFigures]:
    found = []
    for number, name in enumerate(class_names):
        only = scored.labels == number
        if not only.any():
            continue
        tests = [test for test in OF_CLASSES if test in scored.classes]
        figures = {test: scored.share(test, only) for test in tests}
        found.append(ClassFigures(name, int(only.sum()), {**figures, GAP: scored.gap(only)}))
    return sorted(found, key=lambda own: -np.nan_to_num(own.figures[GAP].value, nan=-1.0))


def _unsteady(model: AuditedModel, pictures: CutPictures) -> list[str]:
    """A doubt, where a model answers differently the second time."""
    images = pictures.images[:BATCH]
    once, again = (model.ask(images).classes for _ in range(2))
    share = float((once != again).mean())
    same = np.allclose(model.scores(images), model.scores(images), atol=1e-4)
    if share == 0 and same:
        return []
    return [
        f"The same pictures get other answers the second time ({100 * share:.0f} % of the classes "
        "differ): is it in training mode? Its intervals do not know of that."
    ]


def _shuffled(scored: Scored, class_names: Sequence[str]) -> list[str]:
    """A doubt, where the answers would be right in another order of the classes."""
    found = other_order(scored.labels, scored.classes[CLEAN][:, 0], len(class_names))
    if found is None:
        return []
    gained, label, answer = found
    return [
        f"Its classes seem to be in another order, with which {100 * gained:.0f} % more would be "
        f"right: {class_names[label]} is answered as {class_names[answer]}. Give labels or a class "
        "map."
    ]
