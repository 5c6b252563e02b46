"""A look through the masks of a split: each kept, rejected or drawn anew, then written as files."""

import contextlib
import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from bginv.data.composites import FOREGROUND, empty
from bginv.data.files import FileSource
from bginv.data.folder import MASKS
from bginv.data.images import ENDINGS, shown
from bginv.errors import UserError
from bginv.masks.boxes import mask_in_boxes
from bginv.masks.source import WHITE
from bginv.masks.store import Found
from bginv.output_files import OVERWRITE, check_writable_folder, write_bytes

FOUND, REJECTED, DRAWN = "as found", "rejected", "drawn"
OUTLINE = (255, 64, 64)
GREY = 128


class MaskReview:
    """Masks of a split, and what was decided about them.

    A rejected mask becomes white all over, which stands for no mask: the picture keeps its
    background when others are exchanged, and an audit leaves it out.

    Args:
        found: pictures with masks in files.
        target: folder that masks are written into, as CLASS/NAME.png.
        work: folder for masks that were changed and are not saved.
        overwrite: whether masks that are there may be replaced.
    """

    def __init__(
        self, found: Found, target: pathlib.Path, work: pathlib.Path, overwrite: bool = False
    ):
        self.source: FileSource = found.source
        self.target, self._work, self._overwrite = target, work, overwrite
        self._found = [pathlib.Path(self.source.masks.path(row)) for row in range(len(self))]
        self._files = list(self._found)
        self._saved = list(self._found)
        self._ours: set[pathlib.Path] = set()
        self._occupied = target.is_dir() and any(target.iterdir())
        self._confidence = found.confidence
        self._first = [FOUND if own > 0 else REJECTED for own in found.confidence]
        self._states = list(self._first)

    def __len__(self) -> int:
        return len(self.source)

    def name(self, row: int) -> str:
        """CLASS/NAME.jpg of a picture."""
        return self.source.name(row)

    def state(self, row: int) -> str:
        """`FOUND`, `REJECTED` or `DRAWN`."""
        return self._states[row]

    @property
    def unsaved(self) -> int:
        """How many masks are not as they were when they were saved, or found."""
        return sum(own != saved for own, saved in zip(self._files, self._saved, strict=True))

    @property
    def refusal(self) -> str:
        """Why nothing can be saved; "" where it can."""
        if not self._occupied or self._overwrite:
            return ""
        return (
            f"{shown(self.target)} holds masks already: start again with another --output, or with "
            f"{OVERWRITE}, to save changes"
        )

    def order(self, only: str = "") -> list[int]:
        """Rows, the least sure masks first; those of one state alone where that is given."""
        rows = np.argsort(self._confidence, kind="stable").tolist()
        return [row for row in rows if only in ("", self._states[row])]

    def picture(self, row: int) -> np.ndarray:
        """Pixels of a picture, uint8 [h, w, 3]."""
        return self.source.images.read(row).numpy()

    def mask(self, row: int) -> np.ndarray:
        """Its mask as it is now, bool [h, w]."""
        pixels = cv2.imread(str(self._files[row]), cv2.IMREAD_COLOR)
        if pixels is None:
            raise UserError(f"{shown(self._files[row])} cannot be read: mend it, and start again")
        values = pixels.max(-1)
        return values > (0 if values.max() == 1 else 255 * FOREGROUND)

    def outlined(self, row: int) -> np.ndarray:
        """The picture with the outline of its mask, uint8 [h, w, 3]."""
        image = self.picture(row).copy()
        lines, _ = cv2.findContours(
            self.mask(row).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        thickness = max(1, round(max(image.shape[:2]) / 200))
        return cv2.drawContours(image, lines, -1, OUTLINE, thickness)

    def cut_out(self, row: int) -> np.ndarray:
        """What the mask cuts out, on grey, uint8 [h, w, 3]."""
        return np.where(self.mask(row)[..., None], self.picture(row), np.uint8(GREY))

    def composite(self, row: int, donor: int) -> np.ndarray:
        """The object on the background of another picture, uint8 [h, w, 3]."""
        image, mask = self.picture(row), self.mask(row)[..., None]
        behind = empty(self.picture(donor), self.mask(donor)[..., None].astype(np.uint8) * 255)
        behind = cv2.resize(behind, image.shape[1::-1], interpolation=cv2.INTER_AREA)
        return np.where(mask, image, behind)

    def donor(self, row: int) -> int:
        """A picture with a mask, of another class where there is one."""
        labels = self.source.labels
        rows = [(row + step) % len(self) for step in range(1, len(self))]
        usable = [own for own in rows if self._states[own] != REJECTED] or [row]
        return next((own for own in usable if labels[own] != labels[row]), usable[0])

    def keep(self, row: int) -> None:
        """Take the mask as it was found."""
        self._states[row], self._files[row] = self._first[row], self._found[row]

    def reject(self, row: int) -> None:
        """Take no mask."""
        height, width = self.source.images.sizes[row]
        self._put(row, np.full((height, width), WHITE, np.uint8), REJECTED)

    def draw(self, row: int, box: Sequence[float]) -> None:
        """Take what grabCut finds in a box.

        Args:
            row: of the picture.
            box: left, top, right and bottom edge in pixels of the picture; corners may be swapped.

        Raises:
            UserError: a box without a pixel of the picture, or of no numbers.
        """
        image = self.picture(row)
        height, width = image.shape[:2]
        if not np.isfinite(box).all():
            raise UserError(f"a box is four numbers; received {', '.join(map(str, box))}")
        across, down = sorted(box[::2]), sorted(box[1::2])
        left, right = (int(np.clip(round(edge), 0, width)) for edge in across)
        top, bottom = (int(np.clip(round(edge), 0, height)) for edge in down)
        if right - left < 1 or bottom - top < 1:
            raise UserError(
                f"a box is left, top, right, bottom in a picture of {width}x{height} pixels; "
                f"received {', '.join(f'{edge:g}' for edge in box)}, which holds none of them"
            )
        soft = mask_in_boxes(image, [(top, left, bottom, right)])
        self._put(row, np.round(soft * 255).astype(np.uint8), DRAWN)

    def _put(self, row: int, mask: np.ndarray, state: str) -> None:
        # another name for each state, as files are known by their content and read again
        file = self._work / f"{row}-{state}-{len(list(self._work.glob(f'{row}-*')))}.png"
        write_bytes(file, cv2.imencode(".png", mask)[1].tobytes(), durable=False)
        self._states[row], self._files[row] = state, file

    def masked(self) -> FileSource:
        """The pictures with their masks as they are now."""
        # those that were found may be of zeros and ones, beside others that were drawn
        return self.source.with_masks(list(map(str, self._files)), self.source.masks_of_labels)

    def save(self) -> int:
        """Write every mask that is not there as it is now.

        Returns:
            How many were written.

        Raises:
            UserError: masks are there that may not be replaced; nothing is written.
        """
        if self.refusal:
            raise UserError(self.refusal)
        check_writable_folder(self.target)
        written = 0
        for row in range(len(self)):
            path = self.target / pathlib.PurePath(self.name(row)).with_suffix(".png")
            written += self._write(row, path)
        self._saved = list(self._files)
        return written

    def _write(self, row: int, path: pathlib.Path) -> bool:
        """Whether a mask had to be written; one of the same picture with another ending goes."""
        others = [path.with_suffix(ending) for ending in ENDINGS if ending != path.suffix]
        if self._files[row] in others:  # the user's own, unchanged
            return False
        contents = self._files[row].read_bytes()
        if path.is_file() and path.read_bytes() == contents:
            return False
        if path.is_file() and path not in self._ours and not self._overwrite:
            raise UserError(f"{shown(path)} has come there since: nothing replaces it")
        self._keep_found(row, [path, *others])
        write_bytes(path, contents)
        self._ours.add(path)
        for other in others:
            other.unlink(missing_ok=True)
        return True

    def _keep_found(self, row: int, replaced: Sequence[pathlib.Path]) -> None:
        """Copy the mask that was found away before its file is replaced."""
        if self._found[row] in replaced:
            copy = self._work / f"{row}-found.png"
            with contextlib.suppress(FileNotFoundError):
                copy.write_bytes(self._found[row].read_bytes())
            self._files[row] = copy if self._files[row] == self._found[row] else self._files[row]
            self._found[row] = copy


def target_of(folder: str, split: str) -> pathlib.Path:
    """Where the masks of a split go."""
    return pathlib.Path(folder).expanduser() / split / MASKS
