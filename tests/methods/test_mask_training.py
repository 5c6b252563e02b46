import numpy as np
import pytest
import tensorflow as tf

from bginv.engine.settings import resolve
from bginv.interop.paper_h5 import load_classifier_h5, load_mask_unet_h5
from bginv.methods.background_invariance.mask_training import MaskTraining, with_generated_masks
from bginv.methods.background_invariance.settings import MaskSettings
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from tests.methods.players import moved, snapshot

SEED = tf.constant([1, 2])


def settings(recipe="paper", **given) -> MaskSettings:
    return resolve(MaskSettings, {"dataset": "squares", "model": "m1.keras", **given}, recipe)


@pytest.fixture
def method() -> MaskTraining:
    unet, classifier = build_mask_unet((16, 16, 1), 1), build_classifier((16, 16, 1), 2, 2)
    return MaskTraining(unet, classifier, settings("tuned"))


def test_only_the_mask_generator_moves_and_the_loss_falls(method, squares):
    batch = next(iter(squares.train.batches(8)))
    unet, classifier = snapshot(method.unet, method.classifier)
    losses = [float(method.train_step(batch, SEED)["loss"]) for _ in range(10)]
    assert all(moved(unet, method.unet.get_weights()))
    assert not any(moved(classifier, method.classifier.get_weights()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "given", [{}, {"area": 0.05}, {"loss": "squared"}, {"total_variation": 3.0}]
)
def test_terms_are_weighted_as_asked(squares, given):
    batch = next(iter(squares.train.batches(8)))
    unet, classifier = build_mask_unet((16, 16, 1), 1), build_classifier((16, 16, 1), 2, 2)
    found = MaskTraining(unet, classifier, settings(**given)).losses(batch["image"], batch["label"])
    own = {"area": 0.2, "loss": "abs", "total_variation": 0.1, **given}
    masks = unet(batch["image"])
    excess = np.mean(masks, (1, 2, 3)) - own["area"]
    area = np.mean(np.abs(excess) if own["loss"] == "abs" else excess**2)
    np.testing.assert_allclose(found["area"], area, rtol=1e-4)
    weighted = own["total_variation"] * float(found["total_variation"])
    expected = float(found["cross_entropy"]) + area + weighted
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-4)


def test_the_heuristic_is_every_pixel_that_is_not_black(squares):
    masked = with_generated_masks(squares.train, None, "otsu", 0.2)
    np.testing.assert_array_equal(masked.masks, (squares.train.images > 0) * 255)


def test_the_heuristic_takes_any_channel():
    from bginv.data.sources import ArraySource

    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 0, 0, 2] = images[0, 1, 1, 0] = 9
    masks = with_generated_masks(ArraySource(images, np.zeros(1)), None, "none", 0.2).masks
    assert masks[0, ..., 0].tolist() == [[255, 0], [0, 255]]


@pytest.mark.parametrize(("binarization", "binary"), [("otsu", True), ("none", False)])
def test_masks_of_a_generator_are_binarized(squares, binarization, binary):
    unet = build_mask_unet((16, 16, 1), 1)
    masks = with_generated_masks(squares.train, unet, binarization, 0.2).masks
    assert masks.shape == (24, 16, 16, 1)
    assert (set(np.unique(masks)) <= {0, 255}) is binary


def test_parity_of_the_step_with_the_paper(golden, golden_dir):
    unet = load_mask_unet_h5(golden_dir / "u1.h5")
    method = MaskTraining(unet, load_classifier_h5(golden_dir / "m1.h5"), settings())
    with tf.GradientTape() as tape:
        losses = method.losses(tf.constant(golden["x"]), tf.constant(golden["y"]))
    assert float(losses["cross_entropy"]) == pytest.approx(
        float(golden["mask_loss/cross_entropy"]), rel=1e-5
    )
    assert float(losses["loss"]) == pytest.approx(float(golden["mask_step/loss"]), rel=1e-5)
    gradients = tape.gradient(losses["loss"], unet.trainable_variables)
    for i, gradient in enumerate(gradients):
        expected = float(golden[f"mask_step/grad_l2/{i:02}"])
        assert float(tf.norm(gradient)) == pytest.approx(expected, rel=1e-3)
