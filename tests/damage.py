"""Files as bad disks and broken copies leave them: a bit has flipped, or the end is gone."""

import os
import pathlib
import random

TRIES = int(os.environ.get("BGINV_SOAK_FLIPS", "20"))


def damage(path: pathlib.Path, seed: int) -> None:
    """Flip a bit of a file; of every fifth seed, cut the file short."""
    chosen = random.Random(seed)
    content = bytearray(path.read_bytes())
    if seed % 5 == 0:
        content = content[: chosen.randrange(len(content))]
    else:
        content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
    path.write_bytes(content)
