"""The command that exports a model."""

import pathlib
from collections.abc import Callable

import tensorflow as tf

from bginv.artefacts import check_writable_folder, refuse_existing
from bginv.engine.experiment import load
from bginv.interop.export import (
    available_formats,
    comparison_images,
    export_files,
    export_model,
)
from bginv.interop.model_files import check_input, load_any
from bginv.recipes import ExportSettings
from bginv.report.tables import exports_table


def prepare_export(
    settings: ExportSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """A model in other formats, each run by its own runtime and compared with the model."""
    del strategy
    folder = pathlib.Path(settings.output)
    check_writable_folder(folder)
    files = export_files(
        folder, pathlib.Path(settings.model).stem, settings.formats or available_formats()
    )
    refuse_existing(files.values(), settings.overwrite)
    model = load_any(settings.model)
    dataset = load(settings, several_labels=True) if settings.dataset else None
    if dataset:
        check_input(model, settings.model, dataset)

    def job() -> None:
        compared = comparison_images(model, dataset, settings.images)
        found = export_model(model, files, *compared, settings.overwrite)
        print(exports_table(found), end="")
        if any(own.problem for own in found.values()):
            failed = ", ".join(name for name, own in found.items() if own.problem)
            raise ValueError(f"not written: {failed}; the table says why")

    return job
