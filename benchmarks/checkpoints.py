"""Speed of each phase with a checkpoint every minute beside that without any, as JSON.

    python benchmarks/checkpoints.py

Runs with and without take turns in one process, so that a noisy machine disturbs both alike. The
share of time that the saves themselves took is given too: it is what remains beyond the noise.
"""

import argparse
import json
import pathlib
import statistics
import tempfile
import time

from bginv.config import resolve
from bginv.data.catalog import load_data
from bginv.models.classifier import build_classifier
from bginv.models.mask_unet import build_mask_unet
from bginv.recipes import PHASES
from bginv.training.adversarial import AdversarialTraining
from bginv.training.checkpoints import Checkpoints
from bginv.training.classifier import ClassifierTraining
from bginv.training.loop import train
from bginv.training.masks import MaskTraining, with_generated_masks


class TimedCheckpoints(Checkpoints):
    """Counts the seconds of its saves."""

    seconds: list[float] = []

    def save(self, step: int, again: bool = False) -> None:
        """See `Checkpoints.save`."""
        began = time.monotonic()
        super().save(step, again)
        if self.folder:
            self.seconds.append(time.monotonic() - began)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="between two checkpoints")
    parser.add_argument("--length", type=float, default=1.3, help="minutes of each run, about")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=list(PHASES))
    arguments = parser.parse_args()
    import bginv.training.loop

    bginv.training.loop.Checkpoints = TimedCheckpoints
    report = {phase: measure(phase, arguments) for phase in arguments.phases}
    print(json.dumps(report, indent=2))


def measure(phase: str, arguments: argparse.Namespace) -> dict:
    """Images per second with and without, their ratio, and the share of the saves."""
    a_step = (run(phase, 120, 0.0) - run(phase, 20, 0.0)) / 100  # without tracing
    steps = max(20, round(arguments.length * 60 / a_step))
    speeds: dict[str, list[float]] = {"without": [], "with": []}
    TimedCheckpoints.seconds.clear()
    total = 0.0
    for _ in range(arguments.repeats):
        speeds["without"].append(steps / run(phase, steps, 0.0))
        with tempfile.TemporaryDirectory() as folder:
            taken = run(phase, steps, arguments.minutes, pathlib.Path(folder))
        speeds["with"].append(steps / taken)
        total += taken
    medians = {name: round(statistics.median(values), 3) for name, values in speeds.items()}
    return {
        "steps_per_second": medians,
        "ratio": round(medians["with"] / medians["without"], 4),
        "saves": len(TimedCheckpoints.seconds),
        "seconds_a_save": round(statistics.fmean(TimedCheckpoints.seconds), 4),
        "share_of_saves": round(sum(TimedCheckpoints.seconds) / total, 5),
    }


def run(phase: str, steps: int, minutes: float, folder: pathlib.Path | None = None) -> float:
    """Seconds of a training."""
    given = {"dataset": "digits", "model": "", "unet_model": "", "steps": steps}
    settings = resolve(PHASES[phase], {**given, "checkpoint_minutes": minutes}, "tuned")
    dataset = load_data("digits")
    source, shape = dataset.train, dataset.image_shape
    classifier = build_classifier(shape, dataset.num_classes, 0)
    if phase == "classifier":
        method = ClassifierTraining(classifier, settings)
    elif phase == "masks":
        method = MaskTraining(build_mask_unet(shape, 0), classifier, settings)
    else:
        source = with_generated_masks(source, None, "otsu", 0.2)
        method = AdversarialTraining(classifier, shape, settings, steps)
    began = time.monotonic()
    train(method, source, settings, checkpoints=folder)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
