"""A box a picture, from the files of annotation tools, tightened by grabCut."""

import collections
import csv
import hashlib
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from bginv.data.coco import read_json
from bginv.data.images import shown
from bginv.data.voc import ANNOTATIONS, finite, read_voc
from bginv.errors import UserError
from bginv.masks.cam import Box, grab_cut
from bginv.masks.source import Mask, MaskSource, Picture, confidence_of

COLUMNS = ("name", "left", "top", "right", "bottom")
KINDS = "a folder of Pascal VOC .xml files, a COCO .json file or a .csv file"
ANY_ENDING = ".*"


class Labelled(NamedTuple):
    """A box as a file has it.

    Attributes:
        name: of the picture, with folders in front or without; VOC's end in `ANY_ENDING`.
        box: left, top, right and bottom edge in pixels.
        size: width and height of the picture that they are pixels of, or None for its own.
        place: where it stands, for a message.
    """

    name: pathlib.PurePath
    box: tuple[float, float, float, float]
    size: tuple[float, float] | None
    place: str


class Boxes:
    """Boxes by the names of their pictures.

    Args:
        path: a folder of Pascal VOC .xml files, a COCO .json file or a .csv file.

    Attributes:
        path: as it was given.

    Raises:
        FileNotFoundError: no such file or folder.
        UserError: what cannot be read, or holds no box.
    """

    def __init__(self, path: str):
        self.path, root = path, pathlib.Path(path).expanduser()
        if not root.exists():
            raise FileNotFoundError(f"there is no {path} with boxes; {KINDS} is needed")
        readers = {
            ".json": _read_coco,
            ".xml": _read_voc_file,
            ".csv": _read_csv,
        }
        read = _read_voc if root.is_dir() else readers.get(root.suffix.lower())
        if read is None:
            raise UserError(f"{path} holds no boxes that can be read; {KINDS} is needed")
        self._by_stem = collections.defaultdict(list)
        try:
            for labelled in read(root):
                self._by_stem[labelled.name.stem].append(labelled)
        except UnicodeDecodeError:
            raise UserError(f"{path} holds what is not UTF-8; {KINDS} is needed") from None
        if not self._by_stem:
            raise UserError(f"{path} holds no box; {KINDS} is needed")

    def of(self, name: str) -> list[Labelled]:
        """The boxes of a picture: those whose names end as its name does.

        Args:
            name: with as many folders in front as are known.
        """
        wanted = pathlib.PurePath(name)
        return [own for own in self._by_stem.get(wanted.stem, ()) if _is_of(own.name, wanted)]

    def digest(self) -> str:
        """What tells these boxes from others."""
        found = hashlib.sha256()
        for stem, own in sorted(self._by_stem.items()):
            found.update(repr((stem, [(each.name.parts, *each[1:3]) for each in own])).encode())
        return found.hexdigest()


LARGEST_STRETCH = 0.02
"""Of a picture that was made smaller after boxes were drawn: one side against the other."""


def check_shape(labelled: Labelled, size: tuple[int, int]) -> None:
    """Raise where a box is of a picture of another shape, as of one that was turned since.

    Args:
        labelled: the box.
        size: height and width of the picture as it is shown.

    Raises:
        UserError: it names both shapes.
    """
    if labelled.size is None:
        return
    stretch = (size[1] / labelled.size[0]) / (size[0] / labelled.size[1])
    if abs(stretch - 1) > LARGEST_STRETCH + 1 / min(size):
        told = "x".join(f"{side:g}" for side in labelled.size)
        raise UserError(
            f"{labelled.place}: the box is of a picture of {told} pixels, and the picture as it is "
            f"shown has {size[1]}x{size[0]}, of another shape: was it turned or cut?"
        )


def placed(labelled: Labelled, size: tuple[int, int]) -> Box:
    """A box in whole pixels of a picture, clipped to it: top, left, bottom and right edge.

    Args:
        labelled: the box.
        size: the picture's height and width.

    Raises:
        UserError: an empty box, or one that lies outside the picture.
    """
    left, top, right, bottom = labelled.box
    across, down = 1.0, 1.0
    if labelled.size:
        across, down = size[1] / labelled.size[0], size[0] / labelled.size[1]
    text = ", ".join(f"{edge:g}" for edge in labelled.box)
    if not (left < right and top < bottom):
        raise UserError(f"{labelled.place}: the box {text} (left, top, right, bottom) is empty")
    edges = np.array([top * down, left * across, bottom * down, right * across])
    limits = np.array([*size, *size])
    if (edges[:2] >= limits[:2]).any() or (edges[2:] <= 0).any():
        width, height = labelled.size or size[::-1]
        raise UserError(
            f"{labelled.place}: the box {text} (left, top, right, bottom) lies outside its picture "
            f"of {width:g}x{height:g} pixels"
        )
    first = np.minimum(np.maximum(np.round(edges[:2]), 0), limits[:2] - 1)
    last = np.clip(np.round(edges[2:]), first + 1, limits[2:])
    return tuple(np.concatenate([first, last]).astype(int).tolist())


