"""How a classifier does on held-out training images, and whether a phase is kept."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from bginv.data.composites import WithEmptied, composite_tests
from bginv.data.sources import Source
from bginv.data.variations import MIXED
from bginv.engine.results import Results
from bginv.evaluation.calibration import collect_all_logits, negative_log_likelihood
from bginv.evaluation.last_layers import LastLayers
from bginv.host import part_of_run
from bginv.methods.photographs.masking import Trusted
from bginv.nn.features import weights_digest
from bginv.report.tables import background_gap

CLEAN = "clean"
TELLING = MIXED[0]
"""Backgrounds that tell the class, and nothing of what is to be learned."""
DRAWS = 2
LOSS_SHARE = 0.01
"""Of the cross-entropy in a score: it decides between weights of equal accuracy."""
TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Judged:
    """Accuracies in [0, 1] on validation images.

    Attributes:
        tests: by name, "clean" among them.
        loss: cross-entropy on backgrounds, mean in nats.
        images: how many there are.
    """

    tests: Mapping[str, float]
    loss: float
    images: int

    @property
    def clean(self) -> float:
        """Accuracy on the images as they are."""
        return self.tests[CLEAN]

    @property
    def backgrounds(self) -> float:
        """Mean accuracy on backgrounds that do not tell the class; on the images without those."""
        others = [value for name, value in self.tests.items() if name != CLEAN]
        return float(np.mean(others)) if others else self.clean

    @property
    def score(self) -> float:
        """What decides between weights."""
        return self.backgrounds - LOSS_SHARE * min(self.loss, 1 / LOSS_SHARE)

    @property
    def standard_error(self) -> float:
        """Of the accuracy on backgrounds, as of so many images drawn at random."""
        return float(np.sqrt(self.backgrounds * (1 - self.backgrounds) / self.images))

    def figures(self) -> dict[str, float]:
        """By the names that Keras gives those of validation images."""
        told = {f"val_{name}": value for name, value in self.tests.items() if name != CLEAN}
        return {"val_loss": self.loss, "val_accuracy": self.clean, **told, "val_score": self.score}

    def lowest_clean(self, max_clean_loss: float) -> float:
        """What clean accuracy may fall to: by so many points, or by one image if that is more.

        Of 200 images, one is half a point; it says nothing. 0 allows none.
        """
        allowed = max(max_clean_loss / 100, 1 / self.images) if max_clean_loss else 0.0
        return self.clean - allowed - TOLERANCE

    def __str__(self) -> str:
        return ", ".join(f"{name} {100 * value:.1f}" for name, value in self.tests.items())


class Judge:
    """Judges classifiers on validation images, always the same composites.

    Args:
        validation: images; with masks and backgrounds, on other backgrounds too.
        num_classes: K.
        seed: of the choice of partners.
    """

    def __init__(self, validation: Source, num_classes: int, seed: int):
        sources = {CLEAN: validation.without_masks()}
        if isinstance(validation, WithEmptied):
            mixed = composite_tests(validation, num_classes, DRAWS, seed)
            sources |= {name: own for name, own in mixed.items() if name != TELLING}
        self._splits = LastLayers(sources)
        self._known: dict[str, Judged] = {}

    def judge(self, classifier: keras.Model) -> Judged:
        """Accuracies of a classifier, from memory where its weights were judged before."""
        digest = weights_digest(classifier)
        if digest not in self._known:
            self._known[digest] = self._judge(classifier)
        return self._known[digest]

    @part_of_run
    def _judge(self, classifier: keras.Model) -> Judged:
        accuracies, losses = {}, {}
        model, splits = self._splits.of(classifier)
        logits = collect_all_logits(model, splits.values())
        for name, (own, labels) in zip(splits, logits, strict=True):
            accuracies[name] = float((own.argmax(-1) == labels).mean())
            losses[name] = negative_log_likelihood(own, labels)
        others = [value for name, value in losses.items() if name != CLEAN] or [losses[CLEAN]]
        return Judged(accuracies, float(np.mean(others)), len(splits[CLEAN]))


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether phase 3 is kept.

    Attributes:
        kept: whether.
        reason: in one sentence.
    """

    kept: bool
    reason: str


