"""What `robustify` gives back."""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Mapping

import keras
import tensorflow as tf

from bginv.artefacts import refuse_existing
from bginv.evaluation.accuracy import Accuracies
from bginv.methods.background_invariance.stages import GIVEN
from bginv.methods.photographs.settings import PhotographSettings
from bginv.recipes import AdversarialSettings
from bginv.report.run_page import REPORT, notebook_page, read_run
from bginv.report.table import Table
from bginv.report.tables import accuracy_table
from bginv.training.masks import soft_and_binary_masks
from bginv.training.progress import read_metrics


@dataclasses.dataclass(frozen=True)
class Robustified:
    """A model that was trained against backgrounds, and what was learned beside it.

    Attributes:
        model: the user's model, trained in place.
        classifier: the same weights, from images in [0, 1] to logits, or to the model's own
            outputs, where it tells numbers.
        mask_generator: images in [0, 1] to soft masks [B, H, W, 1]; None where masks were given or
            are the heuristic.
        background_generators: by name; empty where backgrounds were not generated.
        accuracies: "before" and "after", on every test.
        folder: pictures, metrics, models and the report; a temporary one unless `run_dir` was
            given.
        mask_kind: "learned", "heuristic" or "given"; of photographs, the name of the source.
        settings: of phase 3, or of the run on photographs.
        headline: what a run on photographs found, in sentences.
    """

    model: keras.Model
    classifier: keras.Model
    mask_generator: keras.Model | None
    background_generators: Mapping[str, keras.Model]
    accuracies: Mapping[str, Accuracies]
    folder: pathlib.Path
    mask_kind: str
    settings: AdversarialSettings | PhotographSettings
    headline: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        """Accuracies before and after."""
        return accuracy_table(self.accuracies)

    @property
    def report(self) -> pathlib.Path:
        """The page of the run."""
        return self.folder / REPORT

    @property
    def history(self) -> list[dict]:
        """Every record of the trainings: losses by step, and evaluations."""
        return read_metrics(self.folder / "metrics.jsonl")

    def masks(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Soft and binary masks of images, as phase 3 made them.

        Args:
            images: float32 [B, H, W, C] in [0, 1].

        Returns:
            float32 [B, H, W, 1] in [0, 1] each.

        Raises:
            ValueError: masks were given, so there is nothing that makes them.
        """
        own = self.settings
        if self.mask_kind == GIVEN:
            raise ValueError("masks were given, so there is nothing that makes others")
        if isinstance(own, PhotographSettings):
            raise ValueError(
                f"masks of photographs come from {self.mask_kind!r}: bginv masks makes others"
            )
        return soft_and_binary_masks(images, self.mask_generator, own.binarize, own.area)

    def save(self, folder: str | os.PathLike, overwrite: bool = False) -> pathlib.Path:
        """Copy everything of the run, models, pictures and report, to a folder.

        Raises:
            ValueError: something is there, and `overwrite` is not set.
        """
        target = pathlib.Path(folder)
        refuse_existing([target], overwrite)
        shutil.copytree(self.folder, target, dirs_exist_ok=True)
        return target

    def to_pandas(self):
        """See `Table.to_pandas`."""
        return self.table.to_pandas()

    def __str__(self) -> str:
        return "\n".join([*self.headline, *([""] if self.headline else []), str(self.table)])

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {self.model.name!r}\n{self}"

    def _repr_html_(self) -> str:
        """Table and pictures in a notebook."""
        return notebook_page(read_run(self.folder))
