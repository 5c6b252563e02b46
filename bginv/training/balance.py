"""Whether discriminators and what they judge are in balance."""

from collections.abc import Sequence

import tensorflow as tf
from absl import logging

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