def decide(before: Judged | None, after: Judged | None, max_clean_loss: float) -> Decision:
    """Keep phase 3 where it betters backgrounds and costs next to nothing on clean images.

    Args:
        before: after phase 1; None where there are no validation images.
        after: after phase 3, likewise.
        max_clean_loss: in points of accuracy.
    """
    if before is None or after is None:
        return Decision(True, "nothing was held out to judge it by (--validation 0)")
    change = 100 * (after.clean - before.clean)
    gained = 100 * (after.backgrounds - before.backgrounds)
    if after.clean < before.lowest_clean(max_clean_loss):
        return Decision(
            False,
            f"clean accuracy fell by {-change:.1f} points; {max_clean_loss:g} are allowed",
        )
    if after == before:
        return Decision(
            False,
            "nothing that was tried does better on other backgrounds without costing more clean "
            f"accuracy than {max_clean_loss:g} points or one image",
        )
    if after.score <= before.score:
        return Decision(False, f"accuracy on other backgrounds changed by {gained:+.1f} points")
    tie = "" if after.backgrounds > before.backgrounds else " and a lower cross-entropy"
    return Decision(
        True,
        f"other backgrounds {gained:+.1f} points{tie}, clean {change:+.1f}, on validation images",
    )


BEFORE, AFTER = "phase 1", "phase 3"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run on photographs found and decided.

    Attributes:
        results: rows of accuracies, and the data set with composites among its tests.
        masks: where masks are from, and why.
        trusted: what is known of them.
        decision: whether phase 3 was kept.
        before: accuracies on validation images after phase 1; None without such images.
        after: and those after phase 3, kept or not; None where there was no phase 3.
        unmasked: test images without a mask, by name, and why.
    """

    results: Results
    masks: str
    trusted: Trusted
    decision: Decision
    before: Judged | None
    after: Judged | None
    unmasked: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def headline(self) -> list[str]:
        """What a reader must know, the decision first."""
        first = self._gains() if self.decision.kept else self._refusal()
        return [first, f"{self.masks[0].upper()}{self.masks[1:]}.", *self._of_masks()]

    def as_json(self) -> dict[str, Any]:
        """The same in numbers."""
        judged = {BEFORE: self.before, AFTER: self.after}
        return {
            "decision": dataclasses.asdict(self.decision),
            "validation": {name: dict(own.tests) for name, own in judged.items() if own},
            "masks": {
                "reason": self.masks,
                "usable": self.trusted.usable,
                "sentences": self.trusted.sentences,
                "failures": self.trusted.failures,
                "test_failures": dict(self.unmasked),
                "trust": _without_nan(dataclasses.asdict(self.trusted.trust)),
            },
        }

    def _gains(self) -> str:
        before, after = (self.results.rows[name] for name in (BEFORE, AFTER))
        first = next(iter(after.tests))
        told = f"{first} {_change([before.tests[first], after.tests[first]])} %"
        gaps = [background_gap(before), background_gap(after)]
        if None not in gaps:
            told = f"Background gap {_change(gaps)} points, {told}"
        groups = [own.groups[first].worst for own in (before, after) if first in own.groups]
        if groups:
            told = f"Worst group {_change(groups)} %. {told}"
        return f"{told}. Phase 3 is kept: {self.decision.reason}."

    def _refusal(self) -> str:
        reason = self.decision.reason
        return (
            f"Phase 3 is not kept, and the classifier is that of phase 1: {reason}. "
            f"The likely reason: {self._likely_reason()}."
        )

    def _likely_reason(self) -> str:
        if not self.trusted.usable:
            return "masks that do not show the objects (--masks names other sources)"
        if self.before and self.before.backgrounds > self.before.clean - 0.005:
            return "a classifier that does as well on other backgrounds already"
        if self.after and self.before and self.after.clean < self.before.clean:
            return "too large a rate (--learning-rate), or masks that are wrong in part"
        return "too few images, or masks that are wrong in part (report.html shows some)"

    def _of_masks(self) -> list[str]:
        told = [
            f"{len(failures)} {images} have no mask and {fate}, such as {next(iter(failures))}."
            for failures, images, fate in (
                (self.trusted.failures, "images", "keep their background"),
                (self.unmasked, "test images", "are left out of tests on other backgrounds"),
            )
            if failures
        ]
        return [*self.trusted.sentences, *told]


def _change(shares: Sequence[float]) -> str:
    return " -> ".join(f"{100 * share:.1f}" for share in shares)


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    """Measures with None for what was not measured, as JSON has no NaN."""
    return {
        name: _without_nan(own) if isinstance(own, dict) else None if own != own else own
        for name, own in values.items()
    }
