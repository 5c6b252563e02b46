import numpy as np
import pytest
import tensorflow as tf

import bginv
from bginv.nn.paper_networks import build_classifier, build_mask_unet


def test_steps_are_plain_functions_of_tensors(squares):
    classifier, unet = build_classifier((16, 16, 1), 2, 0), build_mask_unet((16, 16, 1), 0)
    methods = {
        "classifier": bginv.classifier_training(classifier, 8, learning_rate=1e-2),
        "masks": bginv.mask_training(unet, classifier, 8, area=0.1),
        "adversarial": bginv.adversarial_training(
            classifier, (16, 16, 1), 8, steps=2, tiles=(1, 2), back="adv"
        ),
    }
    batch = next(iter(squares.train.batches(8, shuffle=True)))
    for name, method in methods.items():
        before = [weight.numpy() for model in method.models for weight in model.trainable_weights]
        metrics = tf.function(method.train_step, autograph=False)(batch, tf.constant([0, 1]))
        after = [weight.numpy() for model in method.models for weight in model.trainable_weights]
        assert np.isfinite(float(metrics["loss"])), name
        changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        assert any(changed) and (name == "masks" or all(changed))
    assert [own.tiles for own in methods["adversarial"].adversaries] == [1, 2]


def test_a_setting_without_effect_on_the_steps_is_refused():
    with pytest.raises(ValueError, match="precision is decided by your own loop, data and models"):
        bginv.mask_training(None, None, 8, precision="bfloat16")
    with pytest.raises(ValueError, match="area is decided by your own loop, data and models"):
        bginv.adversarial_training(None, (8, 8, 1), 8, 1, area=0.1)


@pytest.mark.parametrize(("recipe", "flips"), [("paper", True), ("tuned", False)])
def test_steps_of_either_recipe(recipe, flips):
    classifier = build_classifier((16, 16, 1), 2)
    method = bginv.classifier_training(classifier, 8, recipe=recipe)
    assert method.settings.flip is flips


def test_an_unknown_setting_is_named():
    with pytest.raises(ValueError, match="masks has no setting 'areas'; known: area, "):
        bginv.mask_training(None, None, 8, areas=0.1)
