"""Features of a network that several models share, computed once."""

import functools
from collections.abc import Callable, Hashable

import keras
import numpy as np
import scipy.special

from bginv.auditing.models import Asked, AuditedModel
from bginv.nn.features import network_digest
from bginv.nn.fine_tuning import split_head
from bginv.nn.inference import compiled_for

MOST_BYTES = 2**28
"""Of features that are held in memory."""


class SharedNetwork:
    """Asks models, and computes anew only what lies behind a network that stays the same.

    Classifiers before and after the training of a last layer differ in that layer alone. A model
    whose last layer cannot be told, see `split_head`, is asked as it is.
    """

    def __init__(self):
        self._digest: Hashable = None
        self._head: keras.layers.Dense | None = None
        self._network: Callable | None = None
        self._held: dict[Hashable, np.ndarray] = {}

    def ask(self, model: AuditedModel, key: Hashable, images: np.ndarray | None) -> Asked:
        """A model's answers.

        Args:
            model: that `begin` was called with.
            key: of the pictures, the same for the same ones.
            images: uint8 [B, H, W, C]; None where it has their features, see `lacks`.
        """
        if self._head is None:
            return model.ask(images)
        if images is not None:
            unit = images.astype(np.float32) / 255
            run = self._network()
            features = run(model.pixels.of_unit(unit)).numpy().astype(np.float32)
            if features.nbytes + sum(own.nbytes for own in self._held.values()) <= MOST_BYTES:
                self._held[key] = features
        else:
            features = self._held[key]
        kernel, *bias = self._head.get_weights()
        return model.answer(scipy.special.softmax(features @ kernel + sum(bias), -1))

    def lacks(self, key: Hashable) -> bool:
        """Whether `ask` needs the pictures of this key."""
        return self._head is None or key not in self._held

    def begin(self, model: AuditedModel, count: int) -> None:
        """Look at a model's weights, which may have changed since, before so many pictures."""
        split = split_head(model.model) if isinstance(model.model, keras.Model) else None
        if split is None or split[1].units == 1:
            self._digest = self._head = None
            return
        network, self._head = split
        digest = (network_digest(network), model.pixels.pixels)
        if digest != self._digest:
            self._held.clear()
            self._digest = digest
        self._network = functools.cache(functools.partial(compiled_for, network, count))

    def end(self) -> None:
        """Let go of the network; its features are kept for the next model."""
        self._network = None
