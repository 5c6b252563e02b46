"""Just train twice: once to find out what is hard (Liu et al. 2021)."""

import numpy as np
from absl import logging

from bginv.data.wrapped import RepeatedSource
from bginv.errors import UserError
from bginv.methods.rivals.erm import ErmTraining
from bginv.methods.rivals.trainer import Trainer


def train(trainer: Trainer) -> None:
    """Train a first classifier; then one from the start, to which its mistakes come more often.

    With E, the training images that the first one gets wrong after a few epochs, and lambda, how
    often they come (algorithm 1):

        loss = lambda sum_{i in E} l_i + sum_{i not in E} l_i

    Raises:
        UserError: the first one gets all of them wrong.
    """
    own, start = trainer.settings, trainer.model.get_weights()
    trainer.fit(ErmTraining, trainer.train, "first", own.first_epochs, choose=False)
    wrong = trainer.logits(trainer.train).argmax(-1) != trainer.train.labels
    if wrong.all():
        raise UserError(
            f"after {own.first_epochs} epochs every training image is told wrong: give more of "
            "them by --first-epochs, or a larger --learning-rate"
        )
    logging.info("jtt: %d of %d training images are told wrong", wrong.sum(), len(wrong))
    if not wrong.any():
        logging.warning(
            "jtt: none is told wrong after %d epochs, so the second training is a plain one: fewer "
            "--first-epochs may help",
            own.first_epochs,
        )
    trainer.model.set_weights(start)
    rows = np.repeat(np.arange(len(wrong)), np.where(wrong, own.upweight, 1))
    trainer.fit(ErmTraining, RepeatedSource(trainer.train, rows))
