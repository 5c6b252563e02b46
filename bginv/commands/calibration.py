"""The command that calibrates a classifier."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import logging

from bginv.artefacts import check_writable, refuse_existing
from bginv.data.sources import Dataset, Source
from bginv.engine.experiment import load
from bginv.evaluation.calibration import (
    collect_logits,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    with_temperature,
)
from bginv.interop.model_files import (
    check_ending_for,
    check_model_name,
    load_classifier,
    save_model,
)
from bginv.recipes import CalibrateSettings
from bginv.report.pictures import write_reliability
from bginv.report.tables import calibration_table


def prepare_calibrate(
    settings: CalibrateSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Temperature scaling on every second image of a test; figures of all others."""
    del strategy
    output = check_model_name(settings.output)
    picture = output.with_suffix(".png")
    refuse_existing([output, picture], settings.overwrite)
    check_writable(output)
    dataset = load(settings)
    classifier = load_classifier(settings.model, dataset, needs_logits=True)
    check_ending_for(with_temperature(classifier, 1.0), settings.output)
    fitted, tests = _split(dataset, settings.on)

    def job() -> None:
        temperature = fit_temperature(*collect_logits(classifier, fitted))
        rows, pictured = {}, {}
        for name, test in tests.items():
            logits, labels = collect_logits(classifier, test)
            before, after = (reliability(logits, labels, own) for own in (1.0, temperature))
            rows[name] = (
                before.error,
                after.error,
                negative_log_likelihood(logits, labels),
                negative_log_likelihood(logits, labels, temperature),
            )
            pictured.setdefault("before", before)
            pictured.setdefault("after", after)
        title = f"temperature {temperature:.3f}, of {len(fitted)} images"
        print(calibration_table(rows, title), end="")
        save_model(with_temperature(classifier, temperature), output)
        write_reliability(picture, pictured, next(iter(tests)))
        logging.info("wrote %s and %s", output, picture)

    return job


def _split(dataset: Dataset, name: str | None) -> tuple[Source, dict[str, Source]]:
    """Every second image of a test to fit with; its others, first, and the other tests.

    Raises:
        ValueError: no such test.
    """
    name = next(iter(dataset.tests)) if name is None else name
    if name not in dataset.tests:
        raise ValueError(
            f"--on must be one of {', '.join(dataset.tests)} for {dataset.name}; received {name!r}"
        )
    chosen = dataset.tests[name].without_masks()
    rows = np.arange(len(chosen))
    others = {key: test.without_masks() for key, test in dataset.tests.items() if key != name}
    return chosen.take(rows[::2]), {name: chosen.take(rows[1::2]), **others}
