"""ImageNet-9 and its variations, in the layout of their release (Xiao et al. 2021).

```
ROOT/VARIATION/val/CLASS/NAME.JPEG   original, mixed_same, mixed_rand, ...
ROOT/fg_mask/val/CLASS/NAME.npy      foreground of the original of that name, true or 1
```

Classes have the order of their folders' names, and there may be any number of them.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from bginv.data.files import FileSource
from bginv.data.images import readable_rows, scan, shown
from bginv.data.sources import ArraySource
from bginv.errors import UserError

VARIATIONS = (
    *("original", "mixed_same", "mixed_rand", "mixed_next"),
    *("only_fg", "no_fg", "only_bg_b", "only_bg_t"),
)
ORIGINAL, BACKGROUNDS, MASKS, SPLIT = "original", "only_bg_t", "fg_mask", "val"
LAYOUT = f"the layout is ROOT/{ORIGINAL}/{SPLIT}/CLASS/NAME.JPEG"
IMAGENET_CLASSES, UNMAPPED = 1000, -1
_RANGES = {
    "dog": "151-170 173-268",
    "bird": "7-24 87-100 127-146",
    "wheeled vehicle": "407-408 428 436 444 468 511 547 555 561 565 569 573 586 603 609 612 627 "
    "656 661 665 670-671 675 690 705 717 734 751 757 791 802-803 817 820 829 847 864 866-867 870 "
    "880",
    "reptile": "33-68",
    "carnivore": "269-280 286-299 356-362 387-388",
    "insect": "300-326",
    "musical instrument": "401-402 420 432 486 494 513 541 546 558 566 577 579 593-594 641-642 "
    "683-684 687 699 776 822 875 881 889",
    "primate": "365-384",
    "fish": "0-6 389-397",
}
IN9_CLASSES = tuple(_RANGES)


def imagenet_to_in9() -> np.ndarray:
    """The class of ImageNet-9 of each of ImageNet's 1000, int32; -1 for those without one."""
    classes = np.full(IMAGENET_CLASSES, UNMAPPED, np.int32)
    for place, ranges in enumerate(_RANGES.values()):
        for part in ranges.split():
            first, _, last = part.partition("-")
            classes[int(first) : int(last or first) + 1] = place
    return classes


@dataclasses.dataclass(frozen=True)
class Foregrounds:
    """Originals and their masks.

    Attributes:
        names: CLASS/NAME of each.
        source: in memory, with masks of 0 and 255.
    """

    names: tuple[str, ...]
    source: ArraySource


def present_variations(root: str) -> list[str]:
    """The variations that a folder holds, in the release's order.

    Raises:
        FileNotFoundError: none.
    """
    found = [name for name in VARIATIONS if (_root(root) / name / SPLIT).is_dir()]
    if not found:
        raise FileNotFoundError(f"{shown(root)} holds no variation; {LAYOUT}")
    return found


def has_challenge(root: str) -> bool:
    """Whether there is all that the challenge needs."""
    return all((_root(root) / name / SPLIT).is_dir() for name in (ORIGINAL, BACKGROUNDS, MASKS))


def class_folders(root: str) -> tuple[str, ...]:
    """Names of the classes, in order: the folders of the first variation that is there."""
    folder = _root(root) / present_variations(root)[0] / SPLIT
    return tuple(sorted(_folders(folder)))


def are_of_in9(folders: Sequence[str]) -> bool:
    """Whether these are the classes of ImageNet-9, in its order: "00_dog", "01_bird" and so on."""
    return tuple(name.lstrip("0123456789_").replace("_", " ") for name in folders) == IN9_CLASSES


def _folders(folder: pathlib.Path) -> set[str]:
    """Names of those in a folder that are not hidden."""
    names = {entry.name for entry in folder.iterdir() if entry.is_dir()}
    return {name for name in names if not name.startswith(".")}


def load_variation(root: str, variation: str, size: tuple[int, int]) -> FileSource:
    """The images of a variation, in the order of their names.

    Args:
        root: folder of the release.
        variation: a name of `VARIATIONS`.
        size: (H, W) to resize to.

    Raises:
        UserError: files that cannot be read.
    """
    names, labels = _list(root, variation)
    folder = _root(root) / variation / SPLIT
    files = scan([str(folder / name) for name in names])
    readable_rows(files, skip_bad_files=False)
    return FileSource(files, labels, (*size, 3))


def load_backgrounds(root: str, size: tuple[int, int]) -> np.ndarray:
    """Every background of the challenge, uint8 [N, H, W, 3]."""
    return _in_memory(load_variation(root, BACKGROUNDS, size))


def load_foregrounds(root: str, size: tuple[int, int]) -> Foregrounds:
    """Every original that has a mask, and that mask.

    Args:
        root: folder of the release.
        size: (H, W) to resize to; masks by the nearest pixel.

    Raises:
        FileNotFoundError: no masks, or an original of one is missing.
        UserError: files that cannot be read.
    """
    folder = _root(root) / MASKS / SPLIT
    if not folder.is_dir():
        raise FileNotFoundError(f"{shown(folder)} is not there; the challenge needs masks")
    names, labels = _list(root, MASKS)
    originals = {os.path.splitext(name)[0]: name for name in _list(root, ORIGINAL)[0]}
    stems = [os.path.splitext(name)[0] for name in names]
    missing = [stem for stem in stems if stem not in originals]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(names)} masks have no original, such as {shown(missing[0])}"
        )
    images = _root(root) / ORIGINAL / SPLIT
    files = scan([str(images / originals[stem]) for stem in stems])
    readable_rows(files, skip_bad_files=False)
    masks = np.stack([_read_mask(folder / name, size) for name in names])
    pixels = _in_memory(FileSource(files, labels, (*size, 3)))
    return Foregrounds(tuple(stems), ArraySource(pixels, labels, masks))


def _read_mask(file: pathlib.Path, size: tuple[int, int]) -> np.ndarray:
    """A mask uint8 [H, W, 1], 0 or 255."""
    try:
        mask = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{shown(file)} cannot be read as a mask: {error}") from error
    if mask.ndim != 2:
        raise UserError(f"{shown(file)} must hold a mask [H, W]; it has the shape {mask.shape}")
    near = cv2.resize(
        (mask > 0).astype(np.uint8) * 255, size[::-1], interpolation=cv2.INTER_NEAREST
    )
    return near[..., None]


def _list(root: str, variation: str) -> tuple[list[str], np.ndarray]:
    """Names CLASS/FILE of a variation, and class numbers."""
    folder = _root(root) / variation / SPLIT
    names, labels = [], []
    classes = class_folders(root)
    unknown = _folders(folder) - set(classes)
    if unknown:
        raise UserError(
            f"{shown(folder)} has the class {min(unknown)}, which is none of {', '.join(classes)}"
        )
    for label, class_name in enumerate(classes):
        if not (folder / class_name).is_dir():
            continue
        found = sorted(
            entry.name for entry in (folder / class_name).iterdir() if entry.name[0] != "."
        )
        names += [f"{class_name}/{name}" for name in found]
        labels += [label] * len(found)
    if not names:
        raise FileNotFoundError(f"{shown(folder)} holds no images; {LAYOUT}")
    return names, np.array(labels, np.int32)


def _in_memory(source: FileSource) -> np.ndarray:
    held = np.empty((len(source), *source.image_shape), np.uint8)
    for batch in source.batches(source.pass_batch):
        held[batch["index"].numpy()] = np.round(batch["image"].numpy() * 255)
    return held


def _root(root: str) -> pathlib.Path:
    return pathlib.Path(root).expanduser()
