"""Pascal VOC's XML files: boxes, and classes of the pictures.

`voc:PATH` of a folder with `Annotations/*.xml`, the pictures in `JPEGImages` or `images`, or beside
the XML files. Several splits have their names in `ImageSets/Main/train.txt`, `val.txt`, `test.txt`,
or folders `train`, `valid`, `test` of XML files, as Roboflow writes them.
"""

import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from bginv.data import outlines
from bginv.data.coco import Objects, listed_of, with_pictures
from bginv.data.entries import VOC
from bginv.data.images import ENDINGS, shown
from bginv.data.listed import SPLITS, TRAIN, Listed, dataset_of, split_of
from bginv.data.outlines import Outline
from bginv.data.sources import Dataset
from bginv.errors import UserError

ANNOTATIONS, PICTURES, SETS = "Annotations", ("JPEGImages", "images", ""), "ImageSets/Main"


class VocFile(NamedTuple):
    """What an XML file holds.

    Attributes:
        file_name: of the picture, "" where it is not told.
        size: width and height, or None.
        objects: class and left, top, right and bottom edge of each, in pixels.
    """

    file_name: str
    size: tuple[float, float] | None
    objects: list[tuple[str, tuple[float, float, float, float]]]


def read_voc(path: pathlib.Path) -> VocFile:
    """Boxes of a file; they count from 1, and their last pixels belong to them.

    Raises:
        UserError: another content.
        UnicodeDecodeError: it is not UTF-8.
    """
    # another encoding than UTF-8 could hide them
    contents = path.read_text(encoding="utf-8-sig")
    # entities are how XML files fill memory or read others; annotations need none
    if "<!DOCTYPE" in contents or "<!ENTITY" in contents:
        raise UserError(f"{shown(path)} has a document type or entities, which boxes do not need")
    try:
        root = ElementTree.fromstring(contents)
    except ElementTree.ParseError as error:
        raise UserError(f"{shown(path)} is not XML ({error}); repair or remove it") from None
    try:
        size = None
        if root.find("size") is not None:
            size = tuple(float(root.findtext(f"size/{side}")) for side in ("width", "height"))
        objects = []
        for own in root.iter("object"):
            edges = [own.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
            left, top, right, bottom = finite(edges)
            objects.append((own.findtext("name") or "", (left - 1, top - 1, right, bottom)))
    except (TypeError, ValueError):
        raise UserError(
            f"{shown(path)}: a bndbox needs xmin, ymin, xmax and ymax in pixels, and a size width "
            "and height"
        ) from None
    known = size and all(0 < side < math.inf for side in size)
    return VocFile(root.findtext("filename") or "", size if known else None, objects)


def finite(edges: Sequence) -> tuple[float, float, float, float]:
    """Four numbers.

    Raises:
        UserError: another count, or what is no number.
    """
    left, top, right, bottom = map(float, edges)
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise UserError("not finite")
    return left, top, right, bottom


def load_voc_folder(path: str, side: int, skip_bad_files: bool) -> Dataset:
    """Pictures with the class of their largest box, whose boxes are the masks; see the module.

    Args:
        path: of the folder.
        side: height and width of the images, which are stretched to squares.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        FileNotFoundError: no such folder, or a picture that is not there.
        UserError: another content; it names the file.
    """
    root = pathlib.Path(path).expanduser()
    folder = root / ANNOTATIONS if (root / ANNOTATIONS).is_dir() else root
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {path}; voc:PATH needs {ANNOTATIONS}/*.xml")
    files = {
        own.relative_to(folder).with_suffix("").as_posix(): own for own in folder.rglob("*.xml")
    }
    if not files:
        raise UserError(f"{shown(folder)} holds no .xml file; voc:PATH needs {ANNOTATIONS}/*.xml")
    splits: dict[str, list[Listed]] = {}
    for split, names in _splits(root, sorted(files)).items():
        splits[split] = listed_of(folder, _pictures(root, files, names), str(root))
    names = sorted({own.label for records in splits.values() for own in records})
    class_names = with_pictures(root, names, splits)
    return dataset_of(f"{VOC}{path}", splits, class_names, side, skip_bad_files)


def _splits(root: pathlib.Path, everything: list[str]) -> dict[str, list[str]]:
    """Names of the pictures of each split."""
    lists = {own.stem: own for own in sorted((root / SETS).glob("*.txt"))}
    known = {SPLITS[own]: file for own, file in lists.items() if own in SPLITS}
    found: dict[str, list[str]] = {}
    if TRAIN not in known:
        for name in everything:
            found.setdefault(split_of(name.rpartition("/")[0].split("/")[0]) or TRAIN, []).append(
                name
            )
        return found
    for split, file in known.items():
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
        names = [line[0] for line in lines if line]
        unknown = next((own for own in names if own not in everything), None)
        if unknown:
            raise UserError(f"{shown(file)}: {unknown!r} has no file {ANNOTATIONS}/{unknown}.xml")
        if names:
            found[split] = names
    return found


def _pictures(
    root: pathlib.Path, files: dict[str, pathlib.Path], names: Sequence[str]
) -> Iterator[tuple[str, tuple[int, int] | None, str, Objects]]:
    for name in names:
        file = files[name]
        try:
            held = read_voc(file)
        except UnicodeDecodeError:
            raise UserError(f"{shown(file)} holds what is not UTF-8") from None
        told, objects = shown(file), []
        size = held.size and (int(held.size[0]), int(held.size[1]))
        for label, edges in held.objects:
            if not label:
                raise UserError(f"{told}: an object needs a name, which is its class")
            if size is None:
                raise UserError(f"{told}: a size with width and height is needed")
            try:
                objects.append((label, Outline(box=outlines.box(edges, size))))
            except UserError as error:
                raise UserError(f"{told}: {error}") from None
        yield _picture(root, name, held.file_name), size, told, objects


def _picture(root: pathlib.Path, name: str, told_name: str) -> str:
    """The path of a picture below the root: that of its XML file, with any ending, or as told."""
    endings = [*ENDINGS, *(ending.upper() for ending in ENDINGS)]
    for folder in PICTURES:
        for own in [*(f"{name}{ending}" for ending in endings), *filter(None, [told_name])]:
            if (root / folder / own).is_file():
                return f"{folder}/{own}" if folder else own
    return f"{PICTURES[0]}/{told_name or name + '.jpg'}"
