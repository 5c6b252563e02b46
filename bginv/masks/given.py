"""Masks in a folder of their own: `PATH/CLASS/NAME.png` for `CLASS/NAME.jpg`, or with places."""

import hashlib
import pathlib
import unicodedata
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from bginv.data.images import ENDINGS, shown
from bginv.errors import UserError
from bginv.masks.source import NO_MASK, Mask, MaskSource, Picture, shows_all
from bginv.ops.binarize import not_black

LAYOUT = "the layout is PATH/CLASS/NAME.png for each image CLASS/NAME.jpg"
NAMED = 3


class GivenMasks(MaskSource):
    """Masks of files that bear the images' names; white is foreground.

    A mask of zeros and ones is read as one of 0 and 255, as in `bginv.data.folder`. One that is
    foreground all over stands for no mask.

    Args:
        folder: `PATH/CLASS/NAME.png`, or `PATH/CLASS/PLACE/NAME.png`.

    Raises:
        FileNotFoundError: no such folder.
        UserError: it holds no mask, or two of one image.
    """

    def __init__(self, folder: str):
        root = pathlib.Path(folder).expanduser()
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder of masks {shown(root)}; {LAYOUT}")
        self.name, self._root = f"given:{folder}", root
        self._files: dict[str, pathlib.Path] = {}
        for path in sorted([*root.glob("*/*"), *root.glob("*/*/*")]):
            if path.suffix.lower() not in ENDINGS or path.name.startswith("."):
                continue
            other = self._files.setdefault(_key(path.relative_to(root)), path)
            if other != path:
                raise UserError(f"{shown(other)} and {shown(path)} are masks of one image")
        if not self._files:
            raise UserError(f"{shown(root)} holds no mask; {LAYOUT}")

    @property
    def by_name(self) -> bool:
        """See `MaskSource.by_name`."""
        return True

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`."""
        number = hashlib.sha256()
        for key, path in self._files.items():
            state = path.stat()
            number.update(f"{key} {state.st_size} {state.st_mtime_ns}\n".encode())
        return f"given 2 {number.hexdigest()}"

    def check(self, names: Iterable[str]) -> None:
        """Raise where an image has no mask.

        Args:
            names: "CLASS/NAME.jpg" of the images.

        Raises:
            UserError: it names the first ones, and where their masks belong.
        """
        lacking = [name for name in names if _key(name) not in self._files]
        if lacking:
            some = ", ".join(map(shown, lacking[:NAMED])) + (", ..." if lacking[NAMED:] else "")
            raise UserError(
                f"{shown(self._root)} has no mask of {len(lacking)} images: {some}; add "
                f"{shown(self._root / _key(lacking[0]))}.png, or name another source of masks"
            )

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        return list(map(self._mask, pictures))

    def _mask(self, picture: Picture) -> Mask:
        path = self._files.get(_key(picture.name))
        if path is None:
            return Mask.failed(picture, f"{shown(self._root)} has no mask of it")
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            return Mask.failed(picture, f"{shown(path)} cannot be read")
        values = pixels.max(-1)
        if values.shape != picture.pixels.shape[:2]:
            sizes = "{1}x{0}, and the image is {3}x{2}".format(
                *values.shape, *picture.pixels.shape[:2]
            )
            return Mask.failed(picture, f"its mask {shown(path)} is {sizes}")
        if shows_all(values):
            return Mask.failed(picture, NO_MASK)
        largest = 1 if values.max() == 1 else 255
        return Mask(values.astype(np.float32) / largest)


def check_mask_files(names: Iterable[str]) -> None:
    """Raise where two images would have one file for their masks.

    Args:
        names: "CLASS/NAME.jpg" of the images of a split.

    Raises:
        UserError: it names the first two.
    """
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(_key(name), name)
        if other != name:
            raise UserError(
                f"{shown(other)} and {shown(name)} would share the mask {shown(_key(name))}.png: "
                "rename one of them"
            )


def _key(name: str | pathlib.PurePath) -> str:
    """CLASS/NAME without its ending, in Unicode's composed form."""
    return unicodedata.normalize("NFC", pathlib.PurePath(name).with_suffix("").as_posix())


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
