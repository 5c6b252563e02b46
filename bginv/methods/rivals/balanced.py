"""Sampling that shows each class, or each group, as often."""

import numpy as np

from bginv.data.wrapped import StratifiedSource
from bginv.methods.rivals.erm import ErmTraining
from bginv.methods.rivals.trainer import Trainer


def equally_often(trainer: Trainer, kinds: np.ndarray) -> StratifiedSource:
    """The training records, of which each kind makes the same share of an epoch.

    A record of kind k is drawn with probability `1 / (K n_k)`, where n_k are of its kind.

    Args:
        trainer: see there.
        kinds: int [N]; those without a record do not count.
    """
    found, strata = np.unique(kinds, return_inverse=True)
    return StratifiedSource(trainer.train, strata, [1 / len(found)] * len(found))


def train_by_class(trainer: Trainer) -> None:
    """Train on images of which each class comes as often."""
    trainer.fit(ErmTraining, equally_often(trainer, trainer.train.labels))


def train_by_group(trainer: Trainer) -> None:
    """Train on images of which each group comes as often."""
    trainer.fit(ErmTraining, equally_often(trainer, trainer.groups(trainer.train)))
