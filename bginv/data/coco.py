"""COCO's JSON: a class and masks of each picture, from the objects in it.

`coco:FILE.json`, or `coco:PATH` of a folder with a file for each split: `PATH/train/*.json` beside
the pictures, or `PATH/annotations/*.json`, whose names tell `train`, `val` or `test`. CVAT, Label
Studio and Roboflow write such files.
"""

import collections
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from absl import logging

from bginv.data import outlines
from bginv.data.entries import COCO
from bginv.data.images import shown
from bginv.data.listed import TRAIN, Listed, dataset_of, existing_folder, split_of
from bginv.data.outlines import Outline
from bginv.data.sources import Dataset
from bginv.errors import UserError

NEEDED = "it needs images with id and file_name, and annotations with image_id and bbox"
Objects = list[tuple[str, Outline]]
"""Class and outline of each object of a picture."""


def read_json(file: pathlib.Path, wanted: str) -> tuple[dict[Any, dict], list[dict], list[dict]]:
    """Pictures by their ids, annotations and categories of a file.

    Args:
        file: its path.
        wanted: what is needed, for a message.

    Raises:
        UserError: it is no JSON, or not COCO's; or two of one id.
    """
    try:
        held = json.loads(file.read_bytes())
    except ValueError as error:
        raise UserError(f"{shown(file)} is not JSON ({error}); {wanted} is needed") from None
    try:
        images = _by_id(file, "images", held["images"])
        annotations = list(held["annotations"])
        categories = list(_by_id(file, "categories", held.get("categories", ())).values())
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{shown(file)} is not COCO's JSON: {NEEDED}") from None
    return images, annotations, categories


def _by_id(file: pathlib.Path, what: str, records: list[dict]) -> dict[Any, dict]:
    found: dict[Any, dict] = {}
    for number, own in enumerate(records):
        if found.setdefault(own["id"], own) is not own:
            raise UserError(
                f"{shown(file)}, {what} {number}: the id {own['id']!r} stands there twice: give "
                "each its own"
            )
    return found


def load_coco(path: str, side: int, skip_bad_files: bool) -> Dataset:
    """Pictures with the class of their objects, and masks; see the module.

    A picture with objects of several categories has that of its largest object. Its mask is the
    union of the objects of this category: polygons and run lengths, else the whole box.

    Args:
        path: of the file or folder.
        side: height and width of the images, which are stretched to squares.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        FileNotFoundError: no such file, or a picture that is not there.
        UserError: another content; it names the file and the record.
    """
    root = pathlib.Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"there is no {path}; coco:PATH needs a .json file or a folder")
    files = {TRAIN: root} if root.is_file() else _files_of(root)
    splits: dict[str, list[Listed]] = {}
    names: list[str] = []
    for split, file in files.items():
        images, annotations, categories = read_json(file, "a COCO .json file")
        if not categories:
            raise UserError(f"{shown(file)} has no categories, which are the classes")
        labels = {own["id"]: _category(file, number, own) for number, own in enumerate(categories)}
        names += [own for own in labels.values() if own not in names]
        objects = _objects(file, images, annotations, labels)
        splits[split] = listed_of(file, _pictures(file, images, objects))
    class_names = with_pictures(root, names, splits)
    return dataset_of(f"{COCO}{path}", splits, class_names, side, skip_bad_files)


def _category(file: pathlib.Path, number: int, category: Mapping[str, Any]) -> str:
    if not isinstance(category.get("name"), str) or not category["name"]:
        raise UserError(f"{shown(file)}, categories {number}: a category needs a name")
    return category["name"]


