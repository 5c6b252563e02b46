"""The command that puts runs side by side."""

import pathlib
from collections.abc import Callable

import tensorflow as tf
from absl import logging

from bginv.artefacts import check_writable, refuse_existing
from bginv.recipes import CompareSettings
from bginv.report.comparison import write_comparison
from bginv.report.run_page import read_run


def prepare_compare(
    settings: CompareSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """Runs side by side, as one page."""
    del strategy
    output = pathlib.Path(settings.output)
    if output.suffix != ".html":
        raise ValueError(f"--output must end in .html; received {settings.output}")
    refuse_existing([output], settings.overwrite)
    check_writable(output)
    runs = [read_run(pathlib.Path(run)) for run in settings.runs]

    def job() -> None:
        write_comparison(output, runs)
        logging.info("wrote %s", output)

    return job
