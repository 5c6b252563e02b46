"""Speed of each phase with a checkpoint every minute beside that without any, as JSON.

Runs with and without take turns in one process, so that a noisy machine disturbs both alike. The
share of time that the saves themselves took is given too: it is what remains beyond the noise.
"""

import argparse
import json
import pathlib
import statistics
import tempfile

from measuring import paired_ratio, summary, timed
from work import method_of

from bginv.data.catalog import load_data
from bginv.engine.checkpoints import Checkpoints
from bginv.engine.loop import train
from bginv.engine.settings import resolve
from bginv.methods.background_invariance.mask_training import with_generated_masks
from bginv.methods.background_invariance.settings import PHASES
from bginv.nn.paper_networks import build_classifier


class TimedCheckpoints(Checkpoints):
    """Counts the seconds of its saves."""

    seconds: list[float] = []

    def save(self, step: int, again: bool = False) -> None:
        """See `Checkpoints.save`."""
        taken, _ = timed(super().save, step, again)
        if self.folder:
            self.seconds.append(taken)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="between two checkpoints")
    parser.add_argument("--length", type=float, default=1.3, help="minutes of each run, about")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=list(PHASES))
    arguments = parser.parse_args()
    import bginv.engine.loop

    bginv.engine.loop.Checkpoints = TimedCheckpoints
    report = {phase: measure(phase, arguments) for phase in arguments.phases}
    print(json.dumps(report, indent=2))


def measure(phase: str, arguments: argparse.Namespace) -> dict:
    """Images per second with and without, their ratio, and the share of the saves."""
    a_step = (run(phase, 120, 0.0) - run(phase, 20, 0.0)) / 100  # without tracing
    steps = max(20, round(arguments.length * 60 / a_step))
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    TimedCheckpoints.seconds.clear()
    for _ in range(arguments.repeats):
        seconds["without"].append(run(phase, steps, 0.0))
        with tempfile.TemporaryDirectory() as folder:
            seconds["with"].append(run(phase, steps, arguments.minutes, pathlib.Path(folder)))
    speeds = {name: [steps / taken for taken in own] for name, own in seconds.items()}
    return {
        "steps_per_second": {name: summary(own) for name, own in speeds.items()},
        "ratio": round(paired_ratio(speeds["with"], speeds["without"]), 4),
        "saves": len(TimedCheckpoints.seconds),
        "seconds_a_save": round(statistics.fmean(TimedCheckpoints.seconds), 4),
        "share_of_saves": round(sum(TimedCheckpoints.seconds) / sum(seconds["with"]), 5),
    }


def run(phase: str, steps: int, minutes: float, folder: pathlib.Path | None = None) -> float:
    """Seconds of a training."""
    given = {"dataset": "digits", "model": "", "unet_model": "", "steps": steps}
    settings = resolve(PHASES[phase], {**given, "checkpoint_minutes": minutes}, "tuned")
    dataset = load_data("digits")
    source = dataset.train
    if phase == "adversarial":
        source = with_generated_masks(source, None, "otsu", 0.2)
    classifier = build_classifier(dataset.image_shape, dataset.num_classes, 0)
    method = method_of(phase, classifier, settings, steps)
    seconds, _ = timed(train, method, source, settings, checkpoints=folder)
    return seconds


if __name__ == "__main__":
    main()
