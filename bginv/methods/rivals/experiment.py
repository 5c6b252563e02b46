"""A run of a rival: train it as its paper says, and measure it as every run is."""

import dataclasses
import pkgutil
import time

import tensorflow as tf
from absl import logging

from bginv.data.composites import WithEmptied
from bginv.engine.experiment import print_table
from bginv.engine.results import Results
from bginv.errors import UserError
from bginv.masks.choice import OF_CLASSIFIER
from bginv.methods.photographs.measured import TRAIN, MeasuredRun, begin
from bginv.methods.rivals.settings import (
    GROUPS,
    MASKS,
    RIVAL,
    WITH_PLACES,
    RivalSettings,
    check_rival,
    rival_of,
)
from bginv.methods.rivals.trainer import Trainer


class RivalRun(MeasuredRun):
    """What `bginv run --method NAME` does; see `MeasuredRun`.

    Args:
        settings: of the rival.
        strategy: the devices.

    Raises:
        UserError: no such rival, settings that do not go together, or what it needs is not known
            of the images.
    """

    name = RIVAL

    def __init__(self, settings: RivalSettings, strategy: tf.distribute.Strategy):
        self._rival = rival_of(settings.method)
        check_rival(settings)
        super().__init__(*begin(settings, self.name, strategy))
        if self._rival.needs == GROUPS and not self.dataset.place_names:
            raise UserError(
                f"--method {settings.method} needs the place of each picture, and "
                f"{self.dataset.name} has none: {WITH_PLACES}"
            )
        if self._rival.needs == MASKS and self._choice.name in OF_CLASSIFIER:
            raise UserError(
                f"--method {settings.method} needs masks before it trains, and {self._choice.name} "
                "reads them off a trained classifier: give the data masks, or --masks saliency "
                "(pip install 'bginv[photos]')"
            )

    def train(self) -> None:
        """Train the rival, save it, and measure it on the tests.

        Masks of the test are found when it is trained, as some sources read the classifier.
        """
        train = self.dataset.train
        own = dataclasses.replace(self.dataset, train=train.take(self._rows))
        held = self._own_validation or (train.take(self._held) if len(self._held) else None)
        trainer = Trainer(
            self.classifier,
            own,
            held and held.without_masks(),
            self.settings,
            self.folder,
            self._with_backgrounds,
        )
        pkgutil.resolve_name(self._rival.train_path)(trainer)
        trainer.finish()
        self._chosen_by = trainer.chosen_by
        self._save_model("classifier")
        self.audit, self._unmasked = self._run_audit(self._masking())
        looked_at = self._looked_at()
        self._results = Results(looked_at, self.folder)
        self._add_row(self._results, self.settings.method, self._splits(looked_at))

    def report(self) -> None:
        """Write what the rival is, and the results."""
        rival, settings = self._rival, self.settings
        part = "its last layer, on a frozen network" if settings.freeze else "the whole network"
        self._results.headline = [
            f"{settings.method} ({rival.paper}), {part}; it needs {rival.needs} beside the classes."
        ]
        if self._chosen_by:
            self._results.headline[0] += (
                f" Of its epochs, that with the best {self._chosen_by} on held-out images is kept."
            )
        self._results.more = {
            "rival": {"method": settings.method, "paper": rival.paper, "needs": rival.needs},
            "masks": {"reason": self._choice.reason, "test_failures": self._unmasked},
        }
        self._write_results(self._results)

    def run(self) -> None:
        """See `Experiment.run`; then print the table."""
        began = time.monotonic()
        super().run()
        logging.info("all of it took %.0f s", time.monotonic() - began)
        print_table(self.folder, self.settings)

    def _with_backgrounds(self) -> WithEmptied:
        """The training images with masks and backgrounds, if these can be used.

        Raises:
            UserError: they cannot.
        """
        masking = self._masking(is_trained=False)
        found = masking.of(self.dataset.train)
        trusted = masking.trusted(found, self.folder)
        if not trusted.usable:
            raise UserError(
                f"--method {self.settings.method} needs masks that can be used: "
                f"{' '.join(trusted.sentences)} (--masks names other sources)"
            )
        return self._whole(found, TRAIN).take(self._rows)