def _is_of(labelled: pathlib.PurePath, wanted: pathlib.PurePath) -> bool:
    """Whether two names are of one picture, as far as both say."""
    if labelled.suffix not in (ANY_ENDING, wanted.suffix):
        return False
    pairs = zip(labelled.parts[-2::-1], wanted.parts[-2::-1], strict=False)
    return all(one == other for one, other in pairs)


def _read_csv(path: pathlib.Path) -> Iterator[Labelled]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        for number, line in enumerate(csv.reader(stream), 1):
            if not line or (number == 1 and tuple(line) == COLUMNS):
                continue
            place = f"{shown(path)}, line {number}"
            try:
                name, *edges = line
                box = finite(edges)
            except ValueError:
                raise UserError(
                    f"{place}: {','.join(COLUMNS)} in pixels are needed; received {','.join(line)}"
                ) from None
            yield Labelled(pathlib.PurePath(name), box, None, place)


def _read_coco(path: pathlib.Path) -> Iterator[Labelled]:
    images, annotations, _ = read_json(path, KINDS)
    for number, own in enumerate(annotations):
        place = f"{shown(path)}, annotation {number}"
        try:
            image, edges = images[own["image_id"]], finite(own["bbox"])
            name = pathlib.PurePath(image["file_name"])
            sides = [float(image.get(side) or 0) for side in ("width", "height")]
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{place}: an image_id of images and a bbox of left, top, width and height are "
                "needed"
            ) from None
        left, top, width, height = edges
        box = (left, top, left + width, top + height)
        yield Labelled(name, box, tuple(sides) if all(sides) else None, place)


def _read_voc(folder: pathlib.Path) -> Iterator[Labelled]:
    for path in sorted(folder.rglob("*.xml")):
        yield from _read_voc_file(path, folder)


def _read_voc_file(path: pathlib.Path, folder: pathlib.Path | None = None) -> Iterator[Labelled]:
    held = read_voc(path)
    parts = path.relative_to(folder or path.parent).with_suffix(ANY_ENDING).parts
    name = pathlib.PurePath(*(part for part in parts if part != ANNOTATIONS))
    for _, box in held.objects:
        yield Labelled(name, box, held.size, shown(path))


WORKING_SIDE = 320
"""Longest side of the pictures that grabCut sees; it takes 0.15 s for 256 pixels."""
SMOOTH_EDGE = 0.7
"""Of the Gaussian that softens a mask's edge, in working pixels."""


class BoxMasks(MaskSource):
    """The objects in boxes, a box or several a picture.

    Args:
        path: as `Boxes` takes it.

    Raises:
        FileNotFoundError, UserError: see `Boxes`.
    """

    seconds = 0.15

    def __init__(self, path: str):
        self.name, self._boxes = f"boxes:{path}", Boxes(path)

    @property
    def by_name(self) -> bool:
        """See `MaskSource.by_name`."""
        return True

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`."""
        return f"boxes 1 {self._boxes.digest()}"

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        return list(map(self._mask, pictures))

    def _mask(self, picture: Picture) -> Mask:
        found = self._boxes.of(picture.name)
        if not found:
            return Mask.failed(picture, f"{self._boxes.path} has no box for it")
        if len({own.name for own in found}) > 1:
            names = ", ".join(sorted({shown(own.name) for own in found}))
            why = f"{self._boxes.path} has boxes of several pictures of this name: {names}"
            return Mask.failed(picture, why)
        try:
            for own in found:
                check_shape(own, picture.pixels.shape[:2])
            boxes = [placed(own, picture.pixels.shape[:2]) for own in found]
        except UserError as error:
            return Mask.failed(picture, str(error))
        soft = mask_in_boxes(picture.pixels, boxes)
        return Mask(soft, confidence_of(soft))


def mask_in_boxes(image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """A soft mask of the objects in boxes, float32 [H, W] in [0, 1].

    Args:
        image: uint8 [H, W, 3].
        boxes: top, left, bottom and right edge, half-open.
    """
    height, width = image.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    down, across = size[1] / height, size[0] / width
    near = [
        (int(top * down), int(left * across), math.ceil(bottom * down), math.ceil(right * across))
        for top, left, bottom, right in boxes
    ]
    found = grab_cut(small, *near).astype(np.float32)
    found = cv2.GaussianBlur(found, (0, 0), SMOOTH_EDGE, borderType=cv2.BORDER_REPLICATE)
    soft = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
    inside = np.zeros(image.shape[:2], bool)
    for top, left, bottom, right in boxes:
        inside[top:bottom, left:right] = True
    return np.where(inside, soft, np.float32(0))
