"""Whether a classifier's probabilities are the shares with which it is right (Guo et al. 2017)."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import scipy.optimize
import scipy.special

from bginv.data.sources import Source
from bginv.nn.inference import compiled_for

BINS = 15
LARGEST_LOG_TEMPERATURE, TOLERANCE = 5.0, 1e-9


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Predictions sorted into bins by their largest probability.

    Attributes:
        counts: int [B], predictions of each bin.
        confidence: float [B], their mean probability; NaN for an empty bin.
        accuracy: float [B], the share that is right; NaN for an empty bin.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (eq. 3), in [0, 1]; NaN without predictions."""
        total = self.counts.sum()
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(gaps * self.counts) / total) if total else float("nan")


def collect_logits(classifier: keras.Model, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Logits float64 [N, K] and labels int [N] of a source, in its order."""
    ((logits, labels),) = collect_all_logits(classifier, [source])
    return logits, labels


def collect_all_logits(
    classifier: keras.Model, sources: Iterable[Source], dtype: type = np.float64
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same for one source after the other, in a type of numbers."""
    sources = list(sources)
    total = sum(map(len, sources))
    run_at = functools.cache(functools.partial(compiled_for, classifier, total))
    for source in sources:
        run = run_at(source.image_shape)
        parts = [run(batch["image"]) for batch in source.batches(source.pass_batch)]
        yield np.concatenate(parts).astype(dtype), source.labels


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax of logits [N, K] over a temperature."""
    return scipy.special.softmax(logits / temperature, -1)


def reliability(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0, bins: int = BINS
) -> Reliability:
    """Sort predictions into bins of equal width.

    Args:
        logits: float [N, K].
        labels: int [N].
        temperature: what logits are divided by.
        bins: B; bin m holds probabilities above m / B, up to (m + 1) / B.
    """
    shares = probabilities(logits, temperature)
    confidence, right = shares.max(-1), shares.argmax(-1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)

    def mean(values: np.ndarray) -> np.ndarray:
        sums = np.bincount(place, values, bins)
        return np.divide(sums, counts, out=np.full(bins, np.nan), where=counts > 0)

    return Reliability(counts, mean(confidence), mean(right.astype(float)))


def negative_log_likelihood(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> float:
    """Mean negative log-probability of the labels, in nats."""
    log_shares = scipy.special.log_softmax(logits / temperature, -1)
    return float(-np.mean(log_shares[np.arange(len(labels)), labels]))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the least negative log-likelihood (Guo et al. 2017, section 4.2).

    The likelihood has one maximum over the temperature; it is searched between exp(-5) and exp(5).

    Args:
        logits: float [N, K], of images that were not trained on.
        labels: int [N].
    """

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits, labels, float(np.exp(log_temperature)))

    found = scipy.optimize.minimize_scalar(
        loss,
        bounds=(-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE),
        method="bounded",
        options={"xatol": TOLERANCE},
    )
    return float(np.exp(found.x))


def with_temperature(classifier: keras.Model, temperature: float) -> keras.Model:
    """The classifier whose logits are divided by a temperature."""
    image = keras.layers.Input(classifier.input_shape[1:], name="image")
    scale = keras.layers.Rescaling(1 / temperature, name="temperature")
    return keras.Model(image, scale(classifier(image)), name=classifier.name)
