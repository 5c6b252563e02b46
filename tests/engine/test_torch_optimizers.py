"""Against PyTorch's update rules, written out in NumPy."""

import keras
import numpy as np
import pytest

from bginv.engine.optimizers import SGD, Adam, RepeatedSGD, RMSprop

GRADIENTS = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
RATES = [0.1, 0.1, 0.05, 0.05, 0.01, 0.01]


def sgd(w, momentum=0.9, decay=0.01):
    velocity = np.zeros_like(w)
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        velocity = momentum * velocity + (gradient + decay * w)
        w = w - rate * velocity
    return w


def adam(w, b1=0.5, b2=0.999, epsilon=1e-2, decay=0.0):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step, (own, rate) in enumerate(zip(GRADIENTS, RATES, strict=True), 1):
        gradient = own + decay * w
        m, v = b1 * m + (1 - b1) * gradient, b2 * v + (1 - b2) * gradient**2
        root = np.sqrt(v) / np.sqrt(1 - b2**step) + epsilon
        w = w - rate / (1 - b1**step) * m / root
    return w


def rmsprop(w, alpha=0.99, epsilon=1e-2):
    v = np.zeros_like(w)
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        v = alpha * v + (1 - alpha) * gradient**2
        w = w - rate * gradient / (np.sqrt(v) + epsilon)
    return w


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD(0.1, 0.9, 0.01), sgd),
        (SGD(0.1, 0.0, 0.01), lambda w: sgd(w, momentum=0.0)),
        (RepeatedSGD(0.1, 0.0, 0.01, times=[1]), lambda w: sgd(w, momentum=0.0)),
        (Adam(0.1, 0.5, epsilon=1e-2), adam),
        (Adam(0.1, 0.5, epsilon=1e-2, decay=0.3), lambda w: adam(w, decay=0.3)),
        (RMSprop(0.1, epsilon=1e-2), rmsprop),
    ],
    ids=[
        "sgd",
        "sgd without momentum",
        "repeated sgd without momentum",
        "adam",
        "adam with decay",
        "rmsprop",
    ],
)
def test_steps_are_those_of_pytorch(optimizer, expected):
    start = np.linspace(-1, 1, 5, dtype=np.float32)
    weight = keras.Variable(start)
    optimizer.build([weight])
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
    np.testing.assert_allclose(weight.numpy(), expected(start), rtol=2e-5)


def test_settings_are_kept():
    config = SGD(0.1, 0.8, 0.02).get_config()
    again = SGD.from_config(config)
    assert (again.momentum, again.decay) == (0.8, 0.02)
    assert Adam.from_config(Adam(0.1, decay=0.02).get_config()).decay == 0.02
