"""What the methods share that learn from image labels where objects are."""

import tensorflow as tf

from bginv.ops.random_crops import random_resized_crops
from bginv.training.method import Method


class CroppedTraining(Method):
    """A method whose images are random resized crops, of the size that its first model takes."""

    def augment_batch(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Method.augment_batch`."""
        size, settings = self.models[0].input_shape[1:3], self.settings
        crops = random_resized_crops(
            batch["image"], seed, size, settings.smallest_crop, settings.flip
        )
        return {**batch, "image": crops}
