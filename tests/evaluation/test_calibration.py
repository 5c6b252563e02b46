"""Calibration: bins and likelihoods by hand, and a temperature that is found again."""

import math

import numpy as np
import pytest

from bginv.evaluation.calibration import (
    collect_logits,
    fit_temperature,
    negative_log_likelihood,
    probabilities,
    reliability,
    with_temperature,
)
from bginv.nn.paper_networks import build_classifier


def logits_of(*confidences: float) -> np.ndarray:
    """Logits of two classes, the first with these probabilities."""
    shares = np.array(confidences)
    return np.stack([np.log(shares), np.log(1 - shares)], 1)


def test_bins_by_hand():
    logits, labels = logits_of(0.95, 0.92, 0.85, 0.65, 0.61), np.array([0, 1, 0, 0, 1])
    found = reliability(logits, labels, bins=10)
    np.testing.assert_array_equal(found.counts, [0, 0, 0, 0, 0, 0, 2, 0, 1, 2])
    assert found.accuracy[[6, 8, 9]] == pytest.approx([0.5, 1.0, 0.5])
    assert found.confidence[[6, 8, 9]] == pytest.approx([0.63, 0.85, 0.935])
    assert found.error == pytest.approx((2 * 0.13 + 0.15 + 2 * 0.435) / 5)
    assert math.isnan(found.accuracy[0])


def test_a_probability_on_an_edge_belongs_below_and_certainty_above():
    logits = np.array([[math.log(0.75), math.log(0.25)], [100.0, 0.0]])
    np.testing.assert_array_equal(
        reliability(logits, np.zeros(2, int), bins=4).counts, [0, 0, 1, 1]
    )


def test_likelihood_by_hand():
    logits, labels = logits_of(0.8, 0.4), np.array([0, 0])
    expected = -(math.log(0.8) + math.log(0.4)) / 2
    assert negative_log_likelihood(logits, labels) == pytest.approx(expected)
    np.testing.assert_allclose(probabilities(logits)[:, 0], [0.8, 0.4])
    assert np.isfinite(negative_log_likelihood(np.array([[2000.0, -2000.0]]), np.array([1])))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_a_temperature_is_found_again(temperature):
    rng = np.random.default_rng(1)
    calibrated = rng.normal(size=(20000, 5)) * 1.5
    shares = probabilities(calibrated)
    labels = (shares.cumsum(1) < rng.random((20000, 1))).sum(1)
    logits = calibrated * temperature
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.03)
    before = reliability(logits, labels).error
    after = reliability(logits, labels, found).error
    assert after < 0.02 and (temperature == 1 or after < before / 3)


def test_the_calibrated_classifier_divides_its_logits(squares):
    classifier = build_classifier((16, 16, 1), 2, 1)
    logits, labels = collect_logits(classifier, squares.train)
    np.testing.assert_array_equal(labels, squares.train.labels)
    found, _ = collect_logits(with_temperature(classifier, 4.0), squares.train)
    np.testing.assert_allclose(found, logits / 4, rtol=1e-5)
