"""Deep feature reweighting: a last layer on balanced held-out images (Kirichenko et al. 2023)."""

import inspect
import warnings
from collections.abc import Sequence

import numpy as np
import sklearn.exceptions
import sklearn.linear_model
import sklearn.multiclass
from absl import logging

from bginv.errors import UserError
from bginv.methods.rivals.erm import ErmTraining
from bginv.methods.rivals.trainer import Trainer

SMALLEST_DEVIATION = 1e-6
"""Of a feature, which may be the same for all images."""
_PENALTY = inspect.signature(sklearn.linear_model.LogisticRegression).parameters.get("penalty")
L1 = {"penalty": "l1"} if _PENALTY and _PENALTY.default == "l2" else {"l1_ratio": 1.0}
"""As scikit-learn takes it: by its name until 1.7, which ignores the ratio without another name."""
LastLayer = tuple[np.ndarray, np.ndarray]
"""Kernel float [D, K] and bias float [K]."""


def train(trainer: Trainer) -> None:
    """Train the network on all images alike, then a last layer by `reweighted`.

    A frozen network needs no training before. The held-out images are those of the data set's own
    validation part, or those held out of the training images.

    Raises:
        UserError: no held-out images, without places, or too few of them; see
            `Trainer.check_last_layer` too.
    """
    trainer.check_last_layer()
    held = trainer.validation
    if held is None:
        raise UserError(
            "dfr takes its last layer from held-out images, and there are none: give --validation "
            "a share above 0, and each class two images at least"
        )
    groups = trainer.groups(held)
    _check_held(groups, held.labels)
    if trainer.train.places is not None:
        missing = len(np.setdiff1d(trainer.groups(trainer.train), groups))
        if missing:
            logging.warning(
                "dfr: no held-out image is of %d of the groups that are trained on, so these have "
                "no part in the last layer",
                missing,
            )
    if not trainer.is_frozen:
        trainer.fit(ErmTraining, trainer.train, choose=False)
    own = trainer.settings
    mean, deviation = trainer.scale()
    kernel, bias = reweighted(
        trainer.features(held),
        *(held.labels, groups, trainer.num_classes),
        own.inverse_penalties,
        own.balanced_subsets,
        np.random.default_rng(own.seed),
        (mean, np.maximum(deviation, SMALLEST_DEVIATION)),
    )
    trainer.set_head(kernel, bias)


def _check_held(groups: np.ndarray, labels: np.ndarray) -> None:
    """Raise unless held-out images can teach a last layer and judge it.

    Raises:
        UserError: they show one class, or no two of them are of one group.
    """
    if len(np.unique(labels)) < 2 or np.bincount(groups).max() < 2:
        raise UserError(
            "dfr needs held-out images of two classes, two of a group at least: there are "
            f"{len(groups)}, of {len(np.unique(labels))} classes and {len(np.unique(groups))} "
            "groups; give a larger --validation, or the data a larger validation part"
        )


def reweighted(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    num_classes: int,
    inverse_penalties: Sequence[float],
    subsets: int,
    rng: np.random.Generator,
    scale: LastLayer,
) -> LastLayer:
    """The mean of logistic regressions with an L1 penalty, on balanced subsets (section 5).

    The penalty is chosen on one half of the records of each group, by the worst group's accuracy of
    a regression on the other half. (The published code halves all records at random, which may
    leave a small group out of one of the halves.)

    Args:
        features: float [N, D].
        labels: int [N].
        groups: int [N]; two records are of one group.
        num_classes: K.
        inverse_penalties: what is tried, as scikit-learn's C.
        subsets: how many are averaged; each has as many of a group as the smallest has.
        rng: draws them.
        scale: mean and deviation of features, float [D] each, which are taken out of them.
    """
    mean, deviation = scale
    scaled = (features - mean) / deviation
    first, second = split_each_group(groups, rng)
    worst = []
    for penalty in inverse_penalties:
        rows = first[balanced_rows(groups[first], rng)]
        kernel, bias = _regression(scaled[rows], labels[rows], num_classes, penalty)
        right = (scaled[second] @ kernel + bias).argmax(-1) == labels[second]
        worst.append(min(right[groups[second] == own].mean() for own in np.unique(groups[second])))
    chosen = inverse_penalties[int(np.argmax(worst))]
    logging.info(
        "dfr: an L1 penalty of 1/%g, with which the worst group has %.1f %%",
        chosen,
        100 * max(worst),
    )
    kernels, biases = [], []
    for _ in range(subsets):
        rows = balanced_rows(groups, rng)
        kernel, bias = _regression(scaled[rows], labels[rows], num_classes, chosen)
        kernels.append(kernel)
        biases.append(bias)
    kernel = np.mean(kernels, 0) / deviation[:, None]
    return kernel, np.mean(biases, 0) - mean @ kernel


def split_each_group(groups: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one half of each group's records and of the other; the first has one more of odd."""
    members = [rng.permutation(np.flatnonzero(groups == own)) for own in np.unique(groups)]
    first, second = ([own[start::2] for own in members] for start in (0, 1))
    return np.concatenate(first), np.concatenate(second)


def balanced_rows(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of as many records of each group as the smallest one has, drawn at random."""
    members = [np.flatnonzero(groups == own) for own in np.unique(groups)]
    fewest = min(map(len, members))
    return np.concatenate([rng.permutation(own)[:fewest] for own in members])


def _regression(
    features: np.ndarray, labels: np.ndarray, num_classes: int, inverse_penalty: float
) -> LastLayer:
    """Of one class against the others, each."""
    known = np.unique(labels)
    one = sklearn.linear_model.LogisticRegression(
        **L1, C=inverse_penalty, solver="liblinear", random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        found = sklearn.multiclass.OneVsRestClassifier(one).fit(features, labels)
    kernel = np.zeros((features.shape[1], num_classes))
    bias = np.full(num_classes, -1e3)
    for own, regression in zip(known, found.estimators_, strict=False):
        kernel[:, own], bias[own] = regression.coef_[0], regression.intercept_[0]
    if len(known) == 2:
        kernel[:, known[1]], bias[known[1]] = kernel[:, known[0]], bias[known[0]]
        kernel[:, known[0]], bias[known[0]] = 0.0, 0.0
    return kernel, bias
