"""The contract of everything that tells an object from its background."""

import abc
import dataclasses
from collections.abc import Sequence

import numpy as np

WHITE = 255
NO_MASK = "its mask is foreground all over, which stands for no mask"


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image whose mask is wanted.

    Attributes:
        pixels: uint8 [h, w, 3].
        name: for messages, and for sources that look masks up: "CLASS/NAME.jpg" below the split's
            folder, or "image 17" of images in memory.
        label: its class, where it is known.
    """

    pixels: np.ndarray
    name: str
    label: int | None = None


@dataclasses.dataclass(frozen=True)
class Mask:
    """A soft mask.

    Attributes:
        soft: float32 [h, w] in [0, 1], the picture's size; 1 is foreground. Where there is a
            failure, it is 1 everywhere, which leaves the picture as it is.
        confidence: in [0, 1]; how far the source can tell that the mask shows the object.
        failure: why there is no mask, or None.
    """

    soft: np.ndarray
    confidence: float = 1.0
    failure: str | None = None

    @classmethod
    def failed(cls, picture: Picture, why: str) -> "Mask":
        """No mask, and the reason."""
        return cls(np.ones(picture.pixels.shape[:2], np.float32), 0.0, why)


class MaskSource(abc.ABC):
    """Soft masks of pictures.

    Attributes:
        name: as `--masks` and `--source` take it.
        seconds: estimated, for one picture on two cores.
        batch_size: pictures a call.
    """

    name: str
    seconds: float = 0.0
    batch_size: int = 16

    @property
    @abc.abstractmethod
    def fingerprint(self) -> str:
        """What tells this source from others, and from itself with other weights or settings.

        Masks are kept on disk by the picture's content, its name where `by_name`, and this.
        """

    @property
    def exact(self) -> "MaskSource":
        """What cuts out objects that a classifier is tested on: this source, or a slower one."""
        return self

    @property
    def by_name(self) -> bool:
        """Whether masks depend on names or labels of pictures, not on their pixels alone."""
        return False

    @abc.abstractmethod
    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """A mask for each picture, in order; a picture that fails gets `Mask.failed`.

        Args:
            pictures: at most `batch_size`, of any sizes.
        """


def shows_all(mask: np.ndarray) -> bool:
    """Whether a mask, uint8 [h, w], is foreground all over; of zeros and ones, 1 is foreground.

    So stands what was rejected, or was not found: there is no background that could be exchanged.
    """
    return bool(mask.min() > WHITE // 2 or mask.min() == mask.max() == 1)


def confidence_of(soft: np.ndarray) -> float:
    """How decided a soft mask is, in [0, 1]: the mean of |2m - 1| where it or its edge lies.

    Args:
        soft: [h, w] in [0, 1].
    """
    weight = np.maximum(soft, 1e-6)
    return float(np.sum(weight * np.abs(2 * soft - 1)) / np.sum(weight))