def _files_of(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """The file of each split of a folder."""
    found: dict[str, pathlib.Path] = {}
    for file in sorted([*root.glob("*.json"), *root.glob("*/*.json")]):
        words = set(file.stem.lower().replace("-", "_").split("_"))
        words |= {file.parent.name} if file.parent != root else set()
        words |= {word.rstrip("0123456789") for word in words}
        split = min(filter(None, map(split_of, words)), default=TRAIN)
        if split in found:
            raise UserError(
                f"{shown(found[split])} and {shown(file)} are both of the split {split}: name one "
                f"file, {COCO}FILE.json, or give each a name with train, val or test"
            )
        found[split] = file
    if not found:
        raise UserError(f"{shown(root)} holds no .json file, in itself or in folders of it")
    return found


def _objects(
    file: pathlib.Path,
    images: Mapping[Any, dict],
    annotations: list[dict],
    labels: Mapping[Any, str],
) -> dict[Any, Objects]:
    """Objects by the id of their picture."""
    found: dict[Any, Objects] = collections.defaultdict(list)
    numbers: dict[Any, int] = {}
    for number, own in enumerate(annotations):
        told = f"{shown(file)}, annotation {number}"
        if not isinstance(own, dict) or not _is_id(own.get("image_id"), images):
            raise UserError(f"{told}: an image_id of images is needed")
        if not _is_id(own.get("category_id"), labels):
            raise UserError(
                f"{told}: category_id {own.get('category_id')!r} is no id of categories"
            )
        identity = repr(own["id"]) if "id" in own else f"none, {number}"
        if numbers.setdefault(identity, number) != number:
            raise UserError(
                f"{told}: annotation {numbers[identity]} has the id {identity} already: give "
                "each its own"
            )
        size = size_of(images[own["image_id"]])
        if size is None:
            raise UserError(f"{told}: its picture needs a width and a height in images")
        try:
            outline = outline_of(own, size)
        except UserError as error:
            raise UserError(f"{told}: {error}") from None
        found[own["image_id"]].append((labels[own["category_id"]], outline))
    return found


def _is_id(value: Any, held: Mapping[Any, Any]) -> bool:
    """Whether a value, which may be a list or a mapping in a broken file, is one of the keys."""
    return not isinstance(value, list | dict) and value in held


def size_of(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height that a record of a picture tells."""
    width, height = (image.get(side) for side in ("width", "height"))
    known = all(
        isinstance(own, int | float) and own > 0 and float(own).is_integer()
        for own in (width, height)
    )
    return (int(width), int(height)) if known else None


def outline_of(annotation: Mapping[str, Any], size: tuple[int, int]) -> Outline:
    """The outline of an object: its polygons or run lengths, else its box.

    Args:
        annotation: as COCO has it.
        size: width and height of the picture.

    Raises:
        UserError: none of these, or a broken one; the message has no place.
    """
    held = annotation.get("segmentation")
    if isinstance(held, dict):
        return Outline(runs=outlines.runs(held, size))
    if isinstance(held, list) and held:
        return Outline(tuple(outlines.polygon(own, size) for own in held))
    try:
        left, top, width, height = map(float, annotation["bbox"])
    except (KeyError, TypeError, ValueError):
        raise UserError(
            "a segmentation, or a bbox of left, top, width and height, is needed"
        ) from None
    return Outline(box=outlines.box((left, top, left + width, top + height), size))


def _pictures(
    file: pathlib.Path, images: Mapping[Any, dict], objects: Mapping[Any, Objects]
) -> Iterator[tuple[str, tuple[int, int] | None, str, Objects]]:
    for number, (identity, own) in enumerate(images.items()):
        told = f"{shown(file)}, images {number}"
        name = own.get("file_name")
        if not isinstance(name, str) or not name:
            raise UserError(f"{told}: a file_name is needed")
        yield name.replace("\\", "/"), size_of(own), told, objects.get(identity, [])


def listed_of(
    file: pathlib.Path, pictures, folder: str | None = None, is_for_boxes: bool = True
) -> list[Listed]:
    """Pictures with the class of their largest object; those without an object are left out.

    Args:
        file: the list, for messages and to find the pictures by.
        pictures: name, size, place in the list, and objects of each.
        folder: that the names begin in; None looks for it.
        is_for_boxes: whether `--masks boxes:FILE` reads the list, which is then recommended.

    Raises:
        UserError: no picture has an object.
    """
    held = list(pictures)
    with_objects = [own for own in held if own[3]]
    if not with_objects:
        raise UserError(f"{shown(file)} has no picture with an object")
    if len(with_objects) < len(held):
        logging.warning(
            "%s: %d of %d pictures have no object and are left out",
            *(shown(file), len(held) - len(with_objects), len(held)),
        )
    if folder is None:
        subfolders = [file.stem.split("_")[-1], f"images/{file.stem.split('_')[-1]}"]
        folder = existing_folder(file, [own[0] for own in with_objects], subfolders)
    _tell_boxes(file, [own[3] for own in with_objects], is_for_boxes)
    found = []
    for name, size, told, objects in with_objects:
        label, _ = max(objects, key=lambda own: own[1].area)
        mask = tuple(outline for of, outline in objects if of == label)
        path = str(pathlib.Path(folder) / name)
        found.append(Listed(path, label, told, mask, size=size))
    return found


def _tell_boxes(file: pathlib.Path, objects: list[Objects], is_for_boxes: bool) -> None:
    """Warn where boxes stand for objects."""
    everything = [outline for own in objects for _, outline in own]
    boxes = sum(own.box is not None for own in everything)
    if boxes:
        logging.warning(
            "%s: %d of %d objects have a box alone, and all of it counts as object%s",
            *(shown(file), boxes, len(everything)),
            "; --masks boxes:FILE finds the object in it" if is_for_boxes else "",
        )


def with_pictures(
    path: pathlib.Path, names: list[str], splits: Mapping[str, list[Listed]]
) -> tuple[str, ...]:
    """The classes of which there are pictures, in their order; a warning names the others."""
    seen = {own.label for records in splits.values() for own in records}
    lacking = [name for name in names if name not in seen]
    if lacking:
        logging.warning(
            "%s: %d categories have no picture and are left out, such as %r",
            *(shown(path), len(lacking), lacking[0]),
        )
    return tuple(name for name in names if name in seen)
