"""What a run on photographs found, in words and numbers."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bginv.engine.results import Results
from bginv.methods.photographs.judging import Decision, Judged
from bginv.methods.photographs.masking import Trusted
from bginv.report.tables import background_gap

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
