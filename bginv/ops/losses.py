"""Every loss term of the papers, one function each, and the reversal of gradients."""

from collections.abc import Callable

import tensorflow as tf

from bginv.errors import UserError
from bginv.ops.replicas import mean_over_replicas

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Labels and a classifier's outputs to a scalar, the mean over the batch."""
AREA_LOSSES = ("abs", "squared")
GANS = ("Vanilla", "LS")
SOURCE, TARGET = 0.0, 1.0


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Mean softmax cross-entropy.

    Args:
        labels: int [B], class indices.
        logits: float [B, K]; the loss is computed in float32.

    Returns:
        Scalar float32.
    """
    logits = tf.cast(logits, tf.float32)
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )


def soft_cross_entropy(targets: tf.Tensor, logits: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
    """Mean cross-entropy against shares of classes, smoothed.

    The target of a class is `(1 - smoothing) t + smoothing / K` (Szegedy et al. 2016, section 7).

    Args:
        targets: float32 [..., K], shares that sum to 1.
        logits: float [..., K]; the loss is computed in float32.
        smoothing: in [0, 1].

    Returns:
        Scalar float32.
    """
    log_shares = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    targets = (1 - smoothing) * targets + smoothing / logits.shape[-1]
    return -tf.reduce_mean(tf.reduce_sum(targets * log_shares, -1))


def binary_cross_entropy(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Mean sigmoid cross-entropy over images and classes.

    Args:
        targets: float32 [B, K] in [0, 1].
        logits: float [B, K]; the loss is computed in float32.

    Returns:
        Scalar float32.
    """
    logits = tf.cast(logits, tf.float32)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits))


def rest_cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy against all other classes: `logsumexp(x)` minus the mean of their logits.

    The loss of negative classifiers in the PyTorch port of ACoL.

    Args:
        labels: int [B], class indices.
        logits: float [B, K], K > 1; the loss is computed in float32.

    Returns:
        Scalar float32.
    """
    logits = tf.cast(logits, tf.float32)
    own = tf.gather(logits, labels, batch_dims=1)
    others = (tf.reduce_sum(logits, -1) - own) / (logits.shape[-1] - 1)
    return tf.reduce_mean(tf.reduce_logsumexp(logits, -1) - others)


def attention_mining(outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The labels' outputs on images without the labels' evidence (Stammes et al. 2020, eq. 5).

    The paper's term is their mean.

    Args:
        outputs: float32 [P, K], probabilities, or logits where weights are shared.
        labels: int [P], the class that was erased.

    Returns:
        float32 [P].
    """
    return tf.gather(outputs, labels, batch_dims=1)


def segmentation_cross_entropy(
    labels: tf.Tensor, logits: tf.Tensor, class_weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Mean softmax cross-entropy over the pixels of the whole batch that have a label.

    Args:
        labels: int [B, H, W], class numbers; others, such as 255 or -1, do not count.
        logits: float [B, H, W, K]; the loss is computed in float32.
        class_weights: float32 [K]; pixels count as much as their class.

    Returns:
        Scalar float32; 0 where no pixel has a label (PyTorch's is NaN). Under several replicas,
        this one's share of the mean.
    """
    logits = tf.cast(logits, tf.float32)
    known = (labels >= 0) & (labels < logits.shape[-1])
    labels = tf.where(known, labels, 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    weights = tf.cast(known, tf.float32)
    if class_weights is not None:
        weights *= tf.gather(class_weights, labels)
    total = mean_over_replicas(tf.reduce_sum(weights))
    return tf.math.divide_no_nan(tf.reduce_sum(losses * weights), total)


def domain_loss(outputs: tf.Tensor, domain: float, gan: str = "Vanilla") -> tf.Tensor:
    """How far a discriminator's outputs are from those of a domain (Tsai et al. 2018, eq. 2, 4).

    Args:
        outputs: float [...], logits; the loss is computed in float32.
        domain: `SOURCE` or `TARGET`.
        gan: "Vanilla", sigmoid cross-entropy, or "LS", the squared difference (Mao et al. 2017).

    Returns:
        Scalar float32, the mean.

    Raises:
        UserError: unknown kind.
    """
    if gan not in GANS:
        raise UserError(f"gan must be one of {', '.join(GANS)}; received {gan!r}")
    outputs = tf.cast(outputs, tf.float32)
    wanted = tf.fill(tf.shape(outputs), domain)
    if gan == "LS":
        return tf.reduce_mean(tf.math.squared_difference(outputs, wanted))
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=wanted, logits=outputs))


def area_loss(masks: tf.Tensor, area: float, kind: str = "abs") -> tf.Tensor:
    """Mean over images of `relu(mean(mask) - area)`: the share of foreground beyond `area`.

    Args:
        masks: float32 [B, H, W, 1] in [0, 1].
        area: share of the image that is free, in [0, 1].
        kind: "abs", or "squared" to square each image's excess.

    Returns:
        Scalar float32, at least 0.

    Raises:
        UserError: unknown kind.
    """
    if kind not in AREA_LOSSES:
        raise UserError(f"area loss must be one of {', '.join(AREA_LOSSES)}; received {kind!r}")
    excess = tf.nn.relu(tf.reduce_mean(masks, [1, 2, 3]) - area)
    return tf.reduce_mean(excess if kind == "abs" else tf.square(excess))


def total_variation(masks: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of vertical neighbours plus that of horizontal ones.

    Args:
        masks: float32 [B, H, W, C].

    Returns:
        Scalar float32, at least 0.
    """
    vertical = tf.reduce_mean(tf.abs(masks[:, 1:] - masks[:, :-1]))
    horizontal = tf.reduce_mean(tf.abs(masks[:, :, 1:] - masks[:, :, :-1]))
    return vertical + horizontal


def brightness_penalty(backgrounds: tf.Tensor) -> tf.Tensor:
    """`relu(mean(background) - 0.5)`: keeps grey backgrounds from turning all white.

    The mean is that over all replicas.

    Args:
        backgrounds: float32 [B, H, W, C] in [0, 1].

    Returns:
        Scalar float32 in [0, 0.5].
    """
    return tf.nn.relu(mean_over_replicas(tf.reduce_mean(backgrounds)) - 0.5)


def reverse_gradient(values: tf.Tensor, scale: float = 1.0) -> tf.Tensor:
    """Identity whose gradient is multiplied by `-scale` (Ganin & Lempitsky 2015, eq. 10).

    A player behind it ascends the loss that a player in front of it descends, so one backward
    pass serves both.
    """

    @tf.custom_gradient
    def reverse(x: tf.Tensor):
        return tf.identity(x), lambda upstream: -scale * upstream

    return reverse(values)


def symmetric_divergence(logits: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Mean over a batch of the mean of KL(p || q) and KL(q || p) (Kullback & Leibler 1951).

    Args:
        logits: float [B, K], of p.
        others: float [B, K], of q.

    Returns:
        Scalar float32, in nats.
    """
    first, second = (tf.nn.log_softmax(tf.cast(own, tf.float32)) for own in (logits, others))
    differences = (tf.exp(first) - tf.exp(second)) * (first - second)
    return 0.5 * tf.reduce_mean(tf.reduce_sum(differences, -1))
