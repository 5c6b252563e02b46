"""What runs on photographs share: validation images, masks, the audit of the test, the table."""

import dataclasses
from collections.abc import Collection

import keras
import tensorflow as tf
from absl import logging

from bginv.data.catalog import check_name, full_name, takes_any_size
from bginv.data.composites import WithEmptied, emptied
from bginv.data.sources import Dataset, Source, spread_rows
from bginv.data.wrapped import hold_out
from bginv.engine.experiment import (
    Experiment,
    inputs,
    load,
    make_classifier,
    of_worker,
)
from bginv.engine.results import Results
from bginv.engine.run_folder import RunFolder, default_run_dir
from bginv.errors import UserError
from bginv.evaluation.last_layers import LastLayers
from bginv.host import part_of_run
from bginv.interop.model_files import save_model
from bginv.masks.choice import GIVEN, Choice, choose
from bginv.masks.store import Found
from bginv.methods.background_invariance.settings import PHOTOGRAPHS
from bginv.methods.photographs.auditing import RunAudit
from bginv.methods.photographs.masking import Masking
from bginv.methods.photographs.settings import DEVICES, IMAGE_SIZE, PretrainedSettings
from bginv.nn.backbones import AUTO, LITE0

VALIDATION, TRAIN = "validation", "train"
TRAINED_ON = "images trained on"
"""Among tests, one of which may be called train."""
LOOKED_AT = 256
"""Training images whose accuracy is told."""


class MeasuredRun(Experiment):
    """A pretrained classifier that is trained on photographs and measured; see `Experiment`.

    Args:
        dataset: photographs; a test named "validation" is what choices are made on.
        classifier: images to logits, trained in place.
        choice: of the masks.
        settings: see there.
        folder: of the run, which has a path.
        strategy: the devices.
        save: whether models are saved.

    Attributes:
        audit: of the first test; None where it has no masks.
        model_name: what the report calls the classifier.
    """

    in_one_folder = True
    stages = ()
    audit: RunAudit | None = None

    def __init__(
        self,
        dataset: Dataset,
        classifier: keras.Model,
        choice: Choice,
        settings: PretrainedSettings,
        folder: RunFolder,
        strategy: tf.distribute.Strategy,
        save: bool = True,
    ):
        super().__init__(settings, strategy, folder)
        self.models = {}
        tests, self._own_validation = dict(dataset.tests), None
        if len(tests) > 1 and VALIDATION in tests and self._judges_by(tests[VALIDATION], choice):
            self._own_validation = tests.pop(VALIDATION)
        self.dataset = dataclasses.replace(dataset, tests=tests)
        self.classifier, self.model_name = classifier, classifier.name
        self._choice, self._save = choice, save
        share = 0.0 if self._own_validation else settings.validation
        self._rows, self._held = hold_out(dataset.train, share)

    def _judges_by(self, validation: Source, choice: Choice) -> bool:
        """Whether choices are made on a split called validation; else it is one more test."""
        del validation, choice
        return True

    def _masking(self, is_trained: bool = True) -> Masking:
        """Masks from what was chosen, measured with the classifier where that is trained."""
        own = dataclasses.replace(self.dataset, train=self.dataset.train.take(self._rows))
        classifier = self.classifier if is_trained else None
        return Masking(self._choice, classifier, own, self.settings.seed)

    @part_of_run
    def _whole(self, found: Found, split: str) -> WithEmptied:
        """A split with masks, and with its images without their objects."""
        self.folder.check_found(f"masks of {split} images", found.source.masks_digest())
        behind = emptied(found.source, self.folder.emptied(split))
        return WithEmptied(found.source, behind, found.confidence > 0)

    @part_of_run
    def _run_audit(self, masking: Masking) -> tuple[RunAudit | None, dict[str, str]]:
        """The audit of the first test, and which of its images have no mask, and why.

        There is none where fewer than two classes show an object.
        """
        found = masking.of(next(iter(self.dataset.tests.values())), is_test=True)
        if found is None:
            logging.warning(
                "no audit of the test, and no background gap: its images have no masks, and those "
                "of the training images are given; put them into masks/CLASS of the test, or take "
                "another source by --masks"
            )
            return None, {}
        try:
            audit = RunAudit(self.dataset, found, self._choice.reason, self.settings.seed)
        except UserError as error:
            logging.warning("no audit of the test: %s", error)
            return None, found.failures
        return audit, found.failures

    def _looked_at(self) -> Dataset:
        """The data set of the table, with a part of the training images."""
        train = self.dataset.train.without_masks()
        some = train.take(spread_rows(train, LOOKED_AT))
        return dataclasses.replace(self.dataset, train=some)

    def _splits(self, looked_at: Dataset) -> LastLayers:
        """What is left to be answered, as the audit asks for the first test."""
        others = dict(list(looked_at.tests.items())[1 if self.audit else 0 :])
        return LastLayers({TRAINED_ON: looked_at.train, **others})

    @part_of_run
    def _add_row(self, results: Results, name: str, splits: LastLayers) -> None:
        results.model = self.model_name
        model, own = splits.of(self.classifier)
        train = own.pop(TRAINED_ON)
        taken = dataclasses.replace(
            results.dataset, train=train, tests=own, image_shape=train.image_shape
        )
        answers = self.audit.ask(name, self.classifier) if self.audit else {}
        results.add_row(name, model, taken, answers)

    def _write_results(self, results: Results) -> None:
        """Write the table, and the audit's page where there is one."""
        if self.audit:
            found = self.audit.result()
            results.headline += found.comparisons()
            results.more["audit"] = found.as_json()
            self.audit.write_page(self.folder.path)
        results.write()

    @part_of_run
    def _save_model(self, name: str) -> None:
        if self._save:
            save_model(self.classifier, self.folder.path / f"{name}.keras")


