"""Objects on black: what is not black is foreground (Cruz et al. 2020)."""

from collections.abc import Sequence

import numpy as np

from bginv.masks.source import Mask, MaskSource, Picture
from bginv.ops.binarize import not_black


class HeuristicMasks(MaskSource):
    """Foreground is where any channel is above 0."""

    name = "heuristic"

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`."""
        return "heuristic"

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        found = (not_black(picture.pixels[None].astype(np.float32)) for picture in pictures)
        return [Mask(soft[0, :, :, 0].numpy()) for soft in found]
