"""What every method keeps to."""

import pytest
import tensorflow as tf

from bginv.config import resolve
from bginv.models.classifier import build_classifier
from bginv.models.mask_unet import build_mask_unet
from bginv.recipes import PHASES
from bginv.training.adversarial import AdversarialTraining
from bginv.training.classifier import ClassifierTraining
from bginv.training.masks import MaskTraining

SHAPE = (16, 16, 1)


def settings(phase: str):
    given = {"dataset": "squares", "model": "", "unet_model": "", "batchsize": 8}
    return resolve(PHASES[phase], given, "tuned")


METHODS = {
    "classifier": lambda: ClassifierTraining(build_classifier(SHAPE, 2, 1), settings("classifier")),
    "masks": lambda: MaskTraining(
        build_mask_unet(SHAPE, 1), build_classifier(SHAPE, 2, 1), settings("masks")
    ),
    "adversarial": lambda: AdversarialTraining(
        build_classifier(SHAPE, 2, 1), SHAPE, settings("adversarial"), 10
    ),
}


@pytest.mark.parametrize(
    ("phase", "tolerance"),
    # XLA turns the same random bits into other normal numbers, and phase 3 draws noise
    [("classifier", 1e-3), ("masks", 1e-3), ("adversarial", 0.05)],
)
def test_a_step_compiles_with_xla_and_does_the_same(squares, phase, tolerance):
    batch = next(iter(squares.train.batches(8)))
    losses = []
    for xla in (False, True):
        method = METHODS[phase]()
        step = tf.function(method.train_step, jit_compile=xla)
        losses.append([float(step(batch, tf.constant([i, 0]))["loss"]) for i in range(3)])
    assert losses[0][2] != losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=tolerance)


@pytest.mark.parametrize("phase", METHODS)
def test_a_step_reports_scalars(squares, phase):
    method = METHODS[phase]()
    batch = method.augment_batch(next(iter(squares.train.batches(8))), tf.constant([1, 2]))
    metrics = method.train_step(batch, tf.constant([1, 2]))
    assert "loss" in metrics
    assert all(value.shape == () for value in metrics.values())
    assert method.name == phase
