"""The fully convolutional discriminator of output-space adaptation (Tsai et al. 2018, sec. 4.1)."""

from collections.abc import Sequence

import keras
import tensorflow as tf
from absl import logging
from keras import layers

from bginv.nn.layers import lecun_uniform

WIDTH, HIDDEN = 64, 4
SMALLEST_SIDE = 32
SLOPE = 0.2


def build_discriminator(channels: int, seed: int | None = None, width: int = WIDTH) -> keras.Model:
    """Which domain each part of a map comes from: below 0 the source, above it the target.

    Args:
        channels: of the maps, such as probabilities of classes.
        seed: of the initial weights, which are drawn as PyTorch draws them; None draws one.
        width: filters of the first convolution; each hidden one after it has twice as many.

    Returns:
        Model from maps [B, H, W, channels], of 32 rows and columns or more, to logits
        [B, H // 32, W // 32, 1].
    """
    initializers = lecun_uniform(seed)
    filters = {f"conv{place + 1}": width * 2**place for place in range(HIDDEN)}
    maps = x = layers.Input((None, None, channels), name="maps")
    for name, count in {**filters, "classifier": 1}.items():
        x = layers.ZeroPadding2D(1)(x)
        x = layers.Conv2D(count, 4, 2, kernel_initializer=next(initializers), name=name)(x)
        if name in filters:
            x = layers.LeakyReLU(SLOPE)(x)
    return keras.Model(maps, x, name="discriminator")


STEPS_BETWEEN_LOOKS = 500
MEMORY = 0.99
CHANCE, CERTAIN = 0.55, 0.98


class Balance(tf.Module):
    """Running accuracies of discriminators, and a warning where they stay near 1/2 or 1.

    Args:
        names: of the discriminators.
    """

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.names = tuple(names)
        middle = (CHANCE + CERTAIN) / 2
        self.accuracies = tf.Variable(
            [middle] * len(self.names),
            trainable=False,
            aggregation=tf.VariableAggregation.MEAN,
        )

    def update(self, accuracies: Sequence[tf.Tensor]) -> None:
        """Take in the accuracies of a step, scalars in [0, 1]; in graph."""
        latest = tf.stack(list(accuracies))
        self.accuracies.assign(MEMORY * self.accuracies + (1 - MEMORY) * latest)

    def warnings(self) -> list[str]:
        """A sentence for each discriminator that is out of balance."""
        found = []
        for name, accuracy in zip(self.names, self.accuracies.numpy(), strict=True):
            if accuracy < CHANCE:
                fault = "it cannot tell the domains apart, so it teaches nothing"
                remedy = "raise --learning-rate-D or lower --lambda-adv-target1 and 2"
            elif accuracy > CERTAIN:
                fault = "the segmentation network does not deceive it"
                remedy = "lower --learning-rate-D or raise --lambda-adv-target1 and 2"
            else:
                continue
            found.append(
                f"the discriminator of {name} is right in {accuracy:.1%} of places: "
                f"{fault}; {remedy}"
            )
        return found

    def log(self, step: int) -> None:
        """Tell what is out of balance."""
        for sentence in self.warnings():
            logging.warning("step %d: %s", step, sentence)
