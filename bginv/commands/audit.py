"""The command that finds out whether models look at the background."""

import pathlib
import textwrap
from collections.abc import Callable

import tensorflow as tf
from absl import logging

from bginv.auditing.conditions import read_conditions
from bginv.auditing.result import FIGURES, AuditResult
from bginv.commands.settings import AuditSettings
from bginv.data.catalog import load_data, takes_any_size
from bginv.errors import UserError
from bginv.library.audit import audit
from bginv.output_files import check_writable, refuse_existing

WIDTH = 80
VIOLATED, UNTOLD = 3, 4
"""Exit codes where a condition holds, and where none can be told."""


def prepare_audit(settings: AuditSettings, strategy: tf.distribute.Strategy) -> Callable[[], int]:
    """Verdict and table; a page and figures in files; an exit code for checks."""
    del strategy
    conditions = read_conditions(settings.fail_if, FIGURES) if settings.fail_if else []
    written = [pathlib.Path(own) for own in (settings.output, settings.json) if own]
    for path, ending in ((settings.output, ".html"), (settings.json, ".json")):
        if path and pathlib.Path(path).suffix != ending:
            raise UserError(f"name a file that ends in {ending}; received {path}")
    refuse_existing(written, settings.overwrite)
    for path in written:
        check_writable(path)
    if settings.pixels and len(settings.pixels) != 2:
        raise UserError(f"--pixels is LOW,HIGH; received {len(settings.pixels)} numbers")
    for path in settings.models:
        if not pathlib.Path(path).expanduser().exists():
            raise FileNotFoundError(f"there is no model {path}")

    def job() -> int:
        result = audit(
            list(settings.models),
            _data(settings),
            settings.masks,
            split=settings.split,
            pixels=settings.pixels or None,
            labels=settings.labels,
            class_map=settings.class_map,
            draws=settings.draws,
            limit=settings.limit,
            quick=settings.quick,
            seed=settings.seed,
            groups=settings.groups,
        )
        _print(result)
        if settings.output:
            result.write_page(settings.output)
            logging.info("wrote %s", settings.output)
        if settings.json:
            result.write_json(settings.json)
            logging.info("wrote %s", settings.json)
        violations, untold = result.violations(conditions), result.untold(conditions)
        for line in [*violations, *untold]:
            print(line)
        return VIOLATED if violations else UNTOLD if untold else 0

    return job


def _data(settings: AuditSettings):
    """The data set, where its files are in a folder of their own; else its name."""
    if settings.data_dir and not takes_any_size(settings.dataset):
        return load_data(settings.dataset, settings.data_dir)
    return settings.dataset


def _print(result: AuditResult) -> None:
    for sentences in result.verdicts:
        print(textwrap.fill(" ".join(sentences), WIDTH), end="\n\n")
    print(result.table(), end="")
    for table in result.group_tables():
        print(f"\n{table}", end="")
    for line in result.comparisons():
        print(textwrap.fill(line, WIDTH))
