"""What every method keeps to."""

import numpy as np
import pytest
import tensorflow as tf

from bginv.data.labelled import MasksAsLabelMaps, WithTarget
from bginv.data.sources import Dataset
from bginv.engine.checkpoints import Checkpoints
from bginv.engine.settings import resolve
from bginv.methods.acol.model import build_classifiers
from bginv.methods.acol.settings import AcolSettings
from bginv.methods.acol.training import AcolTraining
from bginv.methods.adaptation.settings import AdaptationSettings
from bginv.methods.adaptation.training import AdaptationTraining
from bginv.methods.attention.model import build_attention_branch, features_of
from bginv.methods.attention.settings import AttentionSettings
from bginv.methods.attention.training import AttentionTraining
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.mask_training import MaskTraining
from bginv.methods.background_invariance.settings import PHASES
from bginv.methods.erasing.model import build_network
from bginv.methods.erasing.settings import ErasingSettings
from bginv.methods.erasing.training import ErasingTraining
from bginv.nn.deeplab import build_deeplab
from bginv.nn.features import build_features
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from bginv.ops.augment import Augmentation

SHAPE = (16, 16, 1)
SETTINGS = {
    **PHASES,
    "attention": AttentionSettings,
    "acol": AcolSettings,
    "erasing": ErasingSettings,
    "adaptation": AdaptationSettings,
}


def settings(phase: str, **given):
    given = {"dataset": "squares", "model": "", "unet_model": "", "batchsize": 8, **given}
    return resolve(SETTINGS[phase], given, "tuned")


def attention(seed: int = 1, **given) -> AttentionTraining:
    features = features_of(build_classifier(SHAPE, 2, 1))
    branch = build_attention_branch(SHAPE, features.output_shape[1:], 2, 0.7, seed=seed)
    # at the rate of 1e-3, rounding decides where the fifth step is
    slow = settings("attention", fusion_learning_rate=1e-4, **given)
    return AttentionTraining(features, branch, slow, 10)


def acol(seed: int = 1, **given) -> AcolTraining:
    features = build_features("resnet18", SHAPE, seed=seed)
    classifiers = build_classifiers(features.output_shape[1:], 2, "pn", seed=seed)
    # batch norm over so few values makes rounding count
    slow = settings("acol", model="resnet18", cls_recipe="pn", learning_rate=1e-4, **given)
    return AcolTraining(features, classifiers, slow)


def erasing(seed: int = 1, **given) -> ErasingTraining:
    networks = [build_network("resnet18", SHAPE, 2, seed=seed + i) for i in range(2)]
    return ErasingTraining(*networks, settings("erasing", learning_rate=1e-3, **given))


def adaptation(seed: int = 1, **given) -> AdaptationTraining:
    # the other kinds judge maps of the images' size, 32 pixels at least
    given = {"adaptation": "feature", "model": "light", "learning_rate": 1e-4, **given}
    deeplab = build_deeplab("light", 3, SHAPE, auxiliary=False, seed=seed)
    return AdaptationTraining(deeplab, settings("adaptation", seed=seed, **given), 100)


def batch_for(phase: str, squares: Dataset) -> dict[str, tf.Tensor]:
    """Eight records of what a method learns from."""
    source = squares.train
    if phase == "adaptation":
        source = WithTarget(MasksAsLabelMaps(source), source)
        return next(iter(source.batches(8, shuffle=True)))
    return next(iter(source.batches(8)))


METHODS = {
    "classifier": lambda seed=1, **given: ClassifierTraining(
        build_classifier(SHAPE, 2, seed), settings("classifier", **given)
    ),
    "masks": lambda seed=1, **given: MaskTraining(
        build_mask_unet(SHAPE, seed), build_classifier(SHAPE, 2, 1), settings("masks", **given)
    ),
    "adversarial": lambda seed=1, **given: AdversarialTraining(
        build_classifier(SHAPE, 2, seed), SHAPE, settings("adversarial", seed=seed, **given), 10
    ),
    "attention": attention,
    "acol": acol,
    "erasing": erasing,
    "adaptation": adaptation,
}


@pytest.fixture
def fixed_noise(monkeypatch):
    """The same backgrounds in any step: XLA turns random bits into other normal numbers."""

    def fixed_rows(draw, count: int) -> tf.Tensor:
        numbers = np.random.default_rng(0).normal(size=draw(count).shape)
        return tf.constant(numbers, tf.float32)

    generator = "bginv.nn.background_generator"
    monkeypatch.setattr(f"{generator}.own_rows", fixed_rows)
    monkeypatch.setattr(f"{generator}.random_order", lambda count, seed: tf.range(count))


@pytest.mark.slow
@pytest.mark.parametrize("phase", METHODS)
@pytest.mark.usefixtures("fixed_noise")
def test_a_step_compiles_with_xla_and_does_the_same(squares, phase):
    batch = batch_for(phase, squares)
    losses = []
    for xla in (False, True):
        method = METHODS[phase]()
        step = tf.function(method.train_step, jit_compile=xla)
        # the second loss tells of the first update; a third tells of rounding on some processors
        losses.append([float(step(batch, tf.constant([i, 0]))["loss"]) for i in range(2)])
    assert losses[0][1] != losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.slow
def test_what_phase_3_draws_compiles_with_xla(squares):
    step = tf.function(METHODS["adversarial"]().train_step, jit_compile=True)
    assert np.isfinite(float(step(batch_for("adversarial", squares), tf.constant([0, 0]))["loss"]))


@pytest.mark.parametrize("phase", PHASES)
def test_images_move_as_far_as_asked(phase):
    method = METHODS[phase](rotation=3.0, shift=0.01, flip=True)
    assert method.augmentation == Augmentation(rotation=3.0, shift=0.01, flip=True)


@pytest.mark.slow
@pytest.mark.parametrize("phase", METHODS)
def test_a_step_reports_scalars(squares, phase):
    method = METHODS[phase]()
    batch = method.augment_batch(batch_for(phase, squares), tf.constant([1, 2]))
    metrics = method.train_step(batch, tf.constant([1, 2]))
    assert "loss" in metrics
    assert all(value.shape == () for value in metrics.values())
    assert method.name == phase


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("phase", METHODS)
def test_a_checkpoint_holds_everything_that_a_step_changes(squares, tmp_path, phase, precision):
    batch = batch_for(phase, squares)
    trained, restored = (METHODS[phase](seed=seed, precision=precision) for seed in (1, 2))
    for step in range(3):
        trained.train_step(batch, tf.constant([step, 0]))
    if trained.loss_scale:
        trained.loss_scale.scale.assign(64.0)
    saved = Checkpoints(tmp_path, trained.checkpointed(), 0, 0.0)
    saved.save(3)
    assert Checkpoints(tmp_path, restored.checkpointed(), 0, 0.0).restore() == 3
    if trained.loss_scale:
        assert float(restored.loss_scale.scale) == 64
    for method in (trained, restored):
        method.train_step(batch, tf.constant([3, 0]))
    for model, other in zip(trained.models, restored.models, strict=True):
        for array, same in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(array, same)
