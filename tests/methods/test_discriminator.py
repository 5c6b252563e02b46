"""The discriminator: parity with the published code."""

import numpy as np
import pytest
import tensorflow as tf

from bginv.methods.adaptation.discriminator import SMALLEST_SIDE, build_discriminator
from tests.golden_weights import fill_named, normal


def test_parity(golden_arrays, golden_json):
    facts = golden_json("adaptseg_losses")["discriminator"]
    model = build_discriminator(facts["classes"])
    fill_named(model, facts["prefix"])
    logits = normal(facts["seed"], tuple(facts["logit_shape"]), facts["logit_scale"])
    found = np.moveaxis(model(tf.nn.softmax(logits)).numpy(), -1, 1)
    np.testing.assert_allclose(found, golden_arrays("adaptseg_losses")["d_out"], rtol=1e-4)


@pytest.mark.parametrize("width", [16, 64])
def test_a_place_of_the_smallest_map(width):
    model = build_discriminator(3, 1, width)
    assert model(np.zeros((2, SMALLEST_SIDE, SMALLEST_SIDE, 3), np.float32)).shape == (2, 1, 1, 1)
    assert model.get_layer("conv4").filters == 8 * width