def begin(
    settings: PretrainedSettings, name: str, strategy: tf.distribute.Strategy
) -> tuple[Dataset, keras.Model, Choice, PretrainedSettings, RunFolder, tf.distribute.Strategy]:
    """What a `MeasuredRun` of a command is made of, in the order of its arguments.

    Args:
        settings: of the command.
        name: of the settings in the run's folder.
        strategy: the devices.

    Raises:
        UserError: settings that do not go together, or with the data.
        FileNotFoundError: data or weights that are not there.
    """
    _refuse(settings, DEVICES if name == PHOTOGRAPHS else DEVICES[:1])
    own = dataclasses.replace(
        settings,
        run_dir=settings.run_dir or default_run_dir(settings.dataset),
        image_size=settings.image_size or IMAGE_SIZE,
        architecture=LITE0 if settings.architecture == AUTO else settings.architecture,
    )
    own = of_worker(own, strategy)
    folder = RunFolder(own.run_dir, None, own.overwrite, {name: settings})
    dataset = load(own)
    choice = choose(own.masks, dataset)
    folder.check_inputs(inputs(dataset, masks=choice.name == GIVEN))
    with strategy.scope():
        classifier = make_classifier(own, dataset)
    return dataset, classifier, choice, own, folder, strategy


def _refuse(settings: PretrainedSettings, devices: Collection[str]) -> None:
    """Raise where settings ask for what these runs cannot do.

    Args:
        settings: of the command.
        devices: what they take for `--distribute`.

    Raises:
        UserError: it names the option, or the data.
    """
    if settings.distribute not in devices:
        raise UserError(
            f"--distribute {settings.distribute} is not for this run of a pretrained network: "
            f"{' or '.join(devices)} is"
        )
    check_name(full_name(settings.dataset))
    if not takes_any_size(settings.dataset):
        raise UserError(
            f"{settings.dataset} has images of a size of its own, and a pretrained network takes "
            "photographs: folder:PATH, waterbirds:PATH or tfds:NAME"
        )
